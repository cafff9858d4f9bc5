// A call that waits or is in flight: the data the core keeps about it, and how to wake the code that waits for its
// ticket.
//
// A million calls may wait at once, so each field (8 bytes) matters. State that few calls need is kept in
// `waitState`, and the wait is one promise of which only `resolve` is stored. The promise is continued by
// `.then(shared function)`, so the caller's function runs in the caller's async context (AsyncLocalStorage) and
// not in the context of the code that freed the slot.

import type { Cost } from '../core/cost.ts'
import { Call } from '../core/call.ts'
import type { TicketIssuer } from '../core/ticket-issuer.ts'
import type { LimitHint } from '../responses/headers.ts'
import type { Refusal, Verdict } from '../responses/verdict.ts'
import type { Limit } from '../core/limit/parse-limits.ts'
import type { Duration } from '../lib/duration.ts'
import type { LimiterStoppedError, QuotaExhaustedError } from './errors.ts'
import type { EventSink } from './events.ts'
import type { HealthMonitor } from './health.ts'
import type { TokenEstimator } from './token-estimator.ts'
import type { ScheduledCall, ScheduledTask, Scheduler } from '../scheduler/scheduler.ts'
import type { Usage } from '../responses/usage.ts'
import type { Classify, RetryOptions } from './call-options.ts'

/**
 * What a call needs from its limiter. The limiter's runtime implements it, so that no call module imports the
 * runtime.
 */
export interface CallContext {
  readonly name: string
  readonly issuer: TicketIssuer
  readonly scheduler: Scheduler<PendingCall>
  /** This limiter and its ancestors up to the root, in this order. */
  readonly chain: readonly CallContext[]
  readonly events: EventSink
  readonly counters: { requests: number; waited(ms: number): void }
  /** Calls that wait for a ticket: here, below, and in queues in front of these limiters. */
  readonly waiting: number
  /** What the first of them waits for, by name. */
  waitingOn(now: number): string | undefined
  readonly estimator: TokenEstimator
  readonly options: {
    readonly queue?:
      | {
          readonly max?: number | undefined
          readonly onFull?: 'reject' | 'evict-lowest' | 'evict-oldest' | undefined
        }
      | undefined
    readonly learn?: boolean | undefined
    readonly maxRetryAfterMs?: Duration | undefined
    readonly pacing?: 'smooth' | 'eager' | undefined
    readonly retry?: RetryOptions | false | undefined
  }
  /** Everything that watches latency for this limiter and its ancestors. */
  readonly monitors: readonly HealthMonitor[]
  /** The limits of this limiter and its ancestors. */
  readonly limits: readonly Limit[]
  /** Whether anything besides requests is counted, so that usage matters. */
  readonly metered: boolean
  readonly random: () => number
  /** For this many more calls, nested calls are looked for even if they are unlikely. */
  trials: number
  /** The wrapped function that made the last call. Undefined after a plain call, null before the first call. */
  wrapper: object | undefined | null
  /** What the provider's headers last said about each limit, and when. */
  readonly told: Map<string, LimitHint & { at: number }>
  /** Called with every answer that is an object. */
  readonly seen: ((answer: unknown) => void) | undefined
  /** The error for every call after `stop()`. */
  readonly stopped: LimiterStoppedError | undefined
  /** The error for calls while the quota is used up. */
  readonly spent: QuotaExhaustedError | undefined
  /** Calls of this limiter and its descendants that wait for their next attempt. */
  backingOff: number
  /** Calls in flight of this limiter and its descendants. */
  inFlight: number
  /** The last failure that was not a refusal, such as '401 AuthenticationError'. */
  lastFailure: string | undefined
  /** Why calls are rejected while the store of the shared limit does not answer. */
  storeFailure(): { cause: unknown } | undefined
  enqueue(call: PendingCall, now: number): Standing
  giveUp(call: PendingCall, error: unknown): void
  finish(call: PendingCall, used: Cost | undefined, failure?: string): void
  lose(call: PendingCall, failure?: string): void
  release(call: PendingCall): void
  refuse(call: PendingCall, verdict: Refusal, error: unknown, mayWait?: boolean): void
  backOff(call: PendingCall, delayMs: number, error: unknown, reason: string): void
  answered(call: PendingCall): void
  /** Emits `error` after user code threw. */
  failed(error: unknown, where: string): void
}

