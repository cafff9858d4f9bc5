// The type that `limiter.stats()` returns: a copy in plain numbers.

import type { HealthReading } from '../call/health.ts'
import type { GateState } from '../core/inspect.ts'
import type { BoundBy, WaitReason } from './wait-reason.ts'

/** The state of a limiter in numbers: a copy. */
export interface LimiterStats {
  /** The limiter's name. */
  name: string
  /** Calls that wait, the parked ones included. */
  waiting: number
  /** Those of them that were sent before: refused, or waiting for a retry. */
  parked: number
  /** Calls that have a ticket and have not ended. */
  inFlight: number
  /** Calls that asked for a ticket since the start, or the mark. */
  requests: number
  /** Tickets issued since the start, or the mark. */
  issued: number
  /** Calls that ended since the start, or the mark: answered or failed. */
  finished: number
  /** Calls that threw, were aborted or took too long. */
  failed: number
  /** Refusals by the provider since the start, or the mark. */
  refused: number
  /** Calls that the limiter itself rejected. */
  rejected: number
  /** Whether calls may go. */
  gate: GateState
  /** ms until the gate lets a call through, if that is known. */
  reopensInMs?: number
  /** What the first call in the queue waits for: a dimension, `'concurrency'`, `'gate'` or `'pause'`. */
  waitingOn?: string
  /** The same in detail: which limit, of which limiter, and what the provider said. */
  why?: WaitReason
  /** What the first call in the queue waited for in the last minute, or since the mark; the longest first. */
  boundBy: BoundBy[]
  /** The last refusal by the provider: its codes and words, without any text of the request. */
  lastRefusal?: { kind: string; reason: string; agoMs: number }
  /** The last failure that was no refusal: '401 AuthenticationError'. */
  lastFailure?: string
  /**
   * Why the last call was rejected: the code of its error, such as `'QUOTA_EXHAUSTED'`, or the name of what its caller aborted
   * it with: `'AbortError'`.
   */
  lastRejection?: string
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
  /** What the provider's headers last said, if anything; `resetsInMs` counts from now. */
  told?: { of: string; perMs?: number; limit?: number; remaining?: number; resetsInMs?: number }[]
  /** The waits of all tickets since the start, or the mark, in ms. */
  waitMs: { p50: number; p95: number; p99: number }
  /** The provider's latency, where it is watched. */
  health?: HealthReading
}

/** A moment in the life of a limiter, to count from: `limiter.stats(mark)`. */
export interface Mark {
  /** When it was, by the clock's `now()`. */
  readonly at: number
}
