// What a job has come to: counts, the time against the least that its limits allow, and what bound it. As data and in words.

import { type BoundBy, type LimiterStats, reasonWords, type WaitReason } from 'llmiter'
import { span } from '../lib/duration.ts'
import { HOUR } from '../lib/units.ts'

/** The summary of a job. */
export interface Summary {
  /** Items that have ended: the failed ones included, the skipped ones not. */
  done: number
  /** Items that failed. */
  failed: number
  /** Items that were done by an earlier run. */
  skipped: number
  /** Refusals by the provider that the limiters of the job saw while it ran. */
  refused: number
  /** How long an item waited for its first ticket, in ms: the mean. */
  waitedMs: number
  /** What the results report as usage; if none does, what the limiters of tokens counted. */
  tokens: number
  /** How long the job took. */
  ms: number
  /**
   * The time that the limits alone need for these calls, as they are configured, and which of them needs it. Missing where
   * the limits let all calls go at once.
   */
  least?: LeastTime
  /** What the calls waited for, and in which share of the time; the longest first. */
  boundBy: BoundBy[]
  /** The summary in words, a line for each fact: `console.error(summary.text)`. */
  text: string
}

/** The least time that a limit allows for the calls of a job. */
export interface LeastTime {
  /** The time in ms. */
  ms: number
  /** The limit in words: `'requests (500 a minute)'`. */
  limit: string
}

type Limits = LimiterStats['limits']

/**
 * The least time that any limit of a limiter allows for what its calls used. `before`: the limits as they were before the
 * first call. `ranMs`: how long all calls took, one after the other.
 */
export function leastOf(
  { name, issued, limits, boundBy }: LimiterStats,
  before: Limits,
  ranMs: number,
  self = name,
): LeastTime | undefined {
  const own = limits.map(({ of, amount, perMs, used }, i) => ({
    reason: { kind: 'limit', limiter: name, of, amount, perMs } as const,
    ms: leastMs(used, amount, perMs, before[i]?.available ?? amount),
  }))
  const used = (of: string) =>
    limits.find((limit) => limit.of === of)?.used ?? (of === 'requests' ? issued : 0)
  // Of a parent only the limits that bound are known. No more than the amount of a window can go at once.
  const above = boundBy.map((reason) => ({ reason, ms: leastOfReason(reason, used(reason.of ?? ''), ranMs) }))
  const [most] = [...own, ...above].sort((a, b) => b.ms - a.ms)
  return most && most.ms > 0 ? { ms: most.ms, limit: limitWords(most.reason, self) } : undefined
}

function leastOfReason({ kind, amount = 0, perMs = Infinity }: BoundBy, used: number, ranMs: number): number {
  if (kind === 'concurrency') return ranMs / amount
  return kind === 'limit' ? leastMs(used, amount, perMs, amount) : 0
}

/** What was free goes at once. The rest goes at the rate; limits of an hour or longer give the rest of it with each window. */
function leastMs(used: number, amount: number, perMs: number, available: number): number {
  const rest = used - available
  if (rest <= 0 || perMs === Infinity) return 0
  if (perMs < HOUR) return (rest * perMs) / amount
  // The first window may have begun before the job.
  const windows = Math.ceil(rest / amount) - (available < amount ? 1 : 0)
  return windows * perMs
}

export const leastWords = ({ ms, limit }: LeastTime) => `the limit alone needs ${span(ms)}: ${limit}`

const limitWords = (reason: WaitReason, self: string) =>
  reason.kind === 'concurrency' ? `at most ${count(reason.amount!)} in flight` : reasonWords(reason, self)

/** What a summary is written from. */
export interface Facts extends Omit<Summary, 'text' | 'least' | 'skipped' | 'waitedMs' | 'tokens'> {
  /** What the time compares with. */
  against?: string
  skipped?: number
  waitedMs?: number
  tokens?: number
  /** All items, where it is known. */
  total?: number
  /** The last failure in words: `'401 AuthenticationError'`. */
  failure?: string
  /** The last refusal in words: `'rate: 429 rate_limit_exceeded'`. */
  refusal?: string
  /** The name of the only limiter: it goes without saying. */
  self?: string
}

/** One line for each fact that there is. */
export function summaryText(facts: Facts): string {
  const { refused, refusal, ms, against, boundBy, waitedMs = 0, tokens = 0, self = '' } = facts
  const lines: [string, string | false][] = [
    ['done', outcome(facts)],
    ['refused', refused > 0 && refusals(refused, refusal)],
    ['time', against === undefined ? span(ms) : `${span(ms)}; ${against}`],
    ['bound by', bound(boundBy, self)],
    ['waited', waitedMs >= 5 && `${span(waitedMs)} each`],
    ['tokens', tokens > 0 && count(tokens)],
  ]
  return lines
    .flatMap(([name, words]) => (words === false ? [] : [`${name} `.padEnd(WIDTH, '.') + ` ${words}`]))
    .join('\n')
}

const refusals = (n: number, last: string | undefined) =>
  `${count(n)} ${n === 1 ? 'time' : 'times'} by the provider${last === undefined ? '' : ` (the last: ${last})`}`

function outcome({ done, failed, skipped = 0, total, failure }: Facts): string {
  const of = total === undefined || total === done + skipped ? '' : ` of ${count(total - skipped)}`
  const before = skipped > 0 ? `; ${count(skipped)} skipped` : ''
  const last = failed > 0 && failure !== undefined ? ` (the last: ${failure})` : ''
  return `${count(done)}${of}: ${count(done - failed)} answered, ${count(failed)} failed${last}${before}`
}

const WIDTH = 12
const MOST_REASONS = 3

/** Reasons below a hundredth of the time explain nothing. */
function bound(boundBy: readonly BoundBy[], self: string): string {
  const told = boundBy.filter(({ share }) => share >= 0.01).slice(0, MOST_REASONS)
  if (told.length === 0) return 'nothing: the calls did not have to wait'
  return told
    .map(
      ({ reopensInMs: _, ...reason }) => `${reasonWords(reason, self)}, ${percent(reason.share)} of the time`,
    )
    .join(`\n${' '.repeat(WIDTH + 1)}`)
}

const percent = (share: number) => `${Math.round(100 * share)} %`
const count = (n: number) => n.toLocaleString('en', { maximumFractionDigits: 0 })
