// Explains in words why calls wait and for how long.

import { DAY, HOUR, MINUTE, SECOND } from '../lib/units.ts'
import type { BucketRateLimiter } from './bucket-rate-limiter.ts'
import type { LimiterStats } from './limiter-stats.ts'
import type { WaitReason } from './wait-reason.ts'

/** Why calls wait: what `explain` returns. */
export interface Explanation {
  /** What the calls wait for, for how long, and what held them back most in the last minute. */
  text: string
  /** What holds the first call now. */
  why?: WaitReason
  /** Time in ms until all waiting calls have tickets. Missing if no call waits, or if it is unknown. */
  etaMs?: number
}

const WINDOWS: readonly (readonly [ms: number, name: string])[] = [
  [SECOND, 'a second'],
  [MINUTE, 'a minute'],
  [HOUR, 'an hour'],
  [DAY, 'a day'],
  [Infinity, 'until it is refilled'],
]

const amountWords = (n: number): string => n.toLocaleString('en', { maximumFractionDigits: n < 10 ? 2 : 0 })

const windowWords = (ms: number): string =>
  WINDOWS.find(([size]) => size === ms)?.[1] ?? `in ${spanWords(ms)}`

/** Turns 'outputTokens' into 'output tokens'. */
const dimensionWords = (of: string): string => of.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)

/** Formats ms in the largest fitting unit: '12 s', '7 min', '3.5 h', '2 d'. */
function spanWords(ms: number): string {
  const [size, unit] =
    ms >= 2 * DAY
      ? [DAY, 'd']
      : ms >= 2 * HOUR
        ? [HOUR, 'h']
        : ms >= 2 * MINUTE
          ? [MINUTE, 'min']
          : [SECOND, 's']
  const n = Math.max(1, ms / (size as number))
  return `${n.toLocaleString('en', { maximumFractionDigits: n < 10 && ms >= HOUR ? 1 : 0 })} ${unit as string}`
}

const REFUSED = {
  rate: 'refused calls as too many',
  overload: 'is overloaded',
  quota: 'says that the quota is used up',
} as const

/** Formats a reason: 'output tokens (10,000 a minute)'. */
export function reasonWords(reason: WaitReason, self?: string): string {
  const { kind, limiter, of, amount, perMs, learned, refused, provider, holds, reopensInMs } = reason
  const whose = self !== undefined && limiter !== self ? ` of '${limiter}'` : ''
  // Without a configured amount, only the learned one is known.
  const limit = (words: typeof limitWords) =>
    of === undefined ? '' : `${dimensionWords(of)}${whose} (${words(amount ?? Infinity, perMs!, learned)})`
  const until = reopensInMs === undefined ? '' : untilWords(reopensInMs, refused)
  switch (kind) {
    case 'limit':
      return limit(limitWords)
    case 'latency':
      return limit(loweredWords)
    case 'concurrency':
      if (amount === undefined) return `an answer${whose}: no limit is known yet, so a few calls go first`
      return `a free slot${whose} (at most ${amountWords(amount!)} in flight${learned === undefined ? '' : ', lowered since the provider refused more'})${heldWords(holds)}`
    case 'pause':
      return `the end of pause()${whose}${until}`
    case 'retry':
      return `the next try after a failure${provider ? ` (${provider})` : ''}`
    case 'store':
      return 'a slot from the store that processes share'
    case 'gate':
      return `the provider${whose}, which ${REFUSED[refused!]}${until}${provider ? ` ("${provider}")` : ''}`
  }
}

/** It is unknown when a quota resets, so one call tries from time to time. */
const untilWords = (ms: number, refused: WaitReason['refused']): string =>
  refused === 'quota' ? `; a call may ask again in ${spanWords(ms)}` : `, for ${spanWords(ms)} more`

/** A limit that `health` has lowered. */
function loweredWords(amount: number, perMs: number, followed = amount): string {
  const window = windowWords(perMs)
  return `${amountWords(followed)} ${window}, lowered since the provider is slow; configured ${amountWords(amount)} ${window}`
}

