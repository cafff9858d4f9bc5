// Nested calls: a call of the limiter made within another call of the limiter, such as `runAll` over a limited
// client, or `run` around a wrapped function. Both are one call to the provider, so they take one ticket. The
// inner call sees the answer, so it takes over the ticket of the outer one. From then on the outer call is over
// for the limiter, and passes on what the inner call returns or throws. So refusals and failures are handled once,
// by the inner call. The options of the outer call (retries, priority and so on) also apply to the inner call.
//
// Only the first inner call takes the ticket over: a function that makes two calls takes two tickets. A wrapped
// function that calls itself makes another call each time. A different limiter counts separately. In a tree of
// limiters, the inner call may go through a limiter above, which the outer ticket already covers. If it goes
// through a limiter below, it takes a ticket there, and the outer ticket is returned unused.

import type { Cost } from '../core/cost.ts'
import { context } from '../lib/async-context.ts'
import { type CallContext, type CallPolicy, PendingCall, type Work } from './pending-call.ts'

/** Makes the call with this policy within `around`. It is in flight already if it takes over a ticket. */
export function nestedCall(
  around: PendingCall,
  policy: CallPolicy,
  cost: Cost,
  work: Work | undefined,
  now: number,
): PendingCall {
  const outer = outerOf(around, policy)
  const call = outer ? inherit(outer, policy, cost, work, now) : new PendingCall(policy, cost, work, now)
  remember(call, around)
  return call
}

/** Records the calls around `call`, so that calls made within `call` find those too. */
export function remember(call: PendingCall, around: unknown): void {
  const within = live(around as PendingCall)
  if (within) call.more().within = within
}

/** The nearest enclosing call that still has a ticket. Calls without one are dropped from the chain. */
function live(call: PendingCall | undefined): PendingCall | undefined {
  let at = call
  while (at && at.state !== 'in flight') at = at.waitState?.within
  if (at?.waitState?.within) at.waitState.within = live(at.waitState.within)
  return at
}

function outerOf(around: PendingCall, { runtime, signal, wrapper }: CallPolicy): PendingCall | undefined {
  if (signal?.aborted) return undefined
  for (let at = live(around); at; at = at.waitState?.within) {
    const outer = at.policy
    if (wrapper && outer.wrapper === wrapper) return undefined
    if (outer.runtime.chain.includes(runtime) || runtime.chain.includes(outer.runtime)) return at
  }
  return undefined
}

function inherit(
  outer: PendingCall,
  inner: CallPolicy,
  cost: Cost,
  work: Work | undefined,
  now: number,
): PendingCall {
  const { runtime } = outer.policy
  const pays = runtime.chain.includes(inner.runtime)
  const call = new PendingCall(both(inner, outer.policy, pays ? runtime : inner.runtime), cost, work, now)
  if (pays) handOver(outer, call, now)
  else {
    runtime.release(outer)
    replace(outer, call, pays)
  }
  return call
}

/** Gives the ticket of `outer` to `call`, which belongs to the same limiter. */
export function handOver(outer: PendingCall, call: PendingCall, now: number): void {
  const { runtime } = outer.policy
  const told = runtime.estimator.knows(call.cost) ? call.cost : outer.cost
  call.cost = Object.keys(outer.cost).every((of) => of in told) ? told : { ...outer.cost, ...told }
  if (runtime.chain.some(({ issuer }) => issuer.limitSet.tooSmallFor(call.cost))) call.cost = outer.cost
  runtime.issuer.handOver(outer, call, now)
  runtime.scheduler.pump(now)
  replace(outer, call, true)
}

/** Replaces the outer call by the inner one. The outer call then waits for the inner one. */
function replace(outer: PendingCall, call: PendingCall, inherited: boolean): void {
  context.wanted = true
  const { refusals, failures, waitedMs } = outer.more()
  call.waitState = { refusals, failures, waitedMs, inherited }
  outer.more().heir = call
}

/**
 * The nearest enclosing call whose ticket may block a call of this limiter: it belongs to a limiter in `chain`, or
 * to a limiter that shares a parent with it.
 */
export function holderAround(
  around: unknown,
  chain: readonly CallContext[],
  pays: boolean,
): PendingCall | undefined {
  for (let at = live(around as PendingCall | undefined); at; at = at.waitState?.within) {
    const above = at.policy.runtime.chain
    if (pays ? above.includes(chain[0]!) : above.some((one) => chain.includes(one))) return at
  }
  return undefined
}

/** Merges the policies of nested calls. Options of the inner call win. Of two bounds, the tighter one applies. */
function both(inner: CallPolicy, outer: CallPolicy, runtime: CallPolicy['runtime']): CallPolicy {
  return {
    ...inner,
    runtime,
    priority: inner.priority || outer.priority,
    tenant: inner.tenant ?? outer.tenant,
    signal: inner.signal ?? outer.signal,
    maxWaitMs: Math.min(inner.maxWaitMs, outer.maxWaitMs),
    maxRefusals: Math.min(inner.maxRefusals, outer.maxRefusals),
    timeoutMs: Math.min(inner.timeoutMs, outer.timeoutMs),
    // If the limiter retries by default, an inner call without retries has disabled them explicitly.
    retry: inner.retry ?? (runtime.options.retry ? undefined : outer.retry),
    classify: inner.classify ?? outer.classify,
    wrapper: inner.wrapper ?? outer.wrapper,
  }
}

/** Aborts the inner call that holds the ticket of an aborted outer call. */
export function abandonHeir(outer: PendingCall, error: unknown): void {
  const heir = outer.waitState?.heir
  if (!heir) return
  const { runtime } = heir.policy
  runtime.giveUp(heir, error)
  runtime.lose(heir)
  abandonHeir(heir, error)
}
