// What is known of a limiter second by second, and how a line of a log becomes that again.
//
// The log writes these records, the graph and the live view read them, and the simulator makes them without a
// file. A line is checked because a log may end in half a line (the machine went down), or be no log of ours;
// fields it does not know are left out, so that a later version may add some.

import { isObject } from '../lib/validate.ts'

/** One second of one limiter. Counts are of that second; levels are as it ended. */
export interface LogRecord {
  /** The format. */
  v: 1
  /** The start of the second, in ms since the epoch. */
  t: number
  /** The limiter's. */
  name: string
  /** Calls that asked for a ticket. */
  requests: number
  /** Tickets. */
  issued: number
  /** Refusals by the provider. */
  refused: number
  /** Calls that were answered. */
  finished: number
  /** Calls that had their ticket and ended otherwise: threw, were aborted, timed out. */
  failed: number
  /** Calls that never got a ticket. */
  rejected: number
  /** Calls that wait, the parked ones included. */
  waiting: number
  /** Calls that wait after a refusal or a failure. */
  parked: number
  /** Calls that have a ticket and have not ended. */
  inFlight: number
  /** Whether calls may go. */
  gate: 'open' | 'closed' | 'probing'
  /** Requests a minute that the limiter follows now. */
  rate?: number
  /** Requests a minute that were configured. */
  limit?: number
  /** Of the first token limit of a minute: asked for and used within the second, free as it ended, configured. */
  tokens?: TokenRecord
  /** The waits in ms of the calls that got their ticket in this second. */
  waitMs?: { p50: number; p95: number }
  /** What the first call waited for as the second ended. */
  why?: WhyRecord
  /** ms until all calls that wait have their tickets, if known. */
  etaMs?: number
  /** The last refusal, if there was one in this second: codes and words, never what the caller wrote. */
  refusal?: string
  /** The last failure that was no refusal, if a call failed in this second: '401 AuthenticationError'. */
  failure?: string
  /** Why the last call was rejected, if one was in this second: 'QUOTA_EXHAUSTED', 'AbortError'. */
  rejection?: string
  /** All limits of this limiter. */
  limits?: LimitRecord[]
  /** What the answers of this second told of their tokens, by tenant. */
  usage?: UsageRecord[]
}

/** The tokens of some answers, as they are billed. */
export interface UsageRecord {
  /** The tenant of their calls. */
  tenant?: string
  /** Answers. */
  calls: number
  /** Input tokens, those that were read from a cache included. */
  input: number
  /** Input tokens that were read from a cache. */
  cached: number
  /** Output tokens. */
  output: number
}

/** What calls wait for: in words, and what of it tells one cause from another. */
export interface WhyRecord {
  /** The `kind` of a `WaitReason`: `'limit'`, `'gate'`, and so on. */
  kind: string
  /** The reason in words. */
  text: string
  /** The dimension of the limit. */
  of?: string
  /** The window of the limit in ms. */
  perMs?: number
  /** The amount of the limit, or the most calls in flight. */
  amount?: number
  /** The limiter that holds the calls, where it is a parent. */
  limiter?: string
  /** What the gate is closed for: `'rate'`, `'overload'` or `'quota'`. */
  refused?: string
}

/** One limit in one second. */
export interface LimitRecord {
  /** Its dimension. */
  of: string
  /** Its window in ms. */
  perMs: number
  /** The configured amount. */
  amount: number
  /** What could be taken at once as the second ended. */
  available: number
  /** What tickets took in the second. */
  asked?: number
  /** What is followed in place of `amount`, where less was learned. */
  learned?: number
}

/** The numbers of a token limit in one second. */
export interface TokenRecord {
  /** Tokens that tickets reserved. */
  asked: number
  /** Tokens that calls used, as far as known. */
  used: number
  /** Tokens that could be taken at once. */
  available: number
  /** The limit in tokens a minute. */
  limit: number
}

const COUNTS = ['requests', 'issued', 'refused', 'finished', 'failed', 'rejected'] as const
const LEVELS = ['waiting', 'parked', 'inFlight'] as const
const NUMBERS = ['t', ...COUNTS, ...LEVELS] as const
const TOKENS = ['asked', 'used', 'available', 'limit'] as const
const WAITS = ['p50', 'p95'] as const
const GATES: readonly unknown[] = ['open', 'closed', 'probing']

/** The last moment that a `Date` can tell, in ms. */
const LATEST = 8.64e15

