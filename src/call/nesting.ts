// A call of the limiter within a call of the limiter: `runAll` over a limited client, `run` around a wrapped function. It
// is one call to the provider, so it takes one ticket: the inner call, which knows the answer, takes over the ticket of the
// outer one. The outer call is over for the limiter then, and gives on what the inner one returns or throws: refusals and
// failures are handled once, within. What the outer call said for its retries, its priority and so on holds for the
// inner call too.
//
// Only the first call within takes the ticket over: a function that makes two calls takes two. A wrapped function that
// calls itself makes another call each time. Another limiter counts for itself. In a tree of limiters the inner call may
// be of a limiter above, which the ticket pays for already, or of one below: then it takes a ticket there, and the outer
// one goes back unused.

import type { Cost } from '../core/cost.ts'
import { context } from '../lib/async-context.ts'
import { type CallContext, type CallPolicy, PendingCall, type Work } from './pending-call.ts'

/** The call with this policy that is made within `around`: in flight already, if it takes over a ticket. */
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

/** Calls made within `call` find those around it, too. */
export function remember(call: PendingCall, around: unknown): void {
  const within = live(around as PendingCall)
  if (within) call.more().within = within
}

/** The nearest call around this one that has a ticket. Those that have none any more are forgotten. */
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

/** Gives the ticket of `outer` to `call`, which is of the same limiter. */
export function handOver(outer: PendingCall, call: PendingCall, now: number): void {
  const { runtime } = outer.policy
  const told = runtime.estimator.knows(call.cost) ? call.cost : outer.cost
  call.cost = Object.keys(outer.cost).every((of) => of in told) ? told : { ...outer.cost, ...told }
  if (runtime.chain.some(({ issuer }) => issuer.limitSet.tooSmallFor(call.cost))) call.cost = outer.cost
  runtime.issuer.handOver(outer, call, now)
  runtime.scheduler.pump(now)
  replace(outer, call, true)
}

/** From now on the inner call is the call, and the outer one waits for it. */
function replace(outer: PendingCall, call: PendingCall, inherited: boolean): void {
  context.wanted = true
  const { refusals, failures, waitedMs } = outer.more()
  call.waitState = { refusals, failures, waitedMs, inherited }
  outer.more().heir = call
}

/**
 * The nearest call around this code that holds a ticket which a call of this limiter may have to wait for: of one of
 * `chain`, or of a limiter that shares one of these with it.
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

/** What holds for a call within a call: its own word, else the outer one's; of bounds the tighter. */
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
    // Where the limiter retries by default, an inner call without retries has said that it wants none.
    retry: inner.retry ?? (runtime.options.retry ? undefined : outer.retry),
    classify: inner.classify ?? outer.classify,
    wrapper: inner.wrapper ?? outer.wrapper,
  }
}

/** The outer call is given up, and with it the call that has its ticket. */
export function abandonHeir(outer: PendingCall, error: unknown): void {
  const heir = outer.waitState?.heir
  if (!heir) return
  const { runtime } = heir.policy
  runtime.giveUp(heir, error)
  runtime.lose(heir)
  abandonHeir(heir, error)
}
