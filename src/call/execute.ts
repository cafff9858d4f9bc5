// Runs a call from its ticket to its end: runs the function, classifies the answer, and acts on it. Every answer,
// thrown or returned, goes through the same classifier.

import { fail, judge, land, learnFrom, noteFailure } from './outcome.ts'
import type { Cost } from '../core/cost.ts'
import { type Duration, duration } from '../lib/duration.ts'
import { CallTimeoutError } from './errors.ts'
import { needsBody } from '../responses/classify.ts'
import type { Outcome, Verdict } from '../responses/verdict.ts'
import { safeCall } from './safe-call.ts'
import { hold } from './stream-ticket.ts'
import { passOn, watch } from '../lib/abort.ts'
import { context, contextOf, findStorage } from '../lib/async-context.ts'
import { abandonHeir, nestedCall } from './nesting.ts'
import { type CallPolicy, PendingCall, type Work } from './pending-call.ts'

/** How long to wait for the body of a refused Response. */
const BODY_MS = 2000

/** Some SDKs add a listener to the signal on each attempt and never remove it. Node warns at the eleventh. */
const MOST_LISTENERS = 8

/** One call: waits, gets its ticket, runs and ends. */
export function dispatch(policy: CallPolicy, cost: Cost, work: Work): Promise<unknown> {
  const call = newCall(policy, cost, work)
  if (call.standing.is === 'waiting') return policy.runtime.scheduler.ticket(call).then(start)
  const result = start(call)
  return result instanceof Promise ? result : Promise.resolve(result)
}

/** Asks for a ticket. A nested call may already hold the ticket of the outer call when this returns. */
export function newCall(policy: CallPolicy, cost: Cost, work: Work | undefined): PendingCall {
  const { runtime } = policy
  const now = runtime.scheduler.now()
  // Inlines `contextOf`: most calls then avoid a function call.
  const around =
    context.current ??
    (context.storage ? context.storage.getStore() : policy.signal && contextOf(policy.signal))
  const call = around
    ? nestedCall(around as PendingCall, policy, cost, work, now)
    : new PendingCall(policy, cost, work, now)
  if (call.state === 'new') runtime.enqueue(call, now)
  // The call may wait for a call that waits for the call around it. `explain` reports that, even if it happens
  // much later.
  if (around && call.queue) context.wanted = true
  return call
}

/** Throws if a woken call must not start because it was rejected, or aborted after its ticket was issued. */
export function admit(call: PendingCall): void {
  const { waitState, policy, since, sentAt } = call
  const { runtime, signal } = policy
  if (waitState?.failure) throw waitState.failure.error
  if (waitState?.inherited) {
    waitState.inherited = false
    return
  }
  if (signal?.aborted) {
    runtime.release(call)
    throw signal.reason
  }
  if (runtime.events.heard.has('start'))
    runtime.events.emit('start', {
      ...call.named,
      waitedMs: Math.max(0, sentAt! - (waitState?.parkedAt ?? since)),
    })
}

/** Runs the call's function with its ticket. Throws if the call must not get one. */
function start(call: PendingCall): unknown {
  admit(call)
  let result: unknown
  let promise: Promise<unknown> | undefined
  try {
    result = perform(call)
    promise = promised(result)
  } catch (error) {
    return failed(call, error)
  }
  if (!promise) return returned(call, result)
  return promise.then(
    (value) => returned(call, value),
    (error) => failed(call, error),
  )
}

/** Runs the function of a call that has its ticket. */
export function perform(call: PendingCall): unknown {
  const { timeoutMs, signal } = call.policy
  // Where async context is unavailable, the call gets its own signal, which identifies it.
  const marked = context.storage === null && (context.wanted || call.policy.runtime.trials > 0)
  return signal || timeoutMs < Infinity || marked
    ? bounded(call, call.work!)
    : within(call, call.work!, undefined)
}

function promised(result: unknown): Promise<unknown> | undefined {
  if (result instanceof Promise) return result
  const { then } = Object(result) as { then?: unknown }
  return typeof then === 'function' ? Promise.resolve(result) : undefined
}

/** Runs work as part of the call, so that calls made in it are recognised as nested. */
export function within<T>(
  call: PendingCall,
  work: (signal: AbortSignal | undefined) => T,
  signal: AbortSignal | undefined,
): T {
  const { runtime, wrapper } = call.policy
  const before = context.current
  context.current = call
  try {
    if (runtime.wrapper !== wrapper) {
      // Several wrappers exist, so one may be nested in another.
      if (runtime.wrapper !== null) context.wanted = true
      runtime.wrapper = wrapper
    }
    if (!context.wanted) {
      if (runtime.trials === 0) return work(signal)
      // In older versions of Node, async context slows down every promise of the process. So it is disabled after
      // this many calls without a nested one.
      if (--runtime.trials === 0) context.storage?.disable()
    }
    const storage = context.storage === undefined ? findStorage() : context.storage
    if (storage) return storage.run(call, work, signal)
    if (signal) context.marks.set(signal, call)
    return work(signal)
  } finally {
    context.current = before
  }
}

