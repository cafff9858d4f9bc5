// What a limiter does with calls, behind its public methods: the one road in (`enqueue`), the roads out, and
// everything that may happen to a call while it waits.

import { Emitter } from './events.ts'
import { type Appointment, Engine } from './engine.ts'
import type { Clock } from './clock.ts'
import type { Used } from './core/budget.ts'
import { type Call, type Notice, Office, type OfficeOptions, type Told } from './core/office.ts'
import type { Limit } from './core/limits.ts'
import {
  LimiterStoppedError,
  QueueFullError,
  QuotaExhaustedError,
  RequestTooLargeError,
  WaitTimeoutError,
} from './errors.ts'
import { Estimator } from './estimate.ts'
import type { Refusal } from './feedback/verdict.ts'
import type { LimiterOptions } from './options.ts'
import { watch } from './signals.ts'
import { Tally } from './tally.ts'
import type { Waiter } from './waiter.ts'

const STUCK_MS = 300_000
const STUCK_REFUSALS = 10
const PROBE_TIMEOUT_MS = 10_000

const deskOf = (office: Office): Desk => (office as Office & { desk: Desk }).desk

export class Desk {
  readonly name: string
  readonly office: Office
  readonly engine: Engine
  readonly parent: Desk | undefined
  readonly children: Desk[] = []
  readonly events: Emitter
  readonly tally = new Tally()
  readonly estimator = new Estimator()
  options: LimiterOptions
  /** Set once stopped: what every later call is rejected with. */
  stopped: LimiterStoppedError | undefined
  inFlight = 0
  readonly random: () => number
  /** Asks whether the provider accepts again. */
  probe: LimiterOptions['probe']
  /** The exact limits of this limiter and of those above it. */
  limits: Limit[] = []
  /** Whether anything but requests is counted, so that usage matters. */
  metered = false
  readonly #backingOff = new Set<Waiter>()
  #whenIdle: (() => void)[] = []

  constructor(options: LimiterOptions, limits: Limit[], parent: Desk | undefined, clock: Clock) {
    this.name = options.name
    this.options = options
    this.parent = parent
    this.probe = options.probe
    this.events = new Emitter(this.name)
    this.engine = parent?.engine ?? new Engine(clock, this)
    const { random } = this.engine.clock
    this.random = random ? () => random.call(this.engine.clock) : Math.random
    this.office = new Office({ ...this.#settings(options, limits), parent: parent?.office })
    ;(this.office as Office & { desk: Desk }).desk = this
    if (parent) parent.children.push(this)
    else this.engine.root = this.office
    this.#count()
  }

  #settings(options: LimiterOptions, limits: Limit[]): Omit<OfficeOptions, 'parent'> {
    const { name, maxConcurrent, ramp, learn, discover } = options
    return { name, limits, maxConcurrent, ramp, learn, discover, random: this.random, asks: () => this.probe !== undefined, wall: this.engine.wall }
  }

  /** New options hold from now on, for calls that wait too; what was counted stays counted. */
  update(options: LimiterOptions, limits: Limit[]): void {
    const now = this.engine.now()
    this.options = options
    this.probe = options.probe
    this.office.update(this.#settings(options, limits), now)
    this.#count()
    this.engine.pump(now)
  }

  #count(): void {
    this.limits = [...this.office.budget.buckets.map(({ limit }) => limit), ...(this.parent?.limits ?? [])]
    this.metered = this.limits.some(({ of }) => of !== 'requests')
    for (const child of this.children) child.#count()
  }

  /** A call joins the line, or fails at once, or has its ticket on return. */
  enqueue(waiter: Waiter): void {
    const now = this.engine.now()
    if (this.events.heard('request')) this.events.emit('request', { waiting: this.office.waiting })
    const failure = this.#turnAway(waiter, now)
    if (failure) {
      this.#fail(waiter, failure.error)
      return
    }
    this.office.enqueue(waiter, now)
    this.engine.pump(now)
    if (waiter.state === 'waiting') this.#attend(waiter, now)
  }

  #turnAway(waiter: Waiter, now: number): { error: unknown } | undefined {
    const { signal, priority } = waiter.terms
    if (this.stopped) return { error: this.stopped }
    if (signal?.aborted) return { error: signal.reason }
    for (let desk: Desk | undefined = this; desk; desk = desk.parent) {
      const limit = desk.office.budget.tooSmallFor(waiter.cost)
      if (limit) {
        const { of, amount } = limit
        const message = `'${desk.name}': a call of ${waiter.cost[of]} ${of} can never fit a limit of ${amount} ${of}`
        return { error: new RequestTooLargeError(message) }
      }
      if (desk.office.spent(now)) return { error: desk.#spent }
    }
    const { max = Infinity, onFull } = this.options.queue ?? {}
    if (this.office.line.size < max) return undefined
    const full = new QueueFullError(`'${this.name}': ${this.office.line.size} calls wait already, queue.max is ${max}`)
    const least = onFull === 'evict-lowest' ? (this.office.line.least as Waiter | undefined) : undefined
    // At a limit of 0 a call may still go that need not wait; `attend` turns the others away.
    if (!least || least.priority >= priority) return max > 0 ? { error: full } : undefined
    this.#giveUp(least, full)
    return undefined
  }

  /** What may end a wait: the caller's signal, the longest wait. */
  #attend(waiter: Waiter, now: number): void {
    const { signal, maxWaitMs } = waiter.terms
    if (this.options.queue?.max === 0 && !waiter.extra?.refusals) {
      this.#giveUp(waiter, new QueueFullError(`'${this.name}': no ticket is free and queue.max is 0`))
    } else if (signal?.aborted) this.#giveUp(waiter, signal.reason)
    else if (waiter.since + maxWaitMs <= now) this.#tooLong(waiter)
    else {
      if (signal) waiter.more().unwatch = watch(signal, () => this.#giveUp(waiter, signal.reason))
      if (maxWaitMs < Infinity) {
        waiter.more().deadline = this.engine.at(waiter.since + maxWaitMs, () => this.#tooLong(waiter), false)
      }
    }
  }

  #unattend({ extra }: Waiter): void {
    if (!extra) return
    extra.unwatch?.()
    for (const key of ['deadline', 'backoff', 'stuck'] as const) {
      const appointment = extra[key]
      if (appointment) this.engine.forget(appointment)
      extra[key] = undefined
    }
    extra.unwatch = undefined
  }

  #tooLong(waiter: Waiter): void {
    const { maxWaitMs } = waiter.terms
    const message = `'${this.name}': no ticket within maxWaitMs (${maxWaitMs} ms), ${this.office.waiting} calls wait`
    this.#giveUp(waiter, new WaitTimeoutError(message, waiter.extra?.lastRefusal))
  }

