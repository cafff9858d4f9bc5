// The summary of a job: counts, its duration compared with the least that its limits allow, and what held it back.
// As data and in words.

import { type BoundBy, type LimiterStats, reasonWords, type WaitReason } from 'llmiter'
import { span } from '../lib/duration.ts'
import { HOUR } from '../lib/units.ts'

/** The summary of a job. */
export interface Summary {
  /** Items that have ended, including failed ones but not skipped ones. */
  done: number
  /** Items that failed. */
  failed: number
  /** Items that `skip` excluded. */
  skipped: number
  /** Refusals by the provider that the job's limiters saw while it ran. */
  refused: number
  /** The mean time in ms that an item waited for its first ticket. */
  waitedMs: number
  /** The tokens that the results report. If none report any, the tokens that the token limits counted. */
  tokens: number
  /** The duration of the job in ms. */
  ms: number
  /**
   * The minimum time that the configured limits allow for these calls, and the limit that needs it. Missing if the
   * limits would let all calls go immediately.
   */
  least?: LeastTime
  /** What the calls waited for, with the share of the time, longest first. */
  boundBy: BoundBy[]
  /** The summary in words, one line per fact: `console.error(summary.text)`. */
  text: string
}

/** The minimum time that a limit allows for the calls of a job. */
export interface LeastTime {
  /** The time in ms. */
  ms: number
  /** The limit in words: `'requests (500 a minute)'`. */
  limit: string
}

type Limits = LimiterStats['limits']

/**
 * The largest minimum time of any limit of a limiter, for what its calls used. `before`: the limits before the
 * first call. `ranMs`: the sum of all call durations.
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
  // Of a parent's limits, only those that bound are known. At most the amount of a window can go immediately.
  const above = boundBy.map((reason) => ({ reason, ms: leastOfReason(reason, used(reason.of ?? ''), ranMs) }))
  const [most] = [...own, ...above].sort((a, b) => b.ms - a.ms)
  return most && most.ms > 0 ? { ms: most.ms, limit: limitWords(most.reason, self) } : undefined
}

function leastOfReason({ kind, amount = 0, perMs = Infinity }: BoundBy, used: number, ranMs: number): number {
  if (kind === 'concurrency') return ranMs / amount
  return kind === 'limit' ? leastMs(used, amount, perMs, amount) : 0
}

/**
 * The free amount goes immediately, and the rest at the rate. Limits of an hour or longer refill with each window.
 */
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

/** The input of the summary text. */
export interface Facts extends Omit<Summary, 'text' | 'least' | 'skipped' | 'waitedMs' | 'tokens'> {
  /** The minimum time that the duration is compared with, in words. */
  against?: string
  skipped?: number
  waitedMs?: number
  tokens?: number
  /** The number of all items, if known. */
  total?: number
  /** The last failure in words: `'401 AuthenticationError'`. */
  failure?: string
  /** The last refusal in words: `'rate: 429 rate_limit_exceeded'`. */
  refusal?: string
  /** The name of the only limiter, which is omitted from the text. */
  self?: string
}

/** Writes one line for each known fact. */
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

/** Reasons below one percent of the time are left out. */
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