type Fields = Record<string, unknown>
type Waits = NonNullable<LogRecord['waitMs']>

/** The record that a line of a log holds; undefined when it holds none. */
export function parseRecord(line: string): LogRecord | undefined {
  let found: unknown
  try {
    found = JSON.parse(line)
  } catch {
    return undefined
  }
  if (!isObject(found) || found.v !== 1 || typeof found.name !== 'string') return undefined
  if (!GATES.includes(found.gate) || !hasAmounts<LogRecord>(found, NUMBERS)) return undefined
  if (found.t > LATEST) return undefined
  // Each field by its name: a log may have a million lines.
  const { t, name, requests, issued, refused, finished, failed, rejected } = found
  const { waiting, parked, inFlight, gate } = found
  const counts = { v: 1, t, name, requests, issued, refused, finished, failed, rejected } as const
  const record: LogRecord = { ...counts, waiting, parked, inFlight, gate }
  addLevels(record, found)
  addCauses(record, found)
  return record
}

function addLevels(record: LogRecord, { rate, limit, tokens, waitMs, limits, usage, etaMs }: Fields): void {
  if (isAmount(rate)) record.rate = rate
  if (isAmount(limit)) record.limit = limit
  if (isAmount(etaMs)) record.etaMs = etaMs
  if (hasAmounts<TokenRecord>(tokens, TOKENS)) {
    const { asked, used, available, limit } = tokens
    record.tokens = { asked, used, available, limit }
  }
  if (hasAmounts<Waits>(waitMs, WAITS)) record.waitMs = { p50: waitMs.p50, p95: waitMs.p95 }
  if (Array.isArray(limits)) record.limits = limits.slice(0, MOST_LIMITS).flatMap(limitOf)
  if (Array.isArray(usage)) record.usage = usage.flatMap(usageOf)
}

/** Whether a line that is no record is one of a later version. */
export const isNewer = (line: string) => Number(/^\{"v":(\d{1,9}),/.exec(line)?.[1] ?? 0) > 1

/** Texts are cut, so that no record of a log fills a screen. */
const MOST_CHARS = 200
const MOST_LIMITS = 20

function addCauses(record: LogRecord, found: Fields): void {
  const why = isObject(found.why) && whyOf(found.why)
  if (why) record.why = why
  Object.assign(
    record,
    wordsIn({ refusal: found.refusal, failure: found.failure, rejection: found.rejection }),
  )
}

function whyOf({ kind, text, of, perMs, amount, limiter, refused }: Fields): WhyRecord | undefined {
  const [said, inWords] = [words(kind), words(text)]
  if (said === undefined || inWords === undefined) return undefined
  return { kind: said, text: inWords, ...wordsIn({ of, limiter, refused }), ...amountsIn({ perMs, amount }) }
}

const words = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' ? value.slice(0, MOST_CHARS) : undefined

/** Of these fields, those that are words. */
function wordsIn(from: Fields): Record<string, string> {
  const told: Record<string, string> = {}
  for (const key in from) {
    const value = words(from[key])
    if (value !== undefined) told[key] = value
  }
  return told
}

/** Of these fields, those that are amounts. */
function amountsIn(from: Fields): Record<string, number> {
  const told: Record<string, number> = {}
  for (const key in from) if (isAmount(from[key])) told[key] = from[key]
  return told
}

function limitOf(found: unknown): LimitRecord[] {
  if (!hasAmounts<LimitRecord>(found, ['perMs', 'amount', 'available'])) return []
  const { of, perMs, amount, available, asked, learned } = found
  if (typeof of !== 'string') return []
  return [{ of, perMs, amount, available, ...amountsIn({ asked, learned }) }]
}

function usageOf(found: unknown): UsageRecord[] {
  if (!hasAmounts<UsageRecord>(found, ['calls', 'input', 'cached', 'output'])) return []
  const { tenant, calls, input, cached, output } = found
  return [{ ...wordsIn({ tenant }), calls, input, cached, output }]
}

/** Whether each of these fields is a number that a count or a time can be. */
function hasAmounts<T>(found: unknown, keys: readonly (keyof T & string)[]): found is T {
  if (!isObject(found)) return false
  for (const key of keys) if (!isAmount(found[key])) return false
  return true
}

const isAmount = (value: unknown): value is number =>
  typeof value === 'number' && Number.isFinite(value) && value >= 0
