// What a limiter does with calls, behind its public methods: the one road in (`enqueue`), the roads out, and
// everything that may happen to a call while it waits.

import { Backoff } from '../call/retry-queue.ts'
import { Emitter } from './events.ts'
import { type HealthMonitor, openHealth } from './health.ts'
import { Engine } from '../scheduler/scheduler.ts'
import type { Clock } from '../scheduler/clock.ts'
import type { Used } from '../core/limit/limit-set.ts'
import type { OfficeOptions } from '../core/messages.ts'
import { Office } from '../core/ticket-issuer.ts'
import { DIMENSIONS, isTokens, type Limit } from '../core/limit/parse-limits.ts'
import { LimiterStoppedError, type QuotaExhaustedError } from '../call/errors.ts'
import { Estimator } from '../call/token-estimator.ts'
import type { LimitHint } from '../responses/headers.ts'
import type { Refusal } from '../responses/verdict.ts'
import type { LimiterOptions } from './options.ts'
import { PullEngine, timersBelongToRequests } from '../scheduler/workerd-scheduler.ts'
import { quotaSpent, turnAway } from '../call/admission.ts'
import { announce, ask, tellFinish, tellIssue, tellRefusal } from './notifications.ts'
import { SharedSource } from './store-adapter.ts'
import { Tally } from './counters.ts'
import { attend, comeBack, unattend, watchStuck } from '../call/deadlines.ts'
import type { Waiter } from '../call/pending-call.ts'

// What desks do to each other is not #private: a tree may be built by two copies of the package.
export class Desk {
  readonly name: string
  readonly office: Office
  readonly engine: Engine
  /** This desk and all above it, up to the root. */
  readonly chain: readonly Desk[]
  readonly children: Desk[] = []
  readonly events: Emitter
  readonly tally = new Tally()
  readonly estimator = new Estimator()
  options: LimiterOptions
  /** What the provider's headers said last of each limit, and when. */
  readonly told = new Map<string, LimitHint & { at: number }>()
  /** Is shown every answer that is an object. */
  seen: ((answer: unknown) => void) | undefined
  /** Raised by `update`. */
  version = 0
  /** What every call is rejected with, once stopped. */
  stopped: LimiterStoppedError | undefined
  /** What calls are rejected with while the quota is used up. */
  spent: QuotaExhaustedError | undefined
  inFlight = 0
  /** Calls that wait for their next try, here and below. */
  backingOff = 0
  readonly random: () => number
  /** Where tickets come from when processes share the limits. */
  shared: SharedSource | undefined
  /** Asks whether the provider accepts again. */
  probe: LimiterOptions['probe']
  /** Watches the latency of the calls here and below. */
  readonly health: HealthMonitor | undefined
  /** All that watch the latency of a call here: of this desk and those above it. */
  readonly monitors: readonly HealthMonitor[]
  /** The exact limits of this limiter and of those above it. */
  limits: Limit[] = []
  /** Whether anything but requests is counted, so that usage matters. */
  metered = false
  /** What a cost may name. */
  dimensions = new Set<string>()
  /** The dimensions of tokens that are limited. */
  tokens: string[] = []
  readonly #backoff = new Backoff(this)
  whenIdle: (() => void)[] = []

