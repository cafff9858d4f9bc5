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
const RATES = ['rate', 'limit'] as const
const TOKENS = ['asked', 'used', 'available', 'limit'] as const
const WAITS = ['p50', 'p95'] as const
const GATES: readonly unknown[] = ['open', 'closed', 'probing']

type Fields = Record<string, unknown>

/** The record that a line of a log holds; undefined when it holds none. */
export function parseRecord(line: string): LogRecord | undefined {
  let found: unknown
  try {
    found = JSON.parse(line)
  } catch {
    return undefined
  }
  if (!isObject(found) || found.v !== 1 || typeof found.name !== 'string') return undefined
  const { name, gate } = found
  const told = numbers(found, ['t', ...COUNTS, ...LEVELS])
  if (!told || !GATES.includes(gate)) return undefined
  const record = { v: 1, name, gate, ...told } as LogRecord
  for (const key of RATES) if (isAmount(found[key])) record[key] = found[key]
  const tokens = isObject(found.tokens) && numbers(found.tokens, TOKENS)
  if (tokens) record.tokens = tokens
  const waitMs = isObject(found.waitMs) && numbers(found.waitMs, WAITS)
  if (waitMs) record.waitMs = waitMs
  return { ...record, ...causesOf(found) }
}

/** Texts are cut, so that no record of a log fills a screen. */
const MOST_CHARS = 200
const MOST_LIMITS = 20

function causesOf({
  why,
  etaMs,
  refusal,
  failure,
  limits,
  usage,
}: Fields): Pick<LogRecord, 'why' | 'etaMs' | 'refusal' | 'failure' | 'limits' | 'usage'> {
  const cause = isObject(why) && whyOf(why)
  return {
    ...(cause && { why: cause }),
    ...(isAmount(etaMs) && { etaMs }),
    ...wordsIn({ refusal, failure }),
    ...(Array.isArray(limits) && { limits: limits.slice(0, MOST_LIMITS).flatMap(limitOf) }),
    ...(Array.isArray(usage) && { usage: usage.flatMap(usageOf) }),
  }
}

function whyOf({ kind, text, of, perMs, amount, limiter, refused }: Fields): WhyRecord | undefined {
  const [said, inWords] = [words(kind), words(text)]
  if (!said || !inWords) return undefined
  return { kind: said, text: inWords, ...wordsIn({ of, limiter, refused }), ...amountsIn({ perMs, amount }) }
}

const words = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' ? value.slice(0, MOST_CHARS) : undefined

/** Of these fields, those that are words. */
const wordsIn = (from: Fields): Record<string, string> =>
  Object.fromEntries(
    Object.entries(from).flatMap(([key, value]) => (words(value) ? [[key, words(value)!]] : [])),
  )

/** Of these fields, those that are amounts. */
const amountsIn = (from: Fields): Record<string, number> =>
  Object.fromEntries(Object.entries(from).flatMap(([key, value]) => (isAmount(value) ? [[key, value]] : [])))

function limitOf(found: unknown): LimitRecord[] {
  const told = isObject(found) && numbers(found, ['perMs', 'amount', 'available'])
  if (!told || typeof (found as Fields).of !== 'string') return []
  const { of, asked, learned } = found as { of: string; asked?: unknown; learned?: unknown }
  return [{ of, ...told, ...amountsIn({ asked, learned }) }]
}

function usageOf(found: unknown): UsageRecord[] {
  const told = isObject(found) && numbers(found, ['calls', 'input', 'cached', 'output'])
  return told ? [{ ...wordsIn({ tenant: (found as Fields).tenant }), ...told }] : []
}

/** These fields, if each is a number that a count or a time can be. */
function numbers<K extends string>(from: Fields, keys: readonly K[]): Record<K, number> | undefined {
  const told: Partial<Record<K, number>> = {}
  for (const key of keys) {
    const value = from[key]
    if (!isAmount(value)) return undefined
    told[key] = value
  }
  return told as Record<K, number>
}

const isAmount = (value: unknown): value is number =>
  typeof value === 'number' && Number.isFinite(value) && value >= 0
