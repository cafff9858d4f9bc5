// A ticket for a queue of somebody else's, which stands before several limiters: what it will be used for is known only
// when it comes. Who leaves without a ticket leaves no trace: so this is `goNow`, but in line.

import type { Cost } from '../core/cost.ts'
import { isStream } from '../lib/observe-stream.ts'
import { statusOf } from '../responses/error-text.ts'
import type { Verdict } from '../responses/verdict.ts'
import { turnAway } from './admission.ts'
import type { CallOptions } from './call-options.ts'
import { start } from './execute.ts'
import { firstContent } from './first-content.ts'
import { judge } from './outcome.ts'
import { type CallPolicy, PendingCall } from './pending-call.ts'

/** What a call has come to, and what the limiter takes that for. */
export type GrantOutcome = ({ readonly value: unknown } | { readonly error: unknown }) & {
  /** Undefined: an answer, or an error that is the caller's own business. */
  readonly verdict: Verdict | undefined
  /** The HTTP status of an error or of a returned `Response`, if it has one. */
  readonly status: number | undefined
}

/** A ticket for a call that is still to be chosen. Use it once. */
export interface Grant {
  /**
   * Runs `fn` with the ticket, as `limiter.run` does: streams, usage, headers and refusals are seen to. It does not wait
   * when it is refused, and never rejects. A stream is given out when its first content has come, so that one which
   * fails before is an error.
   */
  run(
    fn: (signal: AbortSignal | undefined) => unknown,
    terms?: Pick<CallOptions, 'signal' | 'timeoutMs'>,
  ): Promise<GrantOutcome>
  /** The ticket is not used: all that was reserved comes back. */
  release(): void
}

/** A call that waits at several limiters at once. */
export interface StandbyWaiter {
  /** The limiter has room for it. */
  granted(grant: Grant): void
  /** There can be no ticket: the call is too large, the quota is used up, the limiter is stopped. */
  failed(error: unknown): void
}

export function standBy(
  policy: CallPolicy,
  policyOf: (terms: Pick<CallOptions, 'signal' | 'timeoutMs'>) => CallPolicy,
  cost: Cost,
  waiter: StandbyWaiter,
): () => void {
  const { runtime } = policy
  const { issuer, scheduler, counters } = runtime
  const now = scheduler.now()
  const call = new PendingCall(policy, cost, undefined, now)
  const failure = turnAway(runtime, call, now)
  if (failure) {
    waiter.failed(failure.error)
    return () => {}
  }
  call.grant = () => {
    call.grant = undefined
    if (call.failure) return waiter.failed(call.failure.error)
    counters.requests++
    waiter.granted({
      run: (fn, terms) => {
        if (terms) call.policy = policyOf(terms)
        call.work = fn
        return outcomeOf(call)
      },
      release: () => runtime.release(call),
    })
  }
  scheduler.join(call, now)
  return () => {
    if (!call.queue) return
    const then = scheduler.now()
    issuer.cancel(call, then)
    scheduler.pump(then)
  }
}

async function outcomeOf(call: PendingCall): Promise<GrantOutcome> {
  try {
    let value = await start(call)
    if (!call.waitState?.verdict && isStream(value)) value = await firstContent(value)
    const { status } = typeof Response === 'function' && value instanceof Response ? value : {}
    return { value, verdict: call.waitState?.verdict, status }
  } catch (error) {
    const { verdict, heir } = call.waitState ?? {}
    // A call within has handled it: what it was taken for there is asked once more.
    return { error, verdict: verdict ?? (heir && judge(heir, { error })), status: statusOf(error) }
  }
}
