// Lets another queue wait in front of several limiters for a ticket. What the ticket is used for is decided only
// when it is issued. A caller that leaves without a ticket changes nothing. This is like `goNow`, but with
// waiting.

import type { Cost } from '../core/cost.ts'
import { contextOf } from '../lib/async-context.ts'
import { isStream } from '../lib/observe-stream.ts'
import { statusOf } from '../responses/error-text.ts'
import type { Verdict } from '../responses/verdict.ts'
import { LateCall, turnAway } from './admission.ts'
import type { CallOptions } from './call-options.ts'
import { admit, failed, perform, returned } from './execute.ts'
import { firstContent } from './first-content.ts'
import { handOver, holderAround, remember } from './nesting.ts'
import { judge } from './outcome.ts'
import type { CallPolicy, PendingCall, Work } from './pending-call.ts'

/** The result of a call, and how the limiter classified it. */
export type GrantOutcome = ({ readonly value: unknown } | { readonly error: unknown }) & {
  /** Undefined: a success, or an error that concerns only the caller. */
  readonly verdict: Verdict | undefined
  /** The HTTP status of an error or of a returned `Response`, if it has one. */
  readonly status: number | undefined
}

/** A ticket for a call that is not chosen yet. It can be used once. */
export interface Grant {
  /**
   * Runs `fn` with the ticket as `limiter.run` does: it handles streams, usage, headers and refusals. A refused
   * call does not wait. A stream is handed out after its first content, so a stream that fails before that is an
   * error. `over` is called with the outcome, and the promise settles with what `over` returns or throws.
   */
  run<R>(
    fn: (signal: AbortSignal | undefined) => unknown,
    over: (outcome: GrantOutcome) => R | Promise<R>,
    terms?: Pick<CallOptions, 'signal' | 'timeoutMs'>,
  ): Promise<R>
  /** Returns the unused ticket with everything it reserved. */
  release(): void
}

/** A ticket that a nested call took over from the call around it. */
export interface InheritedGrant extends Grant {
  /** The call that had the ticket. For a call of a pool, this is the grant with which the pool runs it. */
  readonly outer: object
  /** The signal and timeout of the call that had the ticket. The nested call takes its place and observes both. */
  readonly outerTerms: { readonly signal: AbortSignal | undefined; readonly timeoutMs: number }
}

/** A call that waits at several limiters at once. */
export interface StandbyWaiter {
  /**
   * When the call that gets the ticket began to wait, by the limiter's clock.
   * @default when it began to stand by
   */
  readonly since?: number | undefined
  /** The limiter has a ticket for it. */
  granted(grant: Grant): void
  /** There can be no ticket: the call is too large, the quota is used up, or the limiter is stopped. */
  failed(error: unknown): void
}

type Terms = Pick<CallOptions, 'signal' | 'timeoutMs'>
type Over<R> = (outcome: GrantOutcome) => R | Promise<R>
type PolicyOf = (terms: Terms) => CallPolicy

export function standBy(
  policy: CallPolicy,
  policyOf: PolicyOf,
  cost: Cost,
  waiter: StandbyWaiter,
): () => void {
  const { runtime } = policy
  const now = runtime.scheduler.now()
  const call = new StandbyCall(policy, cost, waiter, policyOf, now)
  const failure = turnAway(runtime, call, now)
  if (failure) waiter.failed(failure.error)
  else runtime.scheduler.join(call, now)
  return call.queue ? () => call.leave() : gone
}

const gone = (): void => {}

/**
 * Takes over the ticket of the enclosing call, for a call that is the same provider call. With `pays`, only a
 * ticket that covers this limiter; otherwise any ticket that could block a call of this limiter.
 */
