// What goes on in a limiter, as a copy in plain numbers.

import { gateOf, type GateState, waitingOn } from './core/view.ts'
import type { Desk } from './desk.ts'

export interface LimiterStats {
  name: string
  /** Calls in line, the parked included. */
  waiting: number
  /** Of these, the ones that have been sent before: refused, or failed and to be tried again. */
  parked: number
  inFlight: number
  /** Since the start: tickets, calls that ended, refusals by the provider, calls turned away by the limiter. */
  issued: number
  finished: number
  refused: number
  rejected: number
  gate: GateState
  /** ms until the gate lets a call through, when it is known. */
  reopensInMs?: number
  /** What the first in line waits for: a dimension, `'concurrency'`, `'gate'` or `'pause'`. */
  waitingOn?: string
  /** `amount` and `perMs` as configured; what could go at once; what was learned, in the same unit as `amount`. */
  limits: { of: string; amount: number; perMs: number; available: number; learned?: number }[]
  /** Of all tickets since the start, in ms. */
  waitMs: { p50: number; p95: number; p99: number }
}

export function stats({ office, engine, tally, inFlight, backingOff, name }: Desk): LimiterStats {
  const now = engine.now()
  const { issued, finished, refused, rejected } = tally
  const { state, reopensInMs } = gateOf(office, now)
  const on = waitingOn(office, now)
  return {
    name,
    waiting: office.waiting + backingOff,
    parked: office.parked + backingOff,
    inFlight,
    ...{ issued, finished, refused, rejected },
    gate: state,
    ...(reopensInMs !== undefined && { reopensInMs }),
    ...(on && { waitingOn: on }),
    limits: office.budget.buckets.map((bucket) => {
      const { of, said } = bucket.limit
      const { learned, configured } = bucket.rate
      const available = bucket.available(now)
      return {
        of,
        ...said,
        available,
        ...(learned && { learned: (said.amount * bucket.rate.at(now)) / configured }),
      }
    }),
    waitMs: { p50: tally.percentile(0.5), p95: tally.percentile(0.95), p99: tally.percentile(0.99) },
  }
}
