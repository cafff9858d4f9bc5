// Creates `LimiterStats`.

import { keyOf } from '../core/limit/limit-set.ts'
import { gateOf } from '../core/inspect.ts'
import type { LimiterStats, Mark } from './limiter-stats.ts'
import type { LimiterRuntime } from './runtime.ts'
import type { Counters } from './counters.ts'
import { nameOf, reasonOf, type WaitTimes } from './wait-reason.ts'

class CounterMark implements Mark {
  readonly at: number
  readonly counters: Counters
  readonly limits: ReadonlyMap<string, { asked: number; used: number }>

  readonly times: WaitTimes

  constructor({ scheduler, counters, issuer, history }: LimiterRuntime) {
    this.at = scheduler.now()
    this.times = history.times(this.at)
    this.counters = counters.copy()
    this.limits = new Map(
      issuer.limitSet.buckets.map(({ limit, asked, used }) => [keyOf(limit), { asked, used }]),
    )
  }
}

export const mark = (runtime: LimiterRuntime): Mark => new CounterMark(runtime)

export function stats(runtime: LimiterRuntime, since?: Mark): LimiterStats {
  const { issuer, scheduler, counters, inFlight, backingOff, name, told, health, history } = runtime
  const inPools = runtime.frontQueues.waiting
  const now = scheduler.now()
  const before = since as CounterMark | undefined
  const wait = (share: number) => counters.percentile(share, before?.counters)
  const { state, reopensInMs } = gateOf(issuer, now)
  const why = reasonOf(runtime, now)
  const waiting = runtime.waiting + backingOff
  const { lastRefusal, lastFailure, lastRejection } = runtime
  return {
    name,
    waiting,
    ...(inPools !== undefined && { inPools }),
    parked: issuer.parked + backingOff,
    inFlight,
    ...counters.since(before?.counters),
    gate: state,
    ...(reopensInMs !== undefined && { reopensInMs }),
    ...(why && waiting > 0 && { waitingOn: nameOf(why) }),
    ...(why && { why }),
    boundBy: before ? history.boundSince(before.at, before.times, now) : history.boundBy(now),
    ...(lastRefusal && {
      lastRefusal: { kind: lastRefusal.kind, reason: lastRefusal.reason, agoMs: now - lastRefusal.at },
    }),
    ...(lastFailure && { lastFailure }),
    ...(lastRejection && { lastRejection }),
    limits: limitsOf(runtime, now, before),
    ...(told.size > 0 && {
      told: [...told.values()].map(({ at, resetMs, ...hint }) => ({
        ...hint,
        ...(resetMs !== undefined && { resetsInMs: Math.max(0, at + resetMs - now) }),
      })),
    }),
    waitMs: { p50: wait(0.5), p95: wait(0.95), p99: wait(0.99) },
    ...(health && { health: health.reading(now) }),
  }
}

export function limitsOf(
  { issuer }: LimiterRuntime,
  now: number,
  before?: CounterMark,
): LimiterStats['limits'] {
  return issuer.limitSet.buckets
    .filter(({ limit }) => !limit.assumed)
    .map((bucket) => {
      const { of, said } = bucket.limit
      const { learned, configured } = bucket.rate
      const available = bucket.available(now)
      const then = before?.limits.get(keyOf(bucket.limit))
      return {
        of,
        ...said,
        available,
        ...(learned && { learned: (said.amount * bucket.rate.at(now)) / configured }),
        asked: bucket.asked - (then?.asked ?? 0),
        used: bucket.used - (then?.used ?? 0),
      }
    })
}
