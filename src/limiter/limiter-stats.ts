// What `limiter.stats()` gives: a copy in plain numbers.

import type { HealthReading } from '../call/health.ts'
import type { GateState } from '../core/inspect.ts'
import type { BoundBy, WaitReason } from './wait-reason.ts'

/** The numbers of a limiter: a copy. */
export interface LimiterStats {
  /** The limiter's name. */
  name: string
  /** Calls in line, the parked included. */
  waiting: number
  /** Of these, the ones that have been sent before: refused, or failed and to be tried again. */
  parked: number
  /** Calls that have a ticket and are not over. */
  inFlight: number
  /** Since the start, or the mark: calls that asked for a ticket, and tickets. */
  requests: number
  /** Tickets since the start, or the mark. */
  issued: number
  /** Calls that ended, and of these the ones that failed: threw, were aborted, took too long. */
  finished: number
  /** Calls that threw, were aborted or took too long. */
  failed: number
  /** Refusals by the provider, and calls turned away by the limiter. */
  refused: number
  /** Calls that the limiter turned away. */
  rejected: number
  /** Whether calls may go. */
  gate: GateState
  /** ms until the gate lets a call through, when it is known. */
  reopensInMs?: number
  /** What the first in line waits for: a dimension, `'concurrency'`, `'gate'` or `'pause'`. */
  waitingOn?: string
  /** The same in full: which limit, whose, and what the provider said. */
  why?: WaitReason
  /** What the first in the queue waited for in the last minute, the longest first. */
  boundBy: BoundBy[]
  /** The last refusal by the provider: codes and words, without what the caller wrote. */
  lastRefusal?: { kind: string; reason: string; agoMs: number }
  /** The last failure that was no refusal: '401 AuthenticationError'. */
  lastFailure?: string
  /**
   * `amount` and `perMs` as configured (`Infinity` where it is refilled); what could go at once; what was learned, in the same unit as `amount`;
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