  constructor(options: LimiterOptions, limits: Limit[], parent: Desk | undefined, clock: Clock) {
    this.name = options.name
    this.options = options
    this.chain = [this, ...(parent?.chain ?? [])]
    this.probe = options.probe
    this.events = new Emitter(this.name)
    this.engine = parent?.engine ?? new (timersBelongToRequests() ? PullEngine : Engine)(clock, this)
    const { random } = this.engine.clock
    this.random = random ? () => random.call(this.engine.clock) : Math.random
    this.office = new Office({ ...this.#settings(options, limits), parent: parent?.office, owner: this })
    this.health = options.health && openHealth(this, options.health)
    this.monitors = [...(this.health ? [this.health] : []), ...(parent?.monitors ?? [])]
    if (parent) parent.children.push(this)
    else this.engine.root = this.office
    if (options.store) this.office.slots = this.shared = new SharedSource(this, options.store)
    this.count()
  }

  #settings(options: LimiterOptions, limits: Limit[]): Omit<OfficeOptions, 'parent'> {
    const asks = () => (this.probe ?? this.shared) !== undefined
    return { ...options, limits, random: this.random, asks, wall: this.engine.wall }
  }

  /** New options hold from now on, for calls that wait too; what was counted stays counted. */
  update(options: LimiterOptions, limits: Limit[]): void {
    const now = this.engine.now()
    this.options = options
    this.version++
    this.probe = options.probe
    this.office.update(this.#settings(options, limits), now)
    this.shared?.slots.update(now)
    this.count()
    this.engine.pump(now)
  }

  count(): void {
    this.limits = [...this.office.budget.buckets.map(({ limit }) => limit), ...(this.chain[1]?.limits ?? [])]
    this.metered = this.limits.some(({ of }) => of !== 'requests')
    this.dimensions = new Set([...DIMENSIONS, ...this.limits.map(({ of }) => of)])
    this.tokens = this.limits.map(({ of }) => of).filter(isTokens)
    for (const child of this.children) child.count()
  }

  /** A call joins the line, or fails at once, or has its ticket on return. */
  enqueue(waiter: Waiter, now: number): void {
    if (waiter.seq === 0) {
      this.tally.requests++
      if (this.events.heard('request')) this.events.emit('request', { waiting: this.office.waiting })
    }
    const failure = turnAway(this, waiter, now)
    if (failure) {
      this.#fail(waiter, failure.error)
      return
    }
    this.office.enqueue(waiter, now)
    this.engine.join(waiter, now)
    if (waiter.queue) attend(waiter, now)
  }

  /** A call leaves the line, or its backoff, without a ticket. */
  giveUp(waiter: Waiter, error: unknown): void {
    // Others that ended at the same moment may have made room for this one.
    if (waiter.state !== 'waiting' && waiter.state !== 'parked') return
    const now = this.engine.now()
    if (waiter.queue) this.office.cancel(waiter, now)
    this.#backoff.remove(waiter)
    unattend(waiter)
    this.#fail(waiter, error)
    this.#moved(now)
  }

  #fail(waiter: Waiter, error: unknown): void {
    waiter.state = 'done'
    waiter.more().failure = { error }
    this.tally.rejected++
    if (this.events.heard('reject')) this.events.emit('reject', { error })
    this.engine.wake(waiter)
  }

  /** The engine has a ticket for a call of this tree. */
  issue(waiter: Waiter, now: number): void {
    const { desk } = waiter.terms
    const waitedMs = now - (waiter.extra?.parkedAt ?? waiter.since)
    for (const at of desk.chain) at.inFlight++
    if (waiter.extra) waiter.extra.waitedMs += waitedMs
    unattend(waiter)
    tellIssue(desk, waitedMs)
    this.engine.wake(waiter)
  }

  /** The provider answered, or nobody knows (`lost`), or it was never sent. Twice does nothing. */
  finish(waiter: Waiter, used: Used, end: 'ok' | 'failed' | 'lost'): void {
    if (waiter.state !== 'in flight') return
    const now = this.engine.now()
    if (waiter.extra?.answered) this.office.end(waiter, used, now)
    else if (used === 'unsent') this.office.lose(waiter, used, now)
    else if (end === 'lost') this.office.lose(waiter, undefined, now)
    else this.office.finish(waiter, used, now)
    this.landed()
    tellFinish(this, waiter, end === 'ok', now)
    this.#moved(now)
  }

  /**
   * The provider refused: the call is back in line, unless it failed for good: then `extra.failure` says why.
   * One refused in mid-stream is over (`mayWait` false): its caller has seen half an answer.
   */
  refuse(waiter: Waiter, verdict: Refusal, error: unknown, mayWait = true): void {
    if (waiter.state !== 'in flight') return
    const now = this.engine.now()
    const extra = waiter.more()
    extra.refusals++
    extra.lastRefusal = error
    this.landed()
    tellRefusal(this, verdict, error)
    const { kind } = verdict
    const passes = kind === 'rate' || kind === 'overload'
    const parks = passes && mayWait && extra.refusals <= waiter.terms.maxRefusals
    if (passes) this.office.refuse(waiter, { ...verdict, kind }, parks, now)
    else if (kind === 'quota') this.#spend(waiter, verdict, error, now)
    else this.office.finish(waiter, 'refused', now)
    if (parks) this.#park(waiter, verdict, now)
    else {
      extra.failure = { error }
      tellFinish(this, waiter, false, now)
    }
    this.#moved(now)
  }

  #park(waiter: Waiter, { reason }: Refusal, now: number): void {
    const extra = waiter.more()
    extra.parkedAt = now
    extra.firstParkedAt ??= now
    const { events, office } = this
    if (events.heard('park')) events.emit('park', { parked: office.parked, refusals: extra.refusals })
    watchStuck(waiter, reason, now)
    comeBack(waiter, now)
  }