export function takeOver(
  policy: CallPolicy,
  policyOf: PolicyOf,
  cost: Cost,
  around: unknown,
  pays: boolean,
): InheritedGrant | undefined {
  const outer = holderAround(around, policy.runtime.chain, pays)
  if (!outer) return undefined
  const { runtime, signal, timeoutMs } = outer.policy
  const now = runtime.scheduler.now()
  // The ticket returns to the limiter that issued it.
  const own = (terms: Terms): CallPolicy => ({ ...policyOf(terms), runtime })
  const call = new StandbyCall({ ...policy, runtime }, cost, undefined, own, now)
  handOver(outer, call, now)
  return Object.assign(call, { outer, outerTerms: { signal, timeoutMs } })
}

/** Shared by all standby calls: each one notifies its own waiter. */
const tellWaiter = (call: PendingCall): void => (call as StandbyCall).tell()

class StandbyCall extends LateCall implements Grant {
  readonly #waiter: StandbyWaiter | undefined
  readonly #policyOf: PolicyOf

  /** Without a waiter, the call already has a ticket. */
  constructor(
    policy: CallPolicy,
    cost: Cost,
    waiter: StandbyWaiter | undefined,
    policyOf: PolicyOf,
    now: number,
  ) {
    super(policy, cost, undefined, now)
    this.#waiter = waiter
    this.#policyOf = policyOf
    this.grant = waiter && tellWaiter
  }

  /** Which call gets the ticket is known only now. */
  override issued(now: number): number {
    this.since = Math.floor(this.#waiter?.since ?? this.since)
    return super.issued(now)
  }

  tell(): void {
    this.grant = undefined
    if (this.failure) return this.#waiter!.failed(this.failure.error)
    this.#waiter!.granted(this)
  }

  leave(): void {
    if (!this.queue) return
    const { issuer, scheduler } = this.policy.runtime
    const now = scheduler.now()
    issuer.cancel(this, now)
    scheduler.pump(now)
  }

  // Uses one promise, as any other call does. A second one would add a third to the cost of a call.
  run<R>(fn: Work, over: Over<R>, terms?: Terms): Promise<R> {
    if (terms) this.policy = this.#policyOf(terms)
    const around = contextOf(terms?.signal)
    if (around !== undefined) remember(this, around)
    this.work = fn
    try {
      admit(this)
    } catch (error) {
      return Promise.reject(error).catch(() => over(this.#failure(error)))
    }
    let result: Promise<unknown>
    try {
      result = Promise.resolve(perform(this))
    } catch (error) {
      result = Promise.reject(error)
    }
    return result.then(
      (value) => this.#ended(returned, value, over),
      (error) => this.#ended(failed, error, over),
    )
  }

  #ended<R>(how: typeof returned, result: unknown, over: Over<R>): R | Promise<R> {
    let answer: unknown
    try {
      answer = how(this, result)
    } catch (error) {
      return over(this.#failure(error))
    }
    if (typeof answer !== 'object' || answer === null)
      return over({ value: answer, verdict: this.waitState?.verdict, status: undefined })
    const told = answer instanceof Promise ? answer : this.#content(answer)
    if (!told) return over(this.#answer(answer))
    return told.then(
      (value) => over(this.#answer(value)),
      (error) => over(this.#failure(error)),
    )
  }

  /**
   * A stream that has delivered its first content. Undefined: the value is not a stream, or the stream was
   * refused.
   */
  #content(value: unknown): Promise<object> | undefined {
    return this.waitState?.verdict || !isStream(value) ? undefined : firstContent(value)
  }

  #answer(value: unknown): GrantOutcome {
    const { status } = typeof Response === 'function' && value instanceof Response ? value : {}
    return { value, verdict: this.waitState?.verdict, status }
  }

  #failure(error: unknown): GrantOutcome {
    const { verdict, heir } = this.waitState ?? {}
    // A nested call handled the error, so its verdict is looked up there.
    return { error, verdict: verdict ?? (heir && judge(heir, { error })), status: statusOf(error) }
  }

  release(): void {
    this.policy.runtime.release(this)
  }
}
