// A call that waits or is in flight: what the core knows of it, and how to wake the code that waits for its ticket.
//
// A million of these may wait, so each field counts (8 bytes), what few calls need is in `waitState`, and the wait
// is one promise whose `resolve` alone is kept. That promise is followed by `.then(shared function)`: so the
// caller's function runs in the caller's own async context (AsyncLocalStorage), not in that of whoever made
// room.

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

/** What a call may ask of its limiter. The limiter's runtime implements it, so that no part of a call names the runtime. */
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
  /** All that watch the latency of a call here: of this limiter and those above it. */
  readonly monitors: readonly HealthMonitor[]
  /** The exact limits of this limiter and of those above it. */
  readonly limits: readonly Limit[]
  /** Whether anything but requests is counted, so that usage matters. */
  readonly metered: boolean
  readonly random: () => number
  /** For this many more calls, nested calls are looked for even if they are unlikely. */
  trials: number
  /** The wrapped function that makes all calls so far, if one does. */
  wrapper: object | undefined | null
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
  /** The last failure that was no refusal: '401 AuthenticationError'. */
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
  /** Code of the user threw: emits `error`. */
  failed(error: unknown, where: string): void
}

/** What holds for a call: its own options over its limiter's, checked and exact. Shared by all plain calls. */
export interface CallPolicy {
  /** The limiter, as its calls know it. */
  readonly runtime: CallContext
  readonly priority: number
  readonly tenant: string | undefined
  /** What the caller calls it, for events and lists. */
  readonly id: string | undefined
  readonly signal: AbortSignal | undefined
  readonly maxWaitMs: number
  readonly maxRefusals: number
  readonly timeoutMs: number
  readonly retry: RetryOptions | undefined
  readonly classify: Classify | undefined
  readonly usage: ((result: never) => Usage | undefined) | undefined
  readonly streamIdleMs: number
  /** The wrapped function that makes the call, if one does. */
  readonly wrapper: object | undefined
}

/** What only calls that wait under conditions, or were refused, need. */
export interface WaitState {
  /** Why it must not go: thrown to the caller instead of a ticket. */
  failure?: { error: unknown } | undefined
  deadline?: ScheduledTask | undefined
  unwatch?: (() => void) | undefined
  backoff?: ScheduledTask | undefined
  stuck?: ScheduledTask | undefined
  parkedAt?: number
  firstParkedAt?: number
  lastRefusal?: unknown
  /** What the last refusal or failure said, in few words. */
  lastReason?: string
  /** How its last answer was classified, if it was no success. */
  verdict?: Verdict
  refusals: number
  failures: number
  /** All the time it has waited in the queue: what `maxWaitMs` bounds. */
  waitedMs: number
  /** A stream of its answer has begun. */
  answered?: boolean
  /** The call that it was made within. */
  within?: PendingCall | undefined
  /** The call within that has taken its ticket over: this one only gives on what that one returns or throws. */
  heir?: PendingCall
  /** It has taken over the ticket of another, which began with it, and has not begun itself. */
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
  /** When it came, in whole ms: so it is no boxed number. */
  readonly since: number
  waitState: WaitState | undefined = undefined

  constructor(policy: CallPolicy, cost: Cost, work: Work | undefined, now: number) {
    super(policy.runtime.issuer, cost)
    this.policy = policy
    this.work = work
    this.since = Math.floor(now)
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

  /** Why it must not go, though it was woken. */
  get failure(): { error: unknown } | undefined {
    return this.waitState?.failure
  }

  get standing(): Standing {
    const { state, failure } = this
    if (failure) return { is: 'rejected', error: failure.error }
    return state === 'in flight' ? ISSUED : WAITING
  }

  /** For events: whose call it is. */
  get named(): { id: string } | undefined {
    const { id } = this.policy
    return id === undefined ? undefined : { id }
  }

  more(): WaitState {
    return (this.waitState ??= { refusals: 0, failures: 0, waitedMs: 0 })
  }
}
