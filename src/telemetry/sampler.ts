// What happens in a limiter, second by second.
//
// The counters of a limiter cost nothing beyond what it keeps anyway, so they are read once a second and nobody
// listens to its events: three listeners would take a fifth of a call's time. Only a limiter at rest is listened
// to, for the first call that ends the rest.

import { HOUR, MINUTE } from '../lib/units.ts'
import { type BucketRateLimiter, explain, type LimiterStats, type Mark, reasonWords } from 'llmiter'
import type { LogRecord } from './log-record.ts'

type Limit = LimiterStats['limits'][number]

export class Sampler {
  readonly limiter: BucketRateLimiter
  #mark: Mark
  #offs: (() => void)[] = []

  constructor(limiter: BucketRateLimiter) {
    this.limiter = limiter
    this.#mark = limiter.mark()
  }

  /** What happened since the last record; undefined when nothing did. */
  read(t: number): LogRecord | undefined {
    const stats = this.limiter.stats(this.#mark)
    if (isQuiet(stats)) return undefined
    this.#mark = this.limiter.mark()
    const { etaMs } = explain(this.limiter)
    return { ...recordOf(stats, t), ...(etaMs !== undefined && { etaMs: Math.round(etaMs) }) }
  }

  /** Calls once, when something happens. */
  rest(wake: () => void): void {
    const up = () => {
      this.end()
      wake()
    }
    // A ticket that is free at once (`tryAcquire`) is no request.
    this.#offs = [this.limiter.on('request', up), this.limiter.on('issue', up)]
  }

  end(): void {
    for (const off of this.#offs.splice(0)) off()
  }
}

function isQuiet(stats: LimiterStats): boolean {
  const { requests, issued, finished, refused, rejected, waiting, inFlight } = stats
  return requests + issued + finished + refused + rejected + waiting + inFlight === 0
}

function recordOf(stats: LimiterStats, t: number): LogRecord {
  const { name, requests, issued, refused, finished, failed, rejected, gate } = stats
  const { waiting, parked, inFlight, limits, waitMs } = stats
  const rates = limits.filter(({ of, perMs }) => of === 'requests' && perMs < HOUR)
  const tokens = limits.find(({ of, perMs }) => /tokens$/i.test(of) && perMs < HOUR)
  const counts = { requests, issued, refused, finished: finished - failed, failed, rejected }
  return {
    ...{ v: 1, t, name, ...counts, waiting, parked, inFlight, gate },
    ...(rates.length > 0 && {
      rate: Math.min(...rates.map((limit) => aMinute(limit, limit.learned))),
      limit: Math.min(...rates.map((limit) => aMinute(limit))),
    }),
    ...(tokens && { tokens: tokensOf(tokens) }),
    ...(issued > 0 && { waitMs: { p50: waitMs.p50, p95: waitMs.p95 } }),
    ...causesOf(stats),
  }
}

function causesOf({ name, why, lastRefusal, refused, limits }: LimiterStats) {
  const windows = limits.filter(({ perMs }) => perMs < Infinity)
  return {
    ...(why && { why: { kind: why.kind, text: reasonWords(why, name) } }),
    ...(refused > 0 && lastRefusal && { refusal: `${lastRefusal.kind}: ${lastRefusal.reason}` }),
    ...(windows.length > 0 && {
      limits: windows.map(({ of, perMs, amount, available, learned }) => ({
        ...{ of, perMs, amount, available: round(available) },
        ...(learned !== undefined && { learned: round(learned) }),
      })),
    }),
  }
}

function tokensOf(limit: Limit) {
  const { asked, used, available } = limit
  return { asked: round(asked), used: round(used), available: round(available), limit: aMinute(limit) }
}

const aMinute = ({ amount, perMs }: Limit, of = amount) => round((of * MINUTE) / perMs)
const round = (value: number) => Math.round(value * 100) / 100
