// The state of a limiter per second, and the parser for a line of a log.
//
// The log writes these records, the graph and the live view read them, and the simulator creates them without a
// file. Lines are checked because a log may end in half a line (after a crash) or not be a llmiter log at all.
// Unknown fields are ignored, so that a later version can add some.

import { isObject } from '../lib/validate.ts'

/** One second of one limiter. Counts cover that second. Levels are as of its end. */
export interface LogRecord {
  /** The format version. */
  v: 1
  /** The start of the second, in ms since the epoch. */
  t: number
  /** The name of the limiter. */
  name: string
  /** Calls that asked for a ticket. */
  requests: number
  /** Tickets issued. */
  issued: number
  /** Refusals by the provider. */
  refused: number
  /** Calls that were answered. */
  finished: number
  /** Calls that got a ticket and then failed: they threw, were aborted or timed out. */
  failed: number
  /** Calls that never got a ticket. */
  rejected: number
  /** Calls that wait, including parked ones and those in the queue of a pool. */
  waiting: number
  /**
   * Of the waiting calls, those in the queue of a pool, while it has calls for this limiter. They count among
   * `requests` once they have their ticket.
   */
  inPools?: number
  /** Calls that wait after a refusal or a failure. */
  parked: number
  /** Calls that have a ticket and have not ended. */
  inFlight: number
  /** Whether calls may go. */
  gate: 'open' | 'closed' | 'probing'
  /** The current rate in requests per minute. */
  rate?: number
  /** The configured requests per minute. */
  limit?: number
  /**
   * For the first token limit per minute: tokens reserved and used within the second, available at its end, and
   * the limit.
   */
  tokens?: TokenRecord
  /** The waits in ms of the calls that got their ticket in this second. */
  waitMs?: { p50: number; p95: number }
  /** What the first call waited for at the end of the second. */
  why?: WhyRecord
  /** Time in ms until all waiting calls have tickets, if known. */
  etaMs?: number
  /** The last refusal of this second, if there was one: codes and fixed words, never text from the caller. */
  refusal?: string
  /** The last failure of this second that was not a refusal, if a call failed: '401 AuthenticationError'. */
  failure?: string
  /** Why the last call of this second was rejected, if one was: 'QUOTA_EXHAUSTED', 'AbortError'. */
  rejection?: string
  /** All limits of this limiter. */
  limits?: LimitRecord[]
  /** The token usage that answers of this second reported, by tenant. */
  usage?: UsageRecord[]
}

/** The billed tokens of some answers. */
export interface UsageRecord {
  /** The tenant of their calls. */
  tenant?: string
  /** Number of answers. */
  calls: number
  /** Input tokens, including those read from a cache. */
  input: number
  /** Input tokens read from a cache. */
  cached: number
  /** Output tokens. */
  output: number
}

/** What calls wait for: in words, plus the fields that distinguish causes. */
export interface WhyRecord {
  /** The `kind` of a `WaitReason`: `'limit'`, `'gate'`, and so on. */
  kind: string
  /** The reason in words. */
  text: string
  /** The dimension of the limit. */
  of?: string
  /** The window of the limit in ms. */
  perMs?: number
  /** The amount of the limit, or the maximum number of calls in flight. */
  amount?: number
  /** The limiter that holds the calls, if it is a parent. */
  limiter?: string
  /** Why the gate is closed: `'rate'`, `'overload'` or `'quota'`. */
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
  /** The amount available at the end of the second. */
  available: number
  /** What tickets took in the second. */
  asked?: number
  /** The learned limit, if it is below `amount`. */
  learned?: number
}

/** The numbers of a token limit in one second. */
export interface TokenRecord {
  /** Tokens that tickets reserved. */
  asked: number
  /** Tokens that calls used, as far as known. */
  used: number
  /** Tokens available now. */
  available: number
  /** The limit in tokens per minute. */
  limit: number
}

const COUNTS = ['requests', 'issued', 'refused', 'finished', 'failed', 'rejected'] as const
const LEVELS = ['waiting', 'parked', 'inFlight'] as const
const NUMBERS = ['t', ...COUNTS, ...LEVELS] as const
const TOKENS = ['asked', 'used', 'available', 'limit'] as const
const WAITS = ['p50', 'p95'] as const
const GATES: readonly unknown[] = ['open', 'closed', 'probing']

/** The last time that a `Date` can represent, in ms. */
const LATEST = 8.64e15

type Fields = Record<string, unknown>
type Waits = NonNullable<LogRecord['waitMs']>

/** Parses a line of a log. Undefined if it holds no record. */
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
  // Fields are read by name, not in a loop: a log may have a million lines.
  const { t, name, requests, issued, refused, finished, failed, rejected } = found
  const { waiting, parked, inFlight, gate } = found
  const counts = { v: 1, t, name, requests, issued, refused, finished, failed, rejected } as const
  const record: LogRecord = { ...counts, waiting, parked, inFlight, gate }
  addLevels(record, found)
  addCauses(record, found)
  return record
}

function addLevels(record: LogRecord, found: Fields): void {
  const { inPools, rate, limit, tokens, waitMs, limits, usage, etaMs } = found
  if (isAmount(inPools)) record.inPools = inPools
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

/** Whether a line that cannot be parsed is a record of a later format version. */
export const isNewer = (line: string) => Number(/^\{"v":(\d{1,9}),/.exec(line)?.[1] ?? 0) > 1

/** Texts are cut to this length, so that no log record fills a screen. */
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

/** The string fields among these. */
function wordsIn(from: Fields): Record<string, string> {
  const told: Record<string, string> = {}
  for (const key in from) {
    const value = words(from[key])
    if (value !== undefined) told[key] = value
  }
  return told
}

/** The numeric fields among these. */
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

/** Whether each of these fields is a valid count or time. */
function hasAmounts<T>(found: unknown, keys: readonly (keyof T & string)[]): found is T {
  if (!isObject(found)) return false
  for (const key of keys) if (!isAmount(found[key])) return false
  return true
}

const isAmount = (value: unknown): value is number =>
  typeof value === 'number' && Number.isFinite(value) && value >= 0