/**
 * The options that apply to a call: its own and its limiter's defaults, checked. Shared by all calls without
 * options.
 */
export interface CallPolicy {
  /** The limiter of the call. */
  readonly runtime: CallContext
  readonly priority: number
  readonly tenant: string | undefined
  /** The caller's name for the call, for events and lists. */
  readonly id: string | undefined
  readonly signal: AbortSignal | undefined
  readonly maxWaitMs: number
  readonly maxRefusals: number
  readonly timeoutMs: number
  readonly retry: RetryOptions | undefined
  readonly classify: Classify | undefined
  readonly usage: ((result: never) => Usage | undefined) | undefined
  readonly streamIdleMs: number
  /** The wrapped function that makes the call, if there is one. */
  readonly wrapper: object | undefined
}

/** State that only calls with deadlines or refusals need. */
export interface WaitState {
  /** The error thrown to the caller instead of starting the call. */
  failure?: { error: unknown } | undefined
  deadline?: ScheduledTask | undefined
  unwatch?: (() => void) | undefined
  backoff?: ScheduledTask | undefined
  stuck?: ScheduledTask | undefined
  parkedAt?: number
  firstParkedAt?: number
  lastRefusal?: unknown
  /** A short text of the last refusal or failure. */
  lastReason?: string
  /** The verdict on its last answer, if that was not a success. */
  verdict?: Verdict
  refusals: number
  failures: number
  /** The total time it has waited in the queue, which `maxWaitMs` bounds. */
  waitedMs: number
  /** Whether a stream of its answer has begun. */
  answered?: boolean
  /** The enclosing call. */
  within?: PendingCall | undefined
  /** The inner call that took over this call's ticket. This call only passes on what that one returns or throws. */
  heir?: PendingCall
  /** It took over a ticket that was issued to another call, and has not started itself yet. */
  inherited?: boolean
}

/** The state of a call that has asked for a ticket. */
export type Standing =
  | { readonly is: 'waiting' }
  | { readonly is: 'issued' }
  | { readonly is: 'rejected'; readonly error: unknown }

const WAITING: Standing = { is: 'waiting' }
const ISSUED: Standing = { is: 'issued' }

export type Work = (signal: AbortSignal | undefined) => unknown

export class PendingCall extends Call<TicketIssuer> implements ScheduledCall<PendingCall> {
  policy: CallPolicy
  work: Work | undefined
  grant: ((call: PendingCall) => void) | undefined = undefined
  /** When the call was made, in whole ms, so that V8 does not box the number. */
  since: number
  waitState: WaitState | undefined = undefined

  constructor(policy: CallPolicy, cost: Cost, work: Work | undefined, now: number) {
    super(policy.runtime.issuer, cost)
    this.policy = policy
    this.work = work
    this.since = Math.floor(now)
  }

  /** It gets its ticket. Returns how long it has waited for it, in ms. */
  issued(now: number): number {
    return now - (this.waitState?.parkedAt ?? this.since)
  }

  override reckon(): Cost {
    const { estimator, limits, metered } = this.policy.runtime
    return metered ? (this.cost = estimator.again(this.cost, limits)) : this.cost
  }

  override get priority(): number {
    return this.policy.priority
  }

  override get tenant(): string | undefined {
    return this.policy.tenant
  }

  /** The error to throw instead of starting the call, although it was woken. */
  get failure(): { error: unknown } | undefined {
    return this.waitState?.failure
  }

  get standing(): Standing {
    const { state, failure } = this
    if (failure) return { is: 'rejected', error: failure.error }
    return state === 'in flight' ? ISSUED : WAITING
  }

  /** The event fields that identify the call. */
  get named(): { id: string } | undefined {
    const { id } = this.policy
    return id === undefined ? undefined : { id }
  }

  more(): WaitState {
    return (this.waitState ??= { refusals: 0, failures: 0, waitedMs: 0 })
  }
}