  /** A call leaves the line, or its backoff, without a ticket. */
  #giveUp(waiter: Waiter, error: unknown): void {
    const now = this.engine.now()
    if (waiter.queue) this.office.cancel(waiter, now)
    this.#backingOff.delete(waiter)
    this.#unattend(waiter)
    this.#fail(waiter, error)
    this.#moved(now)
  }

  #fail(waiter: Waiter, error: unknown): void {
    waiter.state = 'done'
    waiter.more().failure = { error }
    this.tally.rejected++
    if (this.events.heard('reject')) this.events.emit('reject', { error })
    waiter.grant?.(waiter)
  }

  /** The engine has a ticket for a call of this tree. */
  issue(call: Call, now: number): void {
    const waiter = call as Waiter
    const { desk } = waiter.terms
    const waitedMs = now - (waiter.extra?.parkedAt ?? waiter.since)
    for (let at: Desk | undefined = desk; at; at = at.parent) at.inFlight++
    desk.tally.waited(waitedMs)
    desk.#unattend(waiter)
    if (desk.events.heard('issue')) desk.events.emit('issue', { waitedMs: Math.max(0, waitedMs) })
    waiter.grant?.(waiter)
  }

  /** The provider answered, or nobody knows (`lost`), or it was never sent. Twice does nothing. */
  finish(waiter: Waiter, used: Used, end: 'ok' | 'failed' | 'lost'): void {
    if (waiter.state !== 'in flight') return
    const now = this.engine.now()
    if (used === 'unsent') this.office.release(waiter, now)
    else if (end === 'lost') this.office.lose(waiter, now)
    else this.office.finish(waiter, used, now)
    this.#landed()
    this.tally.finished++
    if (this.events.heard('finish')) this.events.emit('finish', { ok: end === 'ok', ms: now - waiter.sentAt! })
    this.#moved(now)
  }

  /**
   * The provider refused: the call is back in line, unless it failed for good: then `extra.failure` says why.
   * One refused in mid-stream is over (`park` false): its caller has seen half an answer.
   */
  refuse(waiter: Waiter, verdict: Refusal, error: unknown, park = true): void {
    if (waiter.state !== 'in flight') return
    const now = this.engine.now()
    const extra = waiter.more()
    extra.refusals++
    extra.lastRefusal = error
    this.tally.refused++
    this.#landed()
    if (this.events.heard('refuse')) this.events.emit('refuse', { verdict, error })
    if (verdict.kind === 'quota' || verdict.kind === 'oversize') {
      if (verdict.kind === 'quota') this.#spend(waiter, verdict, error, now)
      else this.office.finish(waiter, 'refused', now)
      extra.failure = { error }
    } else if (!park) this.office.refuse(waiter, { ...verdict, kind: verdict.kind }, false, now)
    else {
      extra.parkedAt = now
      extra.firstParkedAt ??= now
      this.office.refuse(waiter, { ...verdict, kind: verdict.kind }, true, now)
      if (this.events.heard('park')) this.events.emit('park', { parked: this.office.parked, refusals: extra.refusals })
      this.#watchStuck(waiter, verdict.reason, now)
      if (this.stopped) this.#giveUp(waiter, new LimiterStoppedError(this.stopped.message, error))
      else this.#attend(waiter, now)
    }
    this.#moved(now)
  }

  #watchStuck(waiter: Waiter, reason: string, now: number): void {
    const extra = waiter.more()
    const tell = () => {
      const parkedMs = this.engine.now() - extra.firstParkedAt!
      this.events.emit('stuck', { refusals: extra.refusals, parkedMs, reason })
    }
    if (extra.refusals % STUCK_REFUSALS === 0) tell()
    const at = extra.firstParkedAt! + STUCK_MS
    if (at > now) extra.stuck = this.engine.at(at, tell, false)
  }

  #spent: QuotaExhaustedError | undefined

  /** Money or quota is used up: nobody in line will get through either. */
  #spend(waiter: Waiter, verdict: Refusal, error: unknown, now: number): void {
    this.office.spend(waiter, verdict.waitMs, now)
    const until = verdict.waitMs === undefined ? 'one call a minute will try' : `for ${Math.round(verdict.waitMs)} ms`
    this.#spent = new QuotaExhaustedError(`'${this.name}': the provider says the quota is used up: ${until}`, error)
    this.#failAll(this.#spent)
  }

  #failAll(error: unknown): void {
    for (const waiter of [...this.#backingOff]) this.#giveUp(waiter, error)
    for (let first = this.office.line.first; first; first = this.office.line.first) this.#giveUp(first as Waiter, error)
    for (const child of this.children) child.#failAll(error)
  }

  /** A transient failure: the call comes back to its place in line after a wait. */
  backOff(waiter: Waiter, delayMs: number, error: unknown): void {
    const now = this.engine.now()
    const extra = waiter.more()
    this.office.lose(waiter, now)
    this.#landed()
    waiter.state = 'parked'
    extra.failures++
    extra.parkedAt = now
    extra.lastRefusal = error
    this.#backingOff.add(waiter)
    const back = () => {
      this.#backingOff.delete(waiter)
      const then = this.engine.now()
      this.office.enqueue(waiter, then)
      this.engine.pump(then)
    }
    extra.backoff = this.engine.at(now + delayMs, back, true)
    if (this.events.heard('retry')) this.events.emit('retry', { attempt: extra.failures + 1, delayMs, error })
    if (this.stopped) this.#giveUp(waiter, new LimiterStoppedError(this.stopped.message, error))
    else this.#attend(waiter, now)
    this.#moved(now)
  }

  /** Headers name limits. */
  told(hints: readonly Told[]): void {
    if (this.options.learn === false || hints.length === 0) return
    const now = this.engine.now()
    const eager = this.options.pacing === 'eager'
    for (let desk: Desk | undefined = this; desk; desk = desk.parent) {
      for (const hint of hints) desk.office.told(hint, eager, now)
    }
    this.engine.pump(now)
  }

  stop(reason?: unknown): void {
    this.stopped ??= new LimiterStoppedError(`'${this.name}' was stopped`, reason)
    this.#failAll(this.stopped)
    for (const child of this.children) child.stop(reason)
  }

  get idle(): boolean {
    return this.office.waiting === 0 && this.inFlight === 0 && this.#backingOff.size === 0
  }

  /** Resolves when nothing waits and nothing is in flight. */
  drained(): Promise<void> {
    return new Promise((resolve) => {
      if (this.idle) resolve()
      else this.#whenIdle.push(resolve)
    })
  }

  #landed(): void {
    for (let at: Desk | undefined = this; at; at = at.parent) at.inFlight--
  }

  #moved(now: number): void {
    this.engine.pump(now)
    for (let at: Desk | undefined = this; at; at = at.parent) {
      if (!at.idle) return
      for (const resolve of at.#whenIdle.splice(0)) resolve()
      if (at.events.heard('idle')) at.events.emit('idle', {})
    }
  }

  failed(error: unknown, where = 'clock'): void {
    this.events.emit('error', { error, where })
  }

  notice(notice: Notice): void {
    const desk = deskOf(notice.office)
    if (notice.of === 'learn') desk.events.emit('learn', { of: notice.limit, perMinute: notice.perMinute })
    else if (notice.of === 'probe') void desk.#probe()
    else {
      const { gate } = notice
      const state = gate.state === 'open' ? 'open' : gate.state === 'closed' || gate.state === 'spent' ? 'closed' : 'probing'
      desk.events.emit('gate', {
        state,
        ...('until' in gate && { reopensInMs: Math.max(0, gate.until - this.engine.now()) }),
      })
    }
  }

  /** Asks the user's own probe. One that throws or hangs means "still blocked", never "for ever". */
  async #probe(): Promise<void> {
    const hung = new AbortController()
    let late: Appointment | undefined
    let open = false
    try {
      const gaveUp = new Promise<false>((resolve) => {
        late = this.engine.at(this.engine.now() + PROBE_TIMEOUT_MS, () => resolve(false), true)
      })
      open = (await Promise.race([this.probe!(hung.signal), gaveUp])) === true
    } catch (error) {
      this.failed(error, 'probe')
    }
    hung.abort()
    if (late) this.engine.forget(late)
    const now = this.engine.now()
    this.office.asked(!open, now)
    this.engine.pump(now)
  }
}