/** Runs the work. Stops waiting for it and aborts its signal when the caller aborts or `timeoutMs` passes. */
export function bounded(call: PendingCall, work: Work): Promise<unknown> {
  const { policy, waitState } = call
  const { runtime, signal, timeoutMs } = policy
  const { scheduler } = runtime
  const tries = waitState ? waitState.refusals + waitState.failures : 0
  const alone = timeoutMs < Infinity || tries >= MOST_LISTENERS || context.storage === null
  const own = alone ? new AbortController() : undefined
  return new Promise((resolve, reject) => {
    const giveUp = (error: unknown) => {
      reject(error)
      own?.abort(error)
      abandonHeir(call, error)
    }
    const unwatch = signal && watch(signal, () => giveUp(signal.reason))
    // A nested call that took over this ticket also took over the timeout. It may be waiting in the queue now.
    const late = () =>
      call.waitState?.heir ||
      giveUp(new CallTimeoutError(`'${runtime.name}': the call took longer than timeoutMs (${timeoutMs} ms)`))
    const task = timeoutMs < Infinity ? scheduler.at(scheduler.now() + timeoutMs, late, true) : undefined
    const over = () => {
      if (task) scheduler.forget(task)
      unwatch?.()
    }
    const done = (value: unknown) => {
      over()
      if (own && signal && typeof value === 'object' && value !== null) passOn(signal, own, value)
      resolve(value)
    }
    const fail = (error: unknown) => {
      over()
      reject(error)
    }
    new Promise((begun) => begun(within(call, work, own?.signal ?? signal))).then(done, fail)
  })
}

/** Handles a value the work returned. Returns or throws what the caller gets. */
export function returned(call: PendingCall, value: unknown): unknown {
  if (call.waitState?.heir) return value
  if (typeof value !== 'object' || value === null) {
    land(call, value)
    return value
  }
  if (needsBody(value)) return readBody(call, value as Response).then((body) => judged(call, { value, body }))
  return judged(call, { value })
}

/** Handles an error the work threw. Throws what the caller gets, or returns the result of the next attempt. */
export function failed(call: PendingCall, error: unknown): unknown {
  if (call.waitState?.heir) throw error
  return judged(call, { error })
}

function judged(call: PendingCall, outcome: Outcome): unknown {
  const { runtime } = call.policy
  const threw = 'error' in outcome
  const answer = threw ? outcome.error : outcome.value
  runtime.seen?.(answer)
  const verdict = verdictOf(call, outcome)
  if (!verdict) {
    learnFrom(answer, call)
    if (threw) {
      fail(call, answer)
      throw answer
    }
    const held = hold(call, answer)
    if (!held) land(call, answer)
    return held ?? answer
  }
  call.more().verdict = verdict
  if (verdict.kind !== 'transient') runtime.refuse(call, verdict, answer)
  else {
    const failure = noteFailure(call, answer)
    if (!backOff(call, answer, verdict)) {
      runtime.lose(call, failure)
      if (threw) throw answer
      return answer
    }
  }
  // Must not happen earlier: the headers may release other calls, and the refused call must be queued ahead of
  // them.
  learnFrom(answer, call)
  if (!threw) {
    if (call.waitState?.failure?.error === answer) return answer
    // The caller never sees this answer, so nothing else would read its body and free the connection.
    discard(answer)
  }
  return call.standing.is === 'waiting' ? runtime.scheduler.ticket(call).then(start) : start(call)
}

/** Classifies an answer. Failures that the user's `retry.on` selects count as transient. */
export function verdictOf(call: PendingCall, outcome: Outcome): Verdict | undefined {
  const { retry, signal } = call.policy
  const verdict = judge(call, outcome)
  if (verdict || !('error' in outcome) || !retry?.on || signal?.aborted) return verdict
  return { kind: 'transient', reason: 'retry.on' }
}

/** Schedules the next attempt if `retry` allows one more. Returns whether it does. */
export function backOff(call: PendingCall, answer: unknown, { waitMs, reason }: Verdict): boolean {
  const delayMs = retryDelay(call, answer, waitMs)
  if (delayMs === undefined) return false
  call.policy.runtime.backOff(call, delayMs, answer, reason)
  return true
}

function retryDelay({ policy, waitState }: PendingCall, error: unknown, waitMs?: number): number | undefined {
  const { retry, runtime } = policy
  if (!retry) return undefined
  const { attempts = 3, minMs = 500, maxMs = 8000, factor = 2, jitter = 0.25, on, delayMs } = retry
  const failures = waitState?.failures ?? 0
  if (failures + 1 >= attempts || (on && !safeCall(() => on(error), runtime, 'retry.on'))) return undefined
  const failure = { error, failures: failures + 1, ...(waitMs !== undefined && { waitMs }) }
  const chosen = delayMs && safeCall(() => delayOf(delayMs(failure)), runtime, 'retry.delayMs')
  if (chosen !== undefined) return chosen
  const delay = Math.min(duration(minMs, 'minMs') * factor ** failures, duration(maxMs, 'maxMs'))
  return Math.max(waitMs ?? 0, delay * (1 - jitter * runtime.random()))
}

/** The wait that the user's function chose. */
const delayOf = (chosen: Duration | undefined): number | undefined =>
  chosen === undefined || chosen === 0 ? chosen : duration(chosen, 'retry.delayMs')

function discard(answer: unknown): void {
  const { body } = answer as Partial<Response>
  if (typeof body?.cancel === 'function') body.cancel().catch(() => {})
}

/** Reads the body of a refused Response from a clone, so the caller can still read the original. */
export async function readBody({ policy }: PendingCall, response: Response): Promise<unknown> {
  const { scheduler } = policy.runtime
  let give: (body: undefined) => void
  const late = new Promise<undefined>((resolve) => {
    give = resolve
  })
  const task = scheduler.at(scheduler.now() + BODY_MS, () => give(undefined), true)
  try {
    return await Promise.race([response.clone().text(), late])
  } catch {
    return undefined
  } finally {
    scheduler.forget(task)
  }
}
