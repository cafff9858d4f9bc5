// What a call may ask of its limiter. The limiter's runtime implements it, so that nothing here names the runtime.

import type { Used } from '../core/cost.ts'
import type { Limit } from '../core/limit/parse-limits.ts'
import type { TicketIssuer } from '../core/ticket-issuer.ts'
import type { LimitHint } from '../responses/headers.ts'
import type { Refusal } from '../responses/verdict.ts'
import type { Scheduler } from '../scheduler/scheduler.ts'
import type { LimiterStoppedError, QuotaExhaustedError } from './errors.ts'
import type { EventSink } from './events.ts'
import type { HealthMonitor } from './health.ts'
import type { PendingCall } from './pending-call.ts'
import type { TokenEstimator } from './token-estimator.ts'

export interface CallContext {
  readonly name: string
  readonly issuer: TicketIssuer
  readonly scheduler: Scheduler<PendingCall>
  /** This limiter and all above it, up to the root. */
  readonly chain: readonly CallContext[]
  readonly events: EventSink
  readonly counters: { requests: number; waited(ms: number): void }
  readonly estimator: TokenEstimator
  readonly options: {
    readonly queue?: { readonly max?: number; readonly onFull?: 'reject' | 'evict-lowest' }
    readonly learn?: boolean
    readonly pacing?: 'smooth' | 'eager'
  }
  /** All that watch the latency of a call here: of this limiter and those above it. */
  readonly monitors: readonly HealthMonitor[]
  /** The exact limits of this limiter and of those above it. */
  readonly limits: readonly Limit[]
  /** Whether anything but requests is counted, so that usage matters. */
  readonly metered: boolean
  readonly random: () => number
  /** What the provider's headers said last of each limit, and when. */
  readonly told: Map<string, LimitHint & { at: number }>
  /** Is shown every answer that is an object. */
  readonly seen: ((answer: unknown) => void) | undefined
  /** What every call is rejected with, once stopped. */
  readonly stopped: LimiterStoppedError | undefined
  /** What calls are rejected with while the quota is used up. */
  readonly spent: QuotaExhaustedError | undefined
  /** Calls that wait for their next try, here and below. */
  backingOff: number
  /** Calls in flight, here and below. */
  inFlight: number
  /** Whether calls are turned away since the store of the shared limit does not answer. */
  storeFailure(): { cause: unknown } | undefined
  enqueue(call: PendingCall, now: number): void
  giveUp(call: PendingCall, error: unknown): void
  finish(call: PendingCall, used: Used, end: 'ok' | 'failed' | 'lost'): void
  refuse(call: PendingCall, verdict: Refusal, error: unknown, mayWait?: boolean): void
  backOff(call: PendingCall, delayMs: number, error: unknown): void
  answered(call: PendingCall): void
  /** Something of the user's threw: tells the `error` event. */
  failed(error: unknown, where: string): void
}