const heldWords = (names: readonly string[] = []): string =>
  names.length === 0
    ? ''
    : `, within calls that hold tickets of ${names.map((name) => `'${name}'`).join(' and ')}`

function limitWords(amount: number, perMs: number, learned = amount): string {
  const window = windowWords(perMs)
  const said = `${amountWords(amount)} ${window}`
  if (learned >= 0.98 * amount) return said
  const configured = amount < Infinity ? `, configured ${said}` : ''
  return `${amountWords(learned)} ${window} by what the provider accepts${configured}`
}

/**
 * Explains why calls wait and for about how long, as a sentence and as data. `limiter.stats()` has the numbers.
 *
 * @example
 * console.log(explain(limiter).text)
 * // 412 calls wait for output tokens (10,000 a minute); about 7 min. This bound for 98 % of the last minute.
 */
export function explain(limiter: Pick<BucketRateLimiter, 'stats' | 'waitTime'>): Explanation {
  const stats = limiter.stats()
  const { waiting, why } = stats
  // Omitted if calls hold tickets of other limiters, because those may wait for tickets of this one.
  const last = waiting > 0 && !why?.holds ? lastWait(limiter, stats) : Infinity
  const etaMs = last < Infinity ? last : undefined
  return {
    text: explainStats(stats, etaMs),
    ...(why && { why }),
    ...(etaMs !== undefined && { etaMs }),
  }
}

/** How long the last of the waiting calls has to wait. */
const lastWait = (limiter: Pick<BucketRateLimiter, 'waitTime'>, { inPools = 0 }: LimiterStats): number =>
  // The first call of a pool is in the limiter's own queue. The last one comes after those between.
  inPools > 1 ? limiter.waitTime(undefined, inPools - 2) : limiter.waitTime({ requests: 0 })

type Explained = Pick<
  LimiterStats,
  | ('name' | 'waiting' | 'inFlight' | 'why' | 'boundBy')
  | ('finished' | 'failed' | 'lastFailure' | 'requests' | 'rejected' | 'lastRejection')
>

/** Explains statistics that were read before. */
function explainStats(stats: Explained, etaMs?: number): string {
  return [waitSentence(stats, etaMs), shareSentence(stats), failureSentence(stats), rejectionSentence(stats)]
    .filter(Boolean)
    .join(' ')
}

function waitSentence({ name, waiting, inFlight, why }: Explained, etaMs: number | undefined): string {
  const calls = `${amountWords(waiting)} ${waiting === 1 ? 'call waits' : 'calls wait'}`
  if (waiting > 0 && why) {
    const about = etaMs === undefined ? '' : `; about ${spanWords(etaMs)}`
    return `${calls} for ${reasonWords(why, name)}${about}.`
  }
  if (waiting > 0) return `${calls} for a ticket.`
  if (why) {
    const calls = why.refused === 'quota' ? 'Calls are rejected because of' : 'A call would wait for'
    return `Nothing waits. ${calls} ${reasonWords(why, name)}.`
  }
  return `Nothing waits; ${amountWords(inFlight)} in flight.`
}

function shareSentence({ name, waiting, why, boundBy: [most] }: Explained): string {
  if (!most || !why || waiting === 0) return ''
  const share = `${Math.round(100 * most.share)} % of the last minute`
  const same = most.kind === why.kind && most.of === why.of && most.limiter === why.limiter
  return same ? `This bound for ${share}.` : `For ${share} they waited for ${reasonWords(most, name)}.`
}

const failureSentence = ({ finished, failed, lastFailure }: Explained): string =>
  mostSentence(['fails', 'fail'], failed, finished, lastFailure)

const rejectionSentence = ({ requests, rejected, lastRejection }: Explained): string =>
  mostSentence(['is rejected', 'are rejected'], rejected, requests, lastRejection)

/** Adds a sentence if this happened to more than half of at least five calls. */
function mostSentence([one, many]: [string, string], n: number, all: number, last?: string): string {
  if (all < 5 || n <= all / 2) return ''
  const what = n === all ? `Every call ${one}` : `${Math.round((100 * n) / all)} % of calls ${many}`
  return `${what}${last === undefined ? '' : ` (${last})`}.`
}
