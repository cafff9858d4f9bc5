// A call from its ticket to its end: run the work, see what the answer means, and act on it. Every answer, thrown
// or returned, goes through one classifier.

import { guarded } from './guard.ts'
import { CallTimeoutError, LimiterError } from './errors.ts'
import { total } from './estimate.ts'
import { classify, needsBody } from './feedback/classify.ts'
import { statusOf } from './feedback/answer.ts'
import { mergeUsage, readUsage, type Usage } from './feedback/usage.ts'
import type { Outcome, Verdict } from './feedback/verdict.ts'
import { text } from './core/check.ts'
import { duration } from './core/limits.ts'
import { learnFrom } from './learning.ts'
import { watch } from './signals.ts'
import { watchStream } from './stream.ts'
import type { Desk } from './desk.ts'
import { type Terms, Waiter, type Work } from './waiter.ts'
import type { Cost } from './core/budget.ts'

/** How long a refused Response may take to say why. */
const BODY_MS = 2000
const KINDS: readonly string[] = ['rate', 'overload', 'quota', 'oversize', 'transient']

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
  const { extra, terms } = waiter
  if (extra?.failure) throw extra.failure.error
  if (!terms.signal?.aborted) return
  terms.desk.finish(waiter, 'unsent', 'failed')
  throw terms.signal.reason
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
function bounded({ terms, work }: Waiter): Promise<unknown> {
  const { desk, signal, timeoutMs } = terms
  const { engine } = desk
  return new Promise((resolve, reject) => {
    const unwatch = signal && watch(signal, () => reject(signal.reason))
    let over = unwatch
    let both = signal
    if (timeoutMs < Infinity) {
      const late = new AbortController()
      both = signal ? AbortSignal.any([signal, late.signal]) : late.signal
      const giveUp = () => {
        const error = new CallTimeoutError(
          `'${desk.name}': the call took longer than timeoutMs (${timeoutMs} ms)`,
        )
        reject(error)
        late.abort(error)
      }
      const appointment = engine.at(engine.now() + timeoutMs, giveUp, true)
      over = () => {
        engine.forget(appointment)
        unwatch?.()
      }
    }
    new Promise((done) => done(work!(both))).then(resolve, reject).finally(over)
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
  const { desk, retry } = waiter.terms
  desk.seen?.('error' in outcome ? outcome.error : outcome.value)
  let verdict = judge(waiter, outcome)
  learnFrom('error' in outcome ? outcome.error : outcome.value, desk)
  if (!verdict && 'error' in outcome && retry?.on && !waiter.terms.signal?.aborted) {
    verdict = { kind: 'transient', reason: 'retry.on' }
  }
  if (!verdict) {
    if ('value' in outcome) return watched(waiter, outcome.value)
    desk.finish(waiter, undefined, statusOf(outcome.error) === undefined ? 'lost' : 'failed')
    throw outcome.error
  }
  const answer = 'error' in outcome ? outcome.error : outcome.value
  if (verdict.kind !== 'transient') desk.refuse(waiter, verdict, answer)
  else {
    const delayMs = retryDelay(waiter, answer, verdict.waitMs)
    if (delayMs === undefined) {
      desk.finish(waiter, undefined, 'lost')
      if ('error' in outcome) throw answer
      return answer
    }
    desk.backOff(waiter, delayMs, answer)
  }
  const failure = waiter.extra?.failure
  // The caller never sees this answer: its connection must not wait for somebody to read it.
  if ('value' in outcome && failure?.error !== answer) discard(answer)
  if (failure && 'value' in outcome && failure.error === answer) return answer
  return waiter.state === 'parked' ? waiter.terms.desk.engine.ticket(waiter).then(start) : start(waiter)
}

export function judge({ terms }: Waiter, outcome: Outcome): Verdict | undefined {
  const own = terms.classify && guarded(() => terms.classify!(outcome), terms.desk, 'classify')
  if (own === 'ok') return undefined
  const kind = typeof own === 'object' ? own.kind : own
  if (kind && KINDS.includes(kind))
    return typeof own === 'object' ? own : { kind, reason: `classified as '${kind}'` }
  if (own !== undefined) {
    const message = `classify must return 'ok', ${KINDS.join(', ')} or a verdict of such a kind, got ${text(own)}`
    terms.desk.failed(new TypeError(message), 'classify')
  }
  if ('error' in outcome) {
    const { error } = outcome
    if (error instanceof CallTimeoutError) return { kind: 'transient', reason: error.message }
    // From a limiter within this call, which has already acted on the refusal in its cause.
    if (error instanceof LimiterError) return undefined
  }
  return classify(outcome, terms.desk.engine.clock.wall())
}

/** A stream keeps its ticket until it is over; anything else is over now. */
function watched(waiter: Waiter, value: unknown): unknown {
  const { desk, streamIdleMs, usage } = waiter.terms
  const { engine } = desk
  let used: Usage | undefined
  let lastAt = engine.now()
  const end = (failure?: { error: unknown }, left = false) => {
    unread?.unregister(watcher)
    engine.forget(idle)
    if (waiter.state !== 'in flight') return
    const verdict = failure && judge(waiter, failure)
    if (verdict && verdict.kind !== 'transient') desk.refuse(waiter, verdict, failure.error, false)
    else settle(waiter, left ? undefined : used, failure ? 'failed' : 'ok')
  }
  const watcher = {
    reading: 0,
    chunk(chunk: unknown) {
      lastAt = engine.now()
      if (!desk.metered) return
      used = usage ? (guarded(() => usage(chunk as never), desk, 'usage') ?? used) : mergeUsage(used, chunk)
    },
    end,
  }
  const check = (): void => {
    const quietMs = engine.now() - lastAt
    if (quietMs < streamIdleMs) idle = engine.at(lastAt + streamIdleMs, check, false)
    else abandon(`a stream was not read for ${quietMs} ms`)
  }
  const abandon = (reason: string) => {
    desk.events.emit('stuck', { refusals: 0, parkedMs: 0, reason })
    end()
  }
  let idle = engine.at(lastAt + streamIdleMs, check, false)
  const stream = guarded(() => watchStream(value, watcher), desk, 'stream')
  if (stream === undefined) {
    engine.forget(idle)
    land(waiter, value)
    return value
  }
  desk.answered(waiter)
  unread?.register(stream as object, () => abandon('a stream was never read to its end'), watcher)
  return stream
}

const unread =
  typeof FinalizationRegistry === 'function'
    ? new FinalizationRegistry((abandon: () => void) => abandon())
    : undefined

function land(waiter: Waiter, value: unknown): void {
  const { desk, usage } = waiter.terms
  let used: Usage | undefined
  if (usage) used = guarded(() => usage(value as never), desk, 'usage')
  else if (desk.metered && typeof value === 'object') used = readUsage(value)
  settle(waiter, used, 'ok')
}

/** What can be counted of a usage. */
function sound(usage: Usage, desk: Desk): Usage {
  const good: Usage = {}
  for (const [of, amount] of Object.entries(usage)) {
    if (typeof amount === 'number' && amount >= 0 && amount < Infinity) good[of] = amount
    else if (amount !== undefined) {
      desk.failed(new TypeError(`usage.${of} must be at least 0 (a number), got ${text(amount)}`), 'usage')
    }
  }
  return good
}

/** The call is over and has used this much. */
export function settle(waiter: Waiter, usage: Usage | undefined, end: 'ok' | 'failed'): void {
  const { desk } = waiter.terms
  const used = usage && total(sound(usage, desk))
  if (used) desk.estimator.learn(waiter.cost, used)
  desk.finish(waiter, used, end)
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
async function readBody({ terms }: Waiter, response: Response): Promise<unknown> {
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
