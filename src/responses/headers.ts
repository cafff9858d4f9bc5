/**
 * Reads limits from response headers.
 *
 * Headers are the only information about a limit that a provider gives before it refuses a call. Each provider has
 * its own format, its own clock and its own way to write "unknown". Doubtful hints are dropped: a limiter works
 * well without hints, and badly with wrong ones.
 */

import { ENCLOSING } from './error-text.ts'
import { DAY, SECOND } from '../lib/units.ts'
import { limitHeaders } from './provider-rules.ts'
import { get, guard, isObject, known, reach } from './safe-access.ts'
import { type HeaderReader, readDuration, serverNow } from './retry-after.ts'

export interface LimitHint {
  of: string
  perMs?: number
  limit?: number
  remaining?: number
  resetMs?: number
}

/** OpenRouter puts the relevant headers into the body. */
const HOLDERS = [...ENCLOSING, 'error', 'metadata']

/** The name-value pairs of a `Headers`, a `Map`, a list or a plain object. Undefined for other values. */
function pairsOf(headers: object): [unknown, unknown][] | undefined {
  const isIterable = typeof get(headers, Symbol.iterator) === 'function'
  const each = isIterable ? guard(() => [...(headers as Iterable<unknown>)]) : undefined
  if (each?.every((pair) => Array.isArray(pair) && pair.length === 2)) return each as [unknown, unknown][]
  return typeof get(headers, 'get') === 'function' ? undefined : Object.entries(headers)
}

/** Builds a lookup table in one pass: more than fifty headers are looked up per answer, and most answers have few. */
function readerOf(headers: unknown): HeaderReader | undefined {
  if (!isObject(headers)) return undefined
  const pairs = pairsOf(headers)
  const table = pairs && new Map(pairs.map(([name, value]) => [String(name).toLowerCase(), value]))
  const read = table ?? (headers as HeaderReader)
  return { get: (name) => guard(() => String(read.get(name) ?? '')) || undefined }
}

/** The headers of an error or a result, wherever its SDK keeps them. Outermost headers come first. */
export function headersOf(answer: unknown): HeaderReader | undefined {
  const readers = reach(answer, HOLDERS).flatMap((node) =>
    ['headers', 'responseHeaders'].flatMap((key) => guard(() => readerOf(get(node, key))) ?? []),
  )
  return readers.length > 1
    ? { get: (name) => readers.map((reader) => reader.get(name)).find(Boolean) }
    : readers[0]
}

const LIMIT_HEADERS = limitHeaders.map(
  ([name, of, perMs]) =>
    [['limit', 'remaining', 'reset'].map((field) => name.replace('*', field)), of, perMs] as const,
)

/** All limits named in the headers of an answer. */
export function readLimits(headers: unknown, wall: number): LimitHint[] {
  const reader = guard(() => readerOf(headers))
  const now = serverNow(reader, wall)
  const read = (name: string) => reader?.get(name) ?? ''
  const hints: LimitHint[] = []

  function hint(limitText: string, leftText: string, reset: string, of: string, perMs?: number): void {
    const limit = parseFloat(limitText)
    const left = parseFloat(leftText)
    const resetMs = readDuration(reset, now)
    // -1 means "unknown". So does 0 as a limit (Azure), and a remaining amount without a limit.
    const told = known({
      limit: limit > 0 ? limit : undefined,
      remaining: left > 0 || (left === 0 && limit > 0) ? left : undefined,
      resetMs,
    })
    if (Object.keys(told).length === 0) return
    // Groq's and some of OpenAI's request limits are per day, but use the header names of limits per minute. Both
    // refill steadily and report the time until full. That time divided by the used share is the window.
    const wholeMs = /[a-z]/.test(reset) ? (resetMs! * limit) / (limit - left) : NaN
    if (Math.abs(wholeMs / DAY - 1) < 0.05) hints.push({ of, ...(perMs && { perMs: DAY }), ...told })
    // A window cannot end later than its length. If it does, it is not the window that the name suggests.
    else
      hints.push({
        of,
        ...(perMs && !(resetMs! > 1.1 * perMs && !/[a-z]/.test(reset)) && { perMs }),
        ...told,
      })
  }

  const policies = ['ratelimit-policy', 'ratelimit-limit', 'x-ratelimit-policy', 'x-ratelimit-limit'].flatMap(
    (name) => readPolicies(read(name)),
  )
  for (const [names, of, perMs] of LIMIT_HEADERS) {
    const [limit, left, reset] = names.map(read) as [string, string, string]
    // Skips early, since most answers have few of these headers or none.
    if (!limit && !left && !reset) continue
    const policy = policies.find(({ quota }) => quota === parseFloat(limit))
    hint(limit, left, reset, of, perMs ?? policy?.windowMs)
  }
  for (const item of listOf(read('ratelimit'))) {
    // draft 7: `limit=100, remaining=50, reset=30`
    if (item.params.limit !== undefined || item.params.remaining !== undefined) {
      const { limit = '', remaining = '', reset = '' } = item.params
      hint(
        limit,
        remaining,
        reset,
        'requests',
        policies.find(({ quota }) => quota === Number(limit))?.windowMs,
      )
      continue
    }
    // drafts 8 and later: `"default";r=50;t=30`, with a policy of the same name
    const { r = '', t = '' } = item.params
    const policy =
      policies.find(({ name }) => name === item.name) ?? (policies.length === 1 ? policies[0] : undefined)
    hint(String(policy?.quota ?? ''), r, t, policy?.of ?? 'requests', policy?.windowMs)
  }
  return hints
}

interface LimitPolicy {
  name: string
  of: string
  quota: number
  windowMs: number
}

/** `10;w=1`, `100;w=60, 1000;w=3600`, `"default";q=100;w=60`. Policies without a window are ignored. */
function readPolicies(header: string): LimitPolicy[] {
  return listOf(header).flatMap(({ name, params: { q = name, w, qu = '' } }) => {
    const [quota, windowMs] = [Number(q), Number(w) * SECOND]
    const of = /token/i.test(qu || name) ? 'tokens' : 'requests'
    // Limits in bytes or in provider-specific units are not supported.
    const ours = qu === '' || /token|request/i.test(qu)
    return ours && quota > 0 && windowMs > 0 ? [{ name, of, quota, windowMs }] : []
  })
}

/**
 * The members of an IETF RateLimit header, by name: `"a";r=5;t=1, "b";r=9`. The header of draft 7 is one
 * dictionary, `limit=100, remaining=50, reset=30`, which gives one member.
 */
function listOf(header: string): { name: string; params: Record<string, string> }[] {
  const members = header.split(',').slice(0, 20)
  const read = (parts: string[]) =>
    Object.fromEntries(
      parts.flatMap((part) => {
        const [, key, value] = /^\s*(\w+)\s*=\s*"?([^"]*)"?\s*$/.exec(part) ?? []
        return key ? [[key.toLowerCase(), value!]] : []
      }),
    )
  if (/^\s*(limit|remaining|reset)\s*=/i.test(header)) return [{ name: '', params: read(members) }]
  return members.filter(Boolean).map((member) => {
    const [name = '', ...parts] = member.split(';')
    return { name: name.trim().replace(/^"|"$/g, ''), params: read(parts) }
  })
}
