// What a limiter has counted and learned, carried over a restart as plain JSON. Ages are taken on the wall clock,
// the only one that two processes share.

import { keyOf } from './core/budget.ts'
import { text } from './core/check.ts'
import { MINUTE } from './core/limits.ts'
import type { Desk } from './desk.ts'

export interface Snapshot {
  version: 1
  /** Epoch ms at which it was made. */
  wall: number
  limits: Record<string, { taken: [ageMs: number, amount: number][]; perMinute?: number; found?: boolean }>
}

export function snapshot({ office, engine }: Desk): Snapshot {
  const now = engine.now()
  const limits: Snapshot['limits'] = {}
  for (const bucket of office.budget.buckets) {
    const { learned } = bucket.rate
    limits[keyOf(bucket.limit)] = {
      taken: bucket.dump(now),
      ...(learned && { perMinute: bucket.rate.at(now) * MINUTE, found: bucket.rate.found }),
    }
  }
  return { version: 1, wall: engine.clock.wall(), limits }
}

export function restore({ office, engine }: Desk, saved: Snapshot): void {
  if (saved?.version !== 1 || !Number.isFinite(saved.wall) || !sound(saved.limits)) {
    throw new TypeError(`snapshot must be what snapshot() gave, got ${text(saved)}`)
  }
  const now = engine.now()
  // A clock set back must not make the past younger than it is.
  const age = Math.max(0, engine.clock.wall() - saved.wall)
  for (const bucket of office.budget.buckets) {
    const found = saved.limits[keyOf(bucket.limit)]
    if (!found) continue
    bucket.load(
      found.taken.map(([ageMs, amount]) => [ageMs + age, amount] as const),
      now,
    )
    if (found.perMinute !== undefined)
      bucket.rate.restore(found.perMinute / MINUTE, found.found === true, now)
  }
  engine.pump(now)
}

function sound(limits: unknown): boolean {
  const counts = (taken: unknown) =>
    Array.isArray(taken) &&
    taken.every((pair) => Array.isArray(pair) && pair.every((n) => n >= 0 && n < Infinity))
  return (
    typeof limits === 'object' &&
    limits !== null &&
    Object.values(limits).every((limit) => counts(limit?.taken))
  )
}
