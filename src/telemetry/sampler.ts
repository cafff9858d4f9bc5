// Samples a limiter once per second.
//
// The limiter's counters are read instead of listening to its calls: three listeners would add a fifth to the cost
// of a call. Listeners are used only to wake up an idle limiter at its first call, and for answers that report
// their tokens, because the counters are not kept per tenant.

import { HOUR, MINUTE } from '../lib/units.ts'
import {
  type BucketRateLimiter,
  explain,
  type LimiterEvent,
  type LimiterStats,
  type Mark,
  reasonWords,
  type WaitReason,
} from 'llmiter'
import type { LogRecord, UsageRecord, WhyRecord } from './log-record.ts'

/** Beyond this many tenants in one second, the rest are merged into one record. */
const MOST_TENANTS = 1000
const OTHERS = '(others)'

type Limit = LimiterStats['limits'][number]

export class Sampler {
  readonly limiter: BucketRateLimiter
  #mark: Mark
  #offs: (() => void)[] = []
  readonly #offUsage: () => void
  /** Usage by tenant since the last record. */
  #usage = new Map<string | undefined, UsageRecord>()

  constructor(limiter: BucketRateLimiter) {
    this.limiter = limiter
    this.#mark = limiter.mark()
    this.#offUsage = limiter.on('usage', (told) => this.#count(told))
  }

  #count({ tenant, input, cached, output }: LimiterEvent<'usage'>): void {
    const key = this.#usage.has(tenant) || this.#usage.size < MOST_TENANTS ? tenant : OTHERS
    const sum = this.#usage.get(key) ?? {
      ...(key !== undefined && { tenant: key }),
      ...{ calls: 0, input: 0, cached: 0, output: 0 },
    }
    this.#usage.set(key, sum)
    sum.calls++
    sum.input += input
    sum.cached += cached
    sum.output += output
  }

  /** The activity since the last record. Undefined if there was none. */
  read(t: number): LogRecord | undefined {
    const stats = this.limiter.stats(this.#mark)
    if (isQuiet(stats)) return undefined
    this.#mark = this.limiter.mark()
    const { etaMs } = explain(this.limiter)
    const usage = [...this.#usage.values()]
    this.#usage.clear()
    return {
      ...recordOf(stats, t),
      ...(etaMs !== undefined && { etaMs: Math.round(etaMs) }),
      ...(usage.length > 0 && { usage }),
    }
  }

  /** Calls `wake` once, at the next activity. */
  rest(wake: () => void): void {
    const up = () => {
      this.wake()
      wake()
    }
    // `again` emits no 'request', and a call in the queue of a pool emits none yet.
    this.#offs = [
      this.limiter.on('request', up),
      this.limiter.on('issue', up),
      this.limiter.frontQueues.on(up),
    ]
  }

  /** Undoes `rest`. */
  wake(): void {
    for (const off of this.#offs.splice(0)) off()
  }

  end(): void {
    this.wake()
    this.#offUsage()
  }
}

function isQuiet(stats: LimiterStats): boolean {
  const { requests, issued, finished, refused, rejected, waiting, inFlight, inPools } = stats
  if (inPools !== undefined) return false
  return requests + issued + finished + refused + rejected + waiting + inFlight === 0
}

function recordOf(stats: LimiterStats, t: number): LogRecord {
  const { name, requests, issued, refused, finished, failed, rejected, gate } = stats
  const { waiting, inPools, parked, inFlight, limits, waitMs, why, health } = stats
  const rates = limits.filter(({ of, perMs }) => of === 'requests' && perMs < HOUR)
  const tokens = limits.find(({ of, perMs }) => /tokens$/i.test(of) && perMs < HOUR)
  // While the provider is slow, the rate is lowered by this share.
  const share = why?.kind === 'latency' ? (health?.share ?? 1) : 1
  const counts = { requests, issued, refused, finished: finished - failed, failed, rejected }
  return {
    ...{ v: 1, t, name, ...counts, waiting, parked, inFlight, gate },
    ...(inPools !== undefined && { inPools }),
    ...(rates.length > 0 && {
      rate: round(share * Math.min(...rates.map((limit) => aMinute(limit, limit.learned)))),
      limit: Math.min(...rates.map((limit) => aMinute(limit))),
    }),
    ...(tokens && { tokens: tokensOf(tokens) }),
    ...(issued > 0 && { waitMs: { p50: waitMs.p50, p95: waitMs.p95 } }),
    ...causesOf(stats),
  }
}

function causesOf(stats: LimiterStats) {
  const { name, why, lastRefusal, refused, lastFailure, failed, lastRejection, rejected, limits } = stats
  const windows = limits.filter(({ perMs }) => perMs < Infinity)
  return {
    ...(why && { why: whyOf(why, name) }),
    ...(refused > 0 && lastRefusal && { refusal: `${lastRefusal.kind}: ${lastRefusal.reason}` }),
    ...(failed > 0 && lastFailure && { failure: lastFailure }),
    ...(rejected > 0 && lastRejection && { rejection: lastRejection }),
    ...(windows.length > 0 && {
      limits: windows.map(({ of, perMs, amount, available, asked, learned }) => ({
        ...{ of, perMs, amount, available: round(available), asked: round(asked) },
        ...(learned !== undefined && { learned: round(learned) }),
      })),
    }),
  }
}

/** Names the limiter that holds the calls if it is not the one they were made through. */
export function whyOf(why: WaitReason, name: string): WhyRecord {
  const { kind, of, perMs, amount, limiter, refused } = why
  return {
    ...{ kind, text: reasonWords(why, name) },
    ...(of !== undefined && { of }),
    ...(perMs !== undefined && perMs < Infinity && { perMs }),
    ...(amount !== undefined && { amount }),
    ...(limiter !== name && { limiter }),
    ...(refused !== undefined && { refused }),
  }
}

function tokensOf(limit: Limit) {
  const { asked, used, available } = limit
  return { asked: round(asked), used: round(used), available: round(available), limit: aMinute(limit) }
}

const aMinute = ({ amount, perMs }: Limit, of = amount) => round((of * MINUTE) / perMs)
const round = (value: number) => Math.round(value * 100) / 100
