// What goes on in a limiter, as a copy in plain numbers.

import { keyOf } from '../core/limit/limit-set.ts'
import { gateOf, type GateState, waitingOn } from '../core/inspect.ts'
import type { LimiterRuntime } from './runtime.ts'
import type { HealthReading } from '../call/health.ts'
import { NOTHING, type Counters } from './counters.ts'

export interface LimiterStats {
  name: string
  /** Calls in line, the parked included. */
  waiting: number
  /** Of these, the ones that have been sent before: refused, or failed and to be tried again. */
  parked: number
  inFlight: number
  /** Since the start, or the mark: calls that asked for a ticket, and tickets. */
  requests: number
  issued: number
  /** Calls that ended, and of these the ones that failed: threw, were aborted, took too long. */
  finished: number
  failed: number
  /** Refusals by the provider, and calls turned away by the limiter. */
  refused: number
  rejected: number
  gate: GateState
  /** ms until the gate lets a call through, when it is known. */
  reopensInMs?: number
  /** What the first in line waits for: a dimension, `'concurrency'`, `'gate'` or `'pause'`. */
  waitingOn?: string
  /**
   * `amount` and `perMs` as configured; what could go at once; what was learned, in the same unit as `amount`;
   * what tickets took and what calls used, as far as known, since the start or the mark.
   */
  limits: {
    of: string
    amount: number
    perMs: number
    available: number
    learned?: number
    asked: number
    used: number
  }[]
  /** What the provider's headers said last, if they did; `resetsInMs` counts from now. */
  told?: { of: string; perMs?: number; limit?: number; remaining?: number; resetsInMs?: number }[]
  /** Of all tickets since the start, or the mark, in ms. */
  waitMs: { p50: number; p95: number; p99: number }
  /** The provider's latency, where it is watched. */
  health?: HealthReading
}

/** A moment in the life of a limiter, to count from: `limiter.stats(mark)`. */
export interface Mark {
  /** When it was, by the clock's `now()`. */
  readonly at: number
}

class CounterMark implements Mark {
  readonly at: number
  readonly counters: Counters
  readonly limits: ReadonlyMap<string, { asked: number; used: number }>

  constructor({ scheduler, counters, issuer }: LimiterRuntime) {
    this.at = scheduler.now()
    this.counters = counters.copy()
    this.limits = new Map(
      issuer.limitSet.buckets.map(({ limit, asked, used }) => [keyOf(limit), { asked, used }]),
    )
  }
}

export const mark = (runtime: LimiterRuntime): Mark => new CounterMark(runtime)

export function stats(
  { issuer, scheduler, counters, inFlight, backingOff, name, told, health }: LimiterRuntime,
  since?: Mark,
): LimiterStats {
  const now = scheduler.now()
  const before = since as CounterMark | undefined
  const { requests, issued, finished, failed, refused, rejected } = before?.counters ?? NOTHING
  const wait = (share: number) => counters.percentile(share, before?.counters)
  const { state, reopensInMs } = gateOf(issuer, now)
  const on = waitingOn(issuer, now)
  return {
    name,
    waiting: issuer.waiting + backingOff,
    parked: issuer.parked + backingOff,
    inFlight,
    requests: counters.requests - requests,
    issued: counters.issued - issued,
    finished: counters.finished - finished,
    failed: counters.failed - failed,
    refused: counters.refused - refused,
    rejected: counters.rejected - rejected,
    gate: state,
    ...(reopensInMs !== undefined && { reopensInMs }),
    ...(on && { waitingOn: on }),
    limits: issuer.limitSet.buckets.map((bucket) => {
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
    }),
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
