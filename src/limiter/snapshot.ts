// Saves and restores what a limiter has counted and learned, as plain JSON. Ages are measured on the wall clock,
// the only clock that two processes share.

import { keyOf } from '../core/limit/limit-set.ts'
import { text } from '../lib/validate.ts'
import { HABITS } from '../core/rate/rate-curve.ts'
import type { Learned } from '../core/rate/rate-estimator.ts'
import type { LimiterRuntime } from './runtime.ts'

/** What a limiter has counted and learned, as plain JSON. */
export interface Snapshot {
  /** The format version. */
  version: 1
  /** The name of the limiter. */
  name: string
  /** Epoch ms at which it was made. */
  wall: number
  /** What each limit has counted and learned. */
  limits: Record<string, { taken: [ageMs: number, amount: number][]; learned?: Learned }>
}

export function snapshot({ name, issuer, scheduler }: LimiterRuntime): Snapshot {
  const now = scheduler.now()
  const limits: Snapshot['limits'] = {}
  for (const bucket of issuer.limitSet.buckets) {
    const learned = bucket.rate.share(now)
    limits[keyOf(bucket.limit)] = { taken: bucket.dump(now), ...(learned && { learned }) }
  }
  return { version: 1, name, wall: scheduler.clock.wall(), limits }
}

export function restore({ name, issuer, scheduler }: LimiterRuntime, saved: Snapshot): void {
  if (saved?.version !== 1 || !Number.isFinite(saved.wall) || !sound(saved.limits)) {
    throw new TypeError(`snapshot must be a result of snapshot(), got ${text(saved)}`)
  }
  if (saved.name !== name)
    throw new TypeError(`snapshot must be one of '${name}', got one of ${text(saved.name)}`)
  const now = scheduler.now()
  // If the clock was set back, the snapshot must not appear younger than it is.
  const age = Math.max(0, scheduler.clock.wall() - saved.wall)
  for (const bucket of issuer.limitSet.buckets) {
    const found = saved.limits[keyOf(bucket.limit)]
    if (!found) continue
    bucket.load(
      found.taken.map(([ageMs, amount]) => [ageMs + age, amount] as const),
      now,
    )
    if (found.learned) bucket.rate.adopt(found.learned, now)
  }
  scheduler.pump(now)
}

function sound(limits: unknown): boolean {
  const counts = (taken: unknown) =>
    Array.isArray(taken) &&
    taken.every((pair) => Array.isArray(pair) && pair.every((n) => n >= 0 && n < Infinity))
  return (
    typeof limits === 'object' &&
    limits !== null &&
    Object.values(limits).every((limit) => counts(limit?.taken) && teaches(limit.learned))
  )
}

function teaches(learned: Learned | undefined): boolean {
  if (learned === undefined) return true
  const { rate, ageMs = 0, confirmed = 0, of = 'fast', before, tested } = learned ?? {}
  const found = rate! > 0 && rate! < Infinity && ageMs >= 0 && confirmed >= 0 && Object.hasOwn(HABITS, of)
  return found && teaches(before) && teaches(tested) && (tested?.heldMs ?? 0) >= 0
}
