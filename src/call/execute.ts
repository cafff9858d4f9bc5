// A call from its ticket to its end: run the work, see what the answer means, and act on it. Every answer, thrown
// or returned, goes through one classifier.

import { judge, land } from './outcome.ts'
import type { Cost } from '../core/limit/limit-set.ts'
import { duration } from '../core/limit/parse-limits.ts'
import { CallTimeoutError } from './errors.ts'
import { statusOf } from '../responses/error-text.ts'
import { needsBody } from '../responses/classify.ts'
import type { Outcome } from '../responses/verdict.ts'
import { guarded } from './safe-call.ts'
import { hold } from './stream-ticket.ts'
import { learnFrom } from './apply-headers.ts'
import { passOn, watch } from '../lib/abort.ts'
import { type Terms, Waiter, type Work } from './pending-call.ts'

/** How long a refused Response may take to say why. */
const BODY_MS = 2000

/** Some SDKs listen on the signal at each try and never stop, and Node warns at the eleventh. */
const MOST_LISTENERS = 8

/** One call: in line, with its ticket, to its end. */
export function dispatch(terms: Terms, cost: Cost, work: Work): Promise<unknown> {
  const { desk } = terms
  const now = desk.engine.now()
  const waiter = new Waiter(terms, cost, work, now)
  desk.enqueue(waiter, now)
  if (waiter.state === 'waiting') return desk.engine.ticket(waiter).then(start)
  const result = start(waiter)
  return result instanceof Promise ? result : Promise.resolve(result)
}

/** Throws why a call must not go, though it was woken: it failed, or its signal aborted with the ticket in hand. */
export function admit(waiter: Waiter): void {
  const { extra, terms, since, sentAt } = waiter
  const { desk, signal } = terms
  if (extra?.failure) throw extra.failure.error
  if (signal?.aborted) {
    desk.finish(waiter, 'unsent', 'failed')
    throw signal.reason
  }
  if (desk.events.heard('start'))
    desk.events.emit('start', { waitedMs: Math.max(0, sentAt! - (extra?.parkedAt ?? since)) })
}

/** The waiter has its ticket (or must not get one: then this throws): does its work. */
export function start(waiter: Waiter): unknown {
  admit(waiter)
  const { timeoutMs, signal } = waiter.terms
  let result: unknown
  let promise: Promise<unknown> | undefined
  try {
    result = signal || timeoutMs < Infinity ? bounded(waiter) : waiter.work!(undefined)
    promise = promised(result)
  } catch (error) {
    return failed(waiter, error)
  }
  if (!promise) return returned(waiter, result)
  return promise.then(
    (value) => returned(waiter, value),
    (error) => failed(waiter, error),
  )
}

function promised(result: unknown): Promise<unknown> | undefined {
  if (result instanceof Promise) return result
  const { then } = Object(result) as { then?: unknown }
  return typeof then === 'function' ? Promise.resolve(result) : undefined
}

/** The work, given up when its caller gives it up or when it takes too long; its signal aborts then. */
function bounded({ terms, work, extra }: Waiter): Promise<unknown> {
  const { desk, signal, timeoutMs } = terms
  const { engine } = desk
  const tries = extra ? extra.refusals + extra.failures : 0
  const own = timeoutMs < Infinity || tries >= MOST_LISTENERS ? new AbortController() : undefined
  return new Promise((resolve, reject) => {
    const giveUp = (error: unknown) => {
      reject(error)
      own?.abort(error)
    }
    const unwatch = signal && watch(signal, () => giveUp(signal.reason))
    const late = () =>
      giveUp(new CallTimeoutError(`'${desk.name}': the call took longer than timeoutMs (${timeoutMs} ms)`))
    const appointment = timeoutMs < Infinity ? engine.at(engine.now() + timeoutMs, late, true) : undefined
    const over = () => {
      if (appointment) engine.forget(appointment)
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
    new Promise((begun) => begun(work!(own?.signal ?? signal))).then(done, fail)
  })
}

function returned(waiter: Waiter, value: unknown): unknown {
  if (typeof value !== 'object' || value === null) {
    land(waiter, value)
    return value
  }
  if (needsBody(value))
    return readBody(waiter, value as Response).then((body) => judged(waiter, { value, body }))
  return judged(waiter, { value })
}

function failed(waiter: Waiter, error: unknown): unknown {
  return judged(waiter, { error })
}

function judged(waiter: Waiter, outcome: Outcome): unknown {
  const { desk, retry, signal } = waiter.terms
  const threw = 'error' in outcome
  const answer = threw ? outcome.error : outcome.value
  desk.seen?.(answer)
  let verdict = judge(waiter, outcome)
  if (!verdict && threw && retry?.on && !signal?.aborted) verdict = { kind: 'transient', reason: 'retry.on' }
  if (!verdict) {
    learnFrom(answer, waiter)
    if (threw) {
      desk.finish(waiter, undefined, statusOf(answer) === undefined ? 'lost' : 'failed')
      throw answer
    }
    const held = hold(waiter, answer)
    if (!held) land(waiter, answer)
    return held ?? answer
  }
  if (verdict.kind !== 'transient') desk.refuse(waiter, verdict, answer)
  else {
    const delayMs = retryDelay(waiter, answer, verdict.waitMs)
    if (delayMs === undefined) {
      desk.finish(waiter, undefined, 'lost')
      if (threw) throw answer
      return answer
    }
    desk.backOff(waiter, delayMs, answer)
  }
  // Only now: what headers tell may let others go, and the refused call must stand before them.
  learnFrom(answer, waiter)
  if (!threw) {
    if (waiter.extra?.failure?.error === answer) return answer
    // The caller never sees this answer: its connection must not wait for somebody to read it.
    discard(answer)
  }
  return waiter.state === 'parked' ? desk.engine.ticket(waiter).then(start) : start(waiter)
}

function retryDelay({ terms, extra }: Waiter, error: unknown, waitMs = 0): number | undefined {
  const { retry, desk } = terms
  if (!retry) return undefined
  const { attempts = 3, minMs = 500, maxMs = 8000, factor = 2, jitter = 0.25, on } = retry
  const failures = extra?.failures ?? 0
  if (failures + 1 >= attempts || (on && !guarded(() => on(error), desk, 'retry.on'))) return undefined
  const delay = Math.min(duration(minMs, 'minMs') * factor ** failures, duration(maxMs, 'maxMs'))
  return Math.max(waitMs, delay * (1 - jitter * desk.random()))
}

function discard(answer: unknown): void {
  const { body } = answer as Partial<Response>
  if (typeof body?.cancel === 'function') body.cancel().catch(() => {})
}

/** What a refused Response says, from a copy, so that the caller can still read it. */
export async function readBody({ terms }: Waiter, response: Response): Promise<unknown> {
  const { engine } = terms.desk
  let give: (body: undefined) => void
  const late = new Promise<undefined>((resolve) => {
    give = resolve
  })
  const appointment = engine.at(engine.now() + BODY_MS, () => give(undefined), true)
  try {
    return await Promise.race([response.clone().text(), late])
  } catch {
    return undefined
  } finally {
    engine.forget(appointment)
  }
}
