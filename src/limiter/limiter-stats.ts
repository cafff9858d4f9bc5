// The result of `limiter.stats()`: a copy in plain numbers.

import type { HealthReading } from '../call/health.ts'
import type { GateState } from '../core/inspect.ts'
import type { BoundBy, WaitReason } from './wait-reason.ts'

/** The statistics of a limiter: a copy. */
export interface LimiterStats {
  /** The name of the limiter. */
  name: string
  /** Waiting calls, including parked ones and those in the queue of a pool. */
  waiting: number
  /**
   * Of the waiting calls, those in the queue of a pool, while it has calls for this limiter. A call that waits for
   * several limiters counts at one of them.
   */
  inPools?: number
  /** Waiting calls that were sent before: refused, or waiting for a retry. */
  parked: number
  /** Calls that have a ticket and have not ended. */
  inFlight: number
  /** Calls that asked for a ticket since the start or the mark. */
  requests: number
  /** Tickets issued since the start or the mark. */
  issued: number
  /** Calls that ended since the start or the mark, answered or failed. */
  finished: number
  /** Calls that threw, were aborted or timed out, since the start or the mark. */
  failed: number
  /** Refusals by the provider since the start or the mark. */
  refused: number
  /** Calls rejected by the limiter since the start or the mark. */
  rejected: number
  /** Whether calls may go. */
  gate: GateState
  /** Time in ms until the gate lets a call through, if known. */
  reopensInMs?: number
  /** What the first call in the queue waits for: the dimension of a limit, or else the `kind` of `why`. */
  waitingOn?: string
  /** The same in detail: which limit, of which limiter, and what the provider said. */
  why?: WaitReason
  /** What the first call in the queue waited for in the last minute, or since the mark, longest first. */
  boundBy: BoundBy[]
  /** The last refusal by the provider: its codes and words, without any text of the request. */
  lastRefusal?: { kind: string; reason: string; agoMs: number }
  /** The last failure that was not a refusal, such as '401 AuthenticationError'. */
  lastFailure?: string
  /**
   * Why the last call was rejected: the code of its error, such as `'QUOTA_EXHAUSTED'`, or the name of its abort
   * reason, such as `'AbortError'`.
   */
  lastRejection?: string
  /**
   * Per limit: `amount` and `perMs` as configured (`amount` is `Infinity` with a refill), the amount available
   * now, the learned amount in the same unit, and what tickets took and calls used since the start or the mark, as
   * far as known.
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
  /** What the provider's headers last said. `resetsInMs` counts from now. */
  told?: { of: string; perMs?: number; limit?: number; remaining?: number; resetsInMs?: number }[]
  /** Percentiles of the waits of all tickets since the start or the mark, in ms. */
  waitMs: { p50: number; p95: number; p99: number }
  /** The provider's latency, if it is watched. */
  health?: HealthReading
}

/** A moment to count from: `limiter.stats(mark)`. */
export interface Mark {
  /** The time of the mark, by the clock's `now()`. */
  readonly at: number
}
