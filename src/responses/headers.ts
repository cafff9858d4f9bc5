/**
 * What the headers tell of the limits.
 *
 * They are the only word of a provider about a limit before it refuses, and each has its own format, its
 * own clock and its own way to say "unknown". A hint that is in doubt is dropped: a limiter does well
 * without hints, and badly with wrong ones.
 */

import type { HeaderReader } from './header-reader.ts'
import { ENCLOSING } from './error-text.ts'
import { DAY, SECOND } from '../lib/units.ts'
import { limitHeaders } from './provider-rules.ts'
import { get, guard, isObject, known, reach } from './safe-access.ts'
import { readDuration, serverNow } from './retry-after.ts'

export interface LimitHint {
  of: string
  perMs?: number
  limit?: number
  remaining?: number
  resetMs?: number
}

/** OpenRouter puts those that matter within the body. */
const HOLDERS = [...ENCLOSING, 'error', 'metadata']

function readerOf(headers: unknown): HeaderReader | undefined {
  if (!isObject(headers)) return undefined
  const own = get(headers, 'get')
  let read = (name: string): unknown => (own as HeaderReader['get']).call(headers, name)
  // A Map has `get` too, but its own idea of case.
  if (headers instanceof Map || typeof own !== 'function') {
    const pairs = Array.isArray(headers) || headers instanceof Map ? [...headers] : Object.entries(headers)
    const table = new Map(pairs.map(([name, value]) => [String(name).toLowerCase(), value]))
    read = (name) => table.get(name)
  }
  return { get: (name) => guard(() => String(read(name) ?? '')) || undefined }
}

/** The headers of an error or a result, wherever its SDK keeps them; the outermost come first. */
export function headersOf(answer: unknown): HeaderReader | undefined {
  const readers = reach(answer, HOLDERS).flatMap((node) =>
    ['headers', 'responseHeaders'].flatMap((key) => guard(() => readerOf(get(node, key))) ?? []),
  )
  return readers[0] && { get: (name) => readers.map((reader) => reader.get(name)).find(Boolean) }
}

/** Every limit that the headers of an answer tell. */
export function readLimits(headers: unknown, wall: number): LimitHint[] {
  const reader = guard(() => readerOf(headers))
  const now = serverNow(reader, wall)
  const read = (name: string) => reader?.get(name) ?? ''
  const hints: LimitHint[] = []

  function hint(limitText: string, leftText: string, reset: string, of: string, perMs?: number): void {
    const limit = parseFloat(limitText)
    const left = parseFloat(leftText)
    const resetMs = readDuration(reset, now)
    // Requests of Groq, and some of OpenAI's, are counted by the day under the name of those by the minute.
    // Both refill steadily and spell the time until full: that over the share that is gone is the window.
    const wholeMs = /[a-z]/.test(reset) ? (resetMs! * limit) / (limit - left) : NaN
    // -1 means "unknown", and so does 0 for a limit (Azure), and for what remains when no limit is told.
    const told = known({
      limit: limit > 0 ? limit : undefined,
      remaining: left > 0 || (left === 0 && limit > 0) ? left : undefined,
      resetMs,
    })
    if (Object.keys(told).length)
      hints.push({ of, ...(perMs && { perMs: Math.abs(wholeMs / DAY - 1) < 0.05 ? DAY : perMs }), ...told })
  }

  for (const [name, ...row] of limitHeaders) {
    const [limit, left, reset] = ['limit', 'remaining', 'reset'].map((field) =>
      read(name.replace('*', field)),
    )
    hint(limit!, left!, reset!, ...row)
  }
  // The IETF's newer draft: `RateLimit: "default";r=50;t=30`, `RateLimit-Policy: "default";q=100;w=60`.
  const drafted = (name: string, key: string) => new RegExp(`;${key}=(\\d+)`).exec(read(name))?.[1] ?? ''
  const policy = 'ratelimit-policy'
  hint(
    drafted(policy, 'q'),
    drafted('ratelimit', 'r'),
    drafted('ratelimit', 't'),
    'requests',
    Number(drafted(policy, 'w')) * SECOND,
  )
  return hints
}
