// A call that stands in line for a queue of somebody else's, which stands before several limiters. What it will run
// is known only when its ticket comes. One that leaves without a ticket leaves no trace.

import type { Cost } from '../core/cost.ts'
import type { Verdict } from '../responses/verdict.ts'
import { turnAway } from './admission.ts'
import type { CallOptions } from './call-options.ts'
import { start } from './execute.ts'
import { type CallPolicy, PendingCall, type Work } from './pending-call.ts'

/** What holds for the one call that a ticket is used for. */
export interface GrantTerms extends Pick<CallOptions, 'signal' | 'timeoutMs'> {
  /** Is told what the limiter takes the answer for: `undefined` is an answer, or an error of the caller's own. */
  judged?: (verdict: Verdict | undefined) => void
}

/** A ticket for a call that is still to be chosen. Use it once. */
export interface Grant {
  /**
   * Runs `fn` with the ticket, as `limiter.run` does: streams, usage, headers and refusals are seen to. Refused, it does
   * not wait: the refusal goes to the caller.
   */
  run<T>(fn: (signal: AbortSignal | undefined) => T, terms?: GrantTerms): Promise<Awaited<T>>
  /** The ticket is not used: all that was reserved comes back. */
  release(): void
}

export interface StandbyWaiter {
  granted(grant: Grant): void
  /** There can be no ticket: the call is too large, the quota is used up, the limiter is stopped. */
  failed(error: unknown): void
}

export function standBy(
  policy: CallPolicy,
  cost: Cost,
  waiter: StandbyWaiter,
  policyOf: (terms: GrantTerms) => CallPolicy,
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
    if (call.failure) {
      waiter.failed(call.failure.error)
      return
    }
    counters.requests++
    waiter.granted({
      run: (fn, terms = {}) => run(call, policyOf(terms), terms.judged, fn as Work) as never,
      release: () => runtime.release(call),
    })
  }
  issuer.enqueue(call, now)
  scheduler.join(call, now)
  return () => {
    if (!call.queue) return
    const then = scheduler.now()
    issuer.cancel(call, then)
    scheduler.pump(then)
  }
}

async function run(
  call: PendingCall,
  policy: CallPolicy,
  judged: GrantTerms['judged'],
  work: Work,
): Promise<unknown> {
  call.policy = policy
  call.work = work
  call.judged = judged
  return start(call)
}
