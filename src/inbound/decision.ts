// The decision of a guard about a request, and its HTTP headers.
//
// The headers follow the draft of the IETF's HTTPAPI group (draft-ietf-httpapi-ratelimit-headers-10): lists of RFC
// 9651 with one item per limit, `"30 per 60s";r=12;t=40` in `RateLimit` and `"30 per 60s";q=30;w=60` in
// `RateLimit-Policy`. Times are in whole seconds, rounded up, so that a client that waits this long is never
// early.

import type { GuardCount } from 'llmiter'
import type { NamedLimit } from './limit.ts'

/** The state of one limit for one client. */
export interface LimitState {
  /** The name of the limit, by default as configured: '30 per 60s'. */
  readonly name: string
  /** The number of requests per window. */
  readonly amount: number
  /** The window in ms. */
  readonly perMs: number
  /** How many more requests are allowed now. */
  readonly remaining: number
  /** Time in ms until one more request is allowed. */
  readonly resetMs: number
}

/** The decision of a guard about a request. */
export interface Verdict {
  /** Whether the request may pass. */
  readonly allowed: boolean
  /** Why it is rejected: the limit is exceeded, or the store is down. */
  readonly reason?: 'limit' | 'store'
  /** Time in ms until the client may try again. 0 if allowed. */
  readonly retryAfterMs: number
  /** Empty while the store is down, because nothing is known. */
  readonly limits: readonly LimitState[]
}

export const UNKNOWN: Verdict = { allowed: true, retryAfterMs: 0, limits: [] }

export function turnedAway(retryAfterMs: number): Verdict {
  return { allowed: false, reason: 'store', retryAfterMs, limits: [] }
}

export function verdictOf(
  limits: readonly NamedLimit[],
  allowed: boolean,
  counts: readonly GuardCount[],
): Verdict {
  const states = limits.map(({ name, amount, windowMs }, i): LimitState => {
    const { used, resetMs } = counts[i]!
    return { name, amount, perMs: windowMs, remaining: Math.max(0, amount - used), resetMs }
  })
  if (allowed) return { allowed, retryAfterMs: 0, limits: states }
  const spent = states.filter(({ remaining }) => remaining === 0)
  return {
    allowed,
    reason: 'limit',
    retryAfterMs: Math.max(...spent.map(({ resetMs }) => resetMs)),
    limits: states,
  }
}

/** 503 if the rejection is not the client's fault. */
export const statusOf = ({ reason }: Verdict) => (reason === 'limit' ? 429 : 503)

const seconds = (ms: number) => Math.ceil(ms / 1000)
/** A string of RFC 9651. */
const quoted = (name: string) => `"${name.replace(/["\\]/g, '\\$&')}"`

export function headersOf({ allowed, retryAfterMs, limits }: Verdict): [name: string, value: string][] {
  const items = (item: (limit: LimitState) => string) =>
    limits.map((limit) => quoted(limit.name) + item(limit)).join(', ')
  const headers: [string, string][] = []
  if (limits.length > 0) {
    headers.push(['RateLimit', items(({ remaining, resetMs }) => `;r=${remaining};t=${seconds(resetMs)}`)])
    headers.push(['RateLimit-Policy', items(({ amount, perMs }) => `;q=${amount};w=${seconds(perMs)}`)])
  }
  if (!allowed) headers.push(['Retry-After', String(Math.max(1, seconds(retryAfterMs)))])
  return headers
}

const TYPES = 'https://iana.org/assignments/http-problem-types#'

/** A problem document of RFC 9457, with the types that the draft defines. */
export function problemOf(verdict: Verdict): object {
  const { retryAfterMs, limits } = verdict
  const again = `try again in ${Math.max(1, seconds(retryAfterMs))} s`
  if (verdict.reason !== 'limit') {
    return {
      type: `${TYPES}temporary-reduced-capacity`,
      title: 'Service Unavailable',
      status: 503,
      detail: `The server cannot accept requests now; ${again}.`,
    }
  }
  const spent = limits.filter(({ remaining }) => remaining === 0).map(({ name }) => name)
  return {
    type: `${TYPES}quota-exceeded`,
    title: 'Too Many Requests',
    status: 429,
    detail: `The limit is ${spent.join(' and ')}; ${again}.`,
    'violated-policies': spent,
  }
}