  /** Money or quota is used up: nobody in line will get through either. */
  #spend(waiter: Waiter, verdict: Refusal, error: unknown, now: number): void {
    this.office.spend(waiter, verdict.waitMs, now)
    this.failAll((this.spent = quotaSpent(this.name, verdict.waitMs, error)))
  }

  failAll(error: unknown): void {
    for (const waiter of this.#backoff.waiters) this.giveUp(waiter, error)
    for (let first = this.office.line.first; first; first = this.office.line.first)
      this.giveUp(first as Waiter, error)
    for (const child of this.children) child.failAll(error)
  }

  /** A transient failure: the call comes back to its place in line after a wait. */
  backOff(waiter: Waiter, delayMs: number, error: unknown): void {
    const now = this.engine.now()
    const extra = waiter.more()
    this.office.lose(waiter, undefined, now)
    this.landed()
    waiter.state = 'parked'
    extra.failures++
    extra.parkedAt = now
    extra.lastRefusal = error
    this.#backoff.add(waiter, delayMs, now)
    if (this.events.heard('retry')) this.events.emit('retry', { attempt: extra.failures + 1, delayMs, error })
    comeBack(waiter, now)
    this.#moved(now)
  }

  stop(reason?: unknown): void {
    // Those given up first must not make room for the others.
    this.office.pause(Infinity)
    this.failAll((this.stopped ??= new LimiterStoppedError(`'${this.name}' was stopped`, reason)))
    for (const child of this.children) child.stop(reason)
    this.shared?.slots.stop()
    this.events.emit('stop', { reason })
  }

  get idle(): boolean {
    return this.office.waiting === 0 && this.inFlight === 0 && this.backingOff === 0
  }

  /** Resolves when nothing waits and nothing is in flight. */
  drained(): Promise<void> {
    return new Promise((resolve) => {
      const over = () => {
        this.events.emit('drain', {})
        resolve()
      }
      if (this.idle) over()
      else this.whenIdle.push(over)
    })
  }

  /** The provider has begun to answer: the call was accepted, long before it is over. */
  answered(waiter: Waiter): void {
    const extra = waiter.more()
    if (extra.answered) return
    extra.answered = true
    const now = this.engine.now()
    this.office.answered(waiter, now)
    this.engine.pump(now)
  }

  landed(): void {
    for (const at of this.chain) at.inFlight--
  }

  #moved(now: number): void {
    this.engine.pump(now)
    for (const at of this.chain) {
      if (!at.idle) return
      for (const resolve of at.whenIdle.splice(0)) resolve()
      if (at.events.heard('idle')) at.events.emit('idle', {})
    }
  }

  failed(error: unknown, where = 'clock'): void {
    this.events.emit('error', { error, where })
  }

  readonly notice = announce

  /** Asks the user's own probe. */
  readonly ask = () => void ask(this)
}
