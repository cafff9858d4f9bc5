// The implementation of a limiter behind its public methods: how calls enter (`enqueue`), how they end, and what
// may happen to them while they wait.

import { RetryQueue } from '../call/retry-queue.ts'
import { Emitter } from '../lib/emitter.ts'
import type { LimiterEmitter } from './events.ts'
import type { HealthMonitor } from '../call/health.ts'
import { openHealth } from './health.ts'
import { Scheduler, type SchedulerHost } from '../scheduler/scheduler.ts'
import type { Clock } from '../scheduler/clock.ts'
import type { Cost } from '../core/cost.ts'
import { type IssuerOptions, TicketIssuer } from '../core/ticket-issuer.ts'
import { DIMENSIONS, isTokens, type Limit } from '../core/limit/parse-limits.ts'
import { LimiterStoppedError, type QueueClearedError, type QuotaExhaustedError } from '../call/errors.ts'
import { TokenEstimator } from '../call/token-estimator.ts'
import type { LimitHint } from '../responses/headers.ts'
import type { Refusal } from '../responses/verdict.ts'
import type { LimiterOptions } from './options.ts'
import { rejectionOf } from '../call/outcome.ts'
import { WorkerdScheduler, timersBelongToRequests } from '../scheduler/workerd-scheduler.ts'
import { TRIAL_MS } from '../core/gate/gate.ts'
import { quotaSpent, requested, turnAway } from '../call/admission.ts'
import { announce } from './notifications.ts'
import { StoreAdapter } from './store-adapter.ts'
import { Counters } from './counters.ts'
import { FrontQueues } from './front-queues.ts'
import { attend, comeBack, unattend, watchStuck } from '../call/deadlines.ts'
import type { CallContext, PendingCall, Standing } from '../call/pending-call.ts'
import { nameOf, reasonOf, WaitHistory } from './wait-reason.ts'

/** What calls wait for is recorded at most this often. */
const NOTED_MS = 100

// Members that runtimes access on each other are not #private: a tree may be built from two copies of the package.
export class LimiterRuntime implements CallContext, SchedulerHost<PendingCall> {
  readonly name: string
  readonly issuer: TicketIssuer
  readonly scheduler: Scheduler<PendingCall>
  /** This runtime and its ancestors up to the root. */
  readonly chain: readonly LimiterRuntime[]
  readonly children: LimiterRuntime[] = []
  readonly events: LimiterEmitter
  readonly counters = new Counters()
  readonly frontQueues: FrontQueues
  readonly estimator = new TokenEstimator()
  options: LimiterOptions
  /** What the provider's headers last said about each limit, and when. */
  readonly told = new Map<string, LimitHint & { at: number }>()
  /** Called with every answer that is an object. */
  seen: ((answer: unknown) => void) | undefined
  /** Incremented by `update`. */
  version = 0
  /** The error for every call after `stop()`. */
  stopped: LimiterStoppedError | undefined
  /** The error for calls while the quota is used up. */
  spent: QuotaExhaustedError | undefined
  inFlight = 0
  /** What the first call has waited for. */
  readonly history = new WaitHistory()
  #notedAt = -Infinity
  #waited = false
  lastRefusal: { kind: string; reason: string; at: number } | undefined
  lastFailure: string | undefined
  /** Why the last call was rejected. */
  lastRejection: string | undefined
  /** Calls of this limiter and its descendants that wait for their next attempt. */
  backingOff = 0
  readonly random: () => number
  trials = 1000
  wrapper: object | undefined | null = null
  /** Issues tickets if processes share the limits. */
  shared: StoreAdapter | undefined
  /** Asks whether the provider accepts calls again. */
  probe: LimiterOptions['probe']
  /** Watches the latency of this limiter and its descendants. */
  readonly health: HealthMonitor | undefined
  /** Everything that watches latency for this runtime and its ancestors. */
  readonly monitors: readonly HealthMonitor[]
  /** The limits of this limiter and its ancestors. */
  limits: Limit[] = []
  /** Whether anything besides requests is counted, so that usage matters. */
  metered = false
  /** The dimensions that a cost may name. */
  dimensions = new Set<string>()
  /** The token dimensions that are limited. */
  tokens: string[] = []
  readonly #backoff = new RetryQueue(this)
  whenIdle: (() => void)[] = []

  constructor(
    name: string,
    options: LimiterOptions,
    limits: Limit[],
    parent: LimiterRuntime | undefined,
    clock: Clock,
  ) {
    this.name = name
    this.options = options
    this.chain = [this, ...(parent?.chain ?? [])]
    this.frontQueues = new FrontQueues(parent?.frontQueues)
    this.probe = options.probe
    this.events = new Emitter({ limiter: this.name })
    this.scheduler =
      parent?.scheduler ?? new (timersBelongToRequests() ? WorkerdScheduler : Scheduler)(clock, this)
    const { random } = this.scheduler.clock
    this.random = random ? () => random.call(this.scheduler.clock) : Math.random
    this.issuer = new TicketIssuer({
      ...this.#settings(options, limits),
      parent: parent?.issuer,
      notify: (decision) => announce(this, decision),
    })
    this.health = options.health && openHealth(this, options.health)
    this.monitors = [...(this.health ? [this.health] : []), ...(parent?.monitors ?? [])]
    if (parent) parent.children.push(this)
    else this.scheduler.root = this.issuer
    // Limits that refill by the clock start now.
    if (limits.some(({ refill }) => refill)) this.issuer.limitSet.crowd(false, this.scheduler.now())
    if (options.store) this.issuer.slots = this.shared = new StoreAdapter(this, options.store)
    this.count()
  }

  #settings(options: LimiterOptions, limits: Limit[]): Omit<IssuerOptions, 'parent'> {
    const { maxConcurrent, parent, store, health, learn = true } = options
    const bounded = limits.length > 0 || maxConcurrent !== undefined || parent || store || health
    return {
      ...options,
      limits,
      unknown: learn && !bounded,
      random: this.random,
      asks: () => this.probe !== undefined,
      wall: this.scheduler.wall,
    }
  }

  /** Applies new options, also to waiting calls. Counts are kept. */
  update(options: LimiterOptions, limits: Limit[]): void {
    const now = this.scheduler.now()
    this.options = options
    this.version++
    this.probe = options.probe
    this.issuer.update(this.#settings(options, limits), now)
    this.shared?.slots.update(now)
    this.count()
    this.scheduler.pump(now)
  }

  count(): void {
    this.limits = [
      ...this.issuer.limitSet.buckets.map(({ limit }) => limit).filter(({ assumed }) => !assumed),
      ...(this.chain[1]?.limits ?? []),
    ]
    this.metered = this.limits.some(({ of }) => of !== 'requests')
    this.dimensions = new Set([...DIMENSIONS, ...this.limits.map(({ of }) => of)])
    this.tokens = this.limits.map(({ of }) => of).filter(isTokens)
    for (const child of this.children) child.count()
  }

  /** Calls that wait for a ticket: here, below, and in queues in front of these limiters. */
  get waiting(): number {
    const { issuer, frontQueues } = this
    // A standby that gets its ticket at this moment has left the queue already.
    return Math.max(0, issuer.waiting - frontQueues.standbys + (frontQueues.waiting ?? 0))
  }

  /** Enqueues a call. Returns its new state: it waits, has its ticket, or is rejected. */
  enqueue(pending: PendingCall, now: number): Standing {
    if (pending.seq === 0) requested(this, pending)
    const failure = turnAway(this, pending, now)
    if (failure) this.#reject(pending, failure.error, now)
    else {
      this.scheduler.join(pending, now)
      if (pending.queue) attend(pending, now)
    }
    return pending.standing
  }

  /** Removes a call without a ticket from the queue or from its backoff. */
  giveUp(pending: PendingCall, error: unknown): void {
    // Calls that ended at the same moment may have made room for this one.
    if (pending.state !== 'waiting' && pending.state !== 'parked') return
    const now = this.scheduler.now()
    this.#backoff.remove(pending)
    unattend(pending)
    this.#reject(pending, error, now)
    this.#moved(now)
  }

  #reject(pending: PendingCall, error: unknown, now: number): void {
    this.issuer.cancel(pending, now)
    pending.more().failure = { error }
    this.counters.rejected++
    this.lastRejection = rejectionOf(error)
    if (this.events.heard.has('reject')) this.events.emit('reject', { ...pending.named, error })
    this.#tellEmpty(pending)
    this.scheduler.wake(pending)
  }

  /** Emits `empty` if the last call has left the queue. */
  #tellEmpty({ grant, policy }: PendingCall): void {
    if (!grant) return
    for (const at of policy.runtime.chain)
      if (at.events.heard.has('empty') && at.waiting === 0) at.events.emit('empty', {})
  }

  waitingOn(now: number): string | undefined {
    const why = reasonOf(this, now)
    return why && nameOf(why)
  }

  /** Called when the scheduler has issued all possible tickets. Records what the remaining calls wait for. */
  settled(now: number): void {
    const waits = this.issuer.waiting + this.backingOff > 0
    if (waits === this.#waited && (!waits || now - this.#notedAt < NOTED_MS)) return
    this.#waited = waits
    this.#notedAt = now
    this.note(now)
  }

  note(now: number): void {
    const waits = this.issuer.waiting + this.backingOff > 0
    this.history.note(waits ? reasonOf(this, now) : undefined, now)
    for (const child of this.children) child.note(now)
  }

  /** Called when the scheduler has a ticket for a call of this tree. */
  issue(pending: PendingCall, now: number): void {
    const { waitState, policy } = pending
    const { runtime } = policy
    const { chain, counters, events } = runtime
    for (const at of chain) at.inFlight++
    const waitedMs = pending.issued(now)
    if (waitState) {
      waitState.waitedMs += waitedMs
      unattend(pending)
    }
    counters.waited(waitedMs)
    if (events.heard.has('issue'))
      events.emit('issue', { ...pending.named, waitedMs: Math.max(0, waitedMs), waiting: runtime.waiting })
    this.#tellEmpty(pending)
    this.scheduler.wake(pending)
  }

  /** The provider answered, possibly with an error that concerns only the caller. Calling it again does nothing. */
  finish(pending: PendingCall, used: Cost | undefined, failure?: string): void {
    if (pending.state !== 'in flight') return
    const now = this.scheduler.now()
    if (pending.waitState?.answered) this.issuer.end(pending, used, now)
    else this.issuer.finish(pending, used, now)
    this.#landed(pending, failure === undefined, now, failure)
  }

  /** It is unknown whether the provider received the call. Calling it again does nothing. */
  lose(pending: PendingCall, failure?: string): void {
    if (pending.state !== 'in flight') return
    const now = this.scheduler.now()
    if (pending.waitState?.answered) this.issuer.end(pending, undefined, now)
    else this.issuer.lose(pending, now)
    this.#landed(pending, false, now, failure)
  }

  /** The call was never sent. Calling it again does nothing. */
  release(pending: PendingCall): void {
    if (pending.state !== 'in flight') return
    const now = this.scheduler.now()
    if (pending.waitState?.answered) this.issuer.end(pending, 'unsent', now)
    else this.issuer.release(pending, now)
    this.#landed(pending, false, now)
  }

  /** A call with a ticket has ended. */
  #landed(pending: PendingCall, ok: boolean, now: number, failure?: string): void {
    this.#left()
    this.#tellFinish(pending, ok, now, failure)
    this.#moved(now)
  }

  #tellFinish({ sentAt, waitState, named }: PendingCall, ok: boolean, now: number, failure?: string): void {
    const { counters, events, monitors } = this
    counters.finished++
    if (!ok) counters.failed++
    const ms = now - sentAt!
    if (ok && !waitState?.answered) for (const monitor of monitors) monitor.sample('duration', ms, now)
    if (events.heard.has('finish'))
      events.emit('finish', { ...named, ok, ms, ...(failure !== undefined && { failure }) })
  }

  /**
   * The provider refused. The call returns to the queue unless it failed for good, and its `standing` gives the
   * reason. With `mayWait` false the call has ended: it was refused in mid-stream, after its caller saw part of
   * the answer.
   */
  refuse(pending: PendingCall, verdict: Refusal, error: unknown, mayWait = true): void {
    if (pending.state !== 'in flight') return
    const now = this.scheduler.now()
    const waitState = pending.more()
    waitState.refusals++
    waitState.lastRefusal = error
    waitState.lastReason = verdict.reason
    this.#left()
    this.counters.refused++
    this.lastRefusal = { kind: verdict.kind, reason: verdict.reason, at: now }
    if (this.events.heard.has('refuse')) this.events.emit('refuse', { ...pending.named, verdict, error })
    const { kind } = verdict
    const passes = kind === 'rate' || kind === 'overload'
    const parks = passes && mayWait && waitState.refusals <= pending.policy.maxRefusals
    if (passes) {
      const aloneMs = this.issuer.refuse(pending, { ...verdict, kind }, parks, now)
      if (aloneMs > 0) this.#backoff.add(pending, aloneMs, true, now)
    } else if (kind === 'quota') this.#spend(pending, verdict, error, now)
    else this.issuer.finish(pending, 'refused', now)
    if (parks) this.#park(pending, verdict, now)
    else {
      waitState.failure = { error }
      this.#tellFinish(pending, false, now)
    }
    this.#moved(now)
  }

  #park(pending: PendingCall, { reason }: Refusal, now: number): void {
    const waitState = pending.more()
    waitState.parkedAt = now
    waitState.firstParkedAt ??= now
    const { events, issuer } = this
    if (events.heard.has('park'))
      events.emit('park', { ...pending.named, parked: issuer.parked, refusals: waitState.refusals })
    watchStuck(pending, reason, now)
    comeBack(pending, now)
  }

  /** The quota or credit is used up, so no waiting call would succeed either. */
  #spend(pending: PendingCall, verdict: Refusal, error: unknown, now: number): void {
    this.issuer.spend(pending, verdict.waitMs, now)
    this.shared?.slots.spend(verdict.waitMs ?? TRIAL_MS, verdict.waitMs !== undefined)
    this.exhaust(quotaSpent(this.name, verdict, error))
  }

  exhaust(error: QuotaExhaustedError): void {
    this.failAll((this.spent = error))
  }

  /** The gate has closed, so calls that were refused individually now wait with the others. */
  recall(now: number): void {
    this.#backoff.recall(now)
    for (const child of this.children) child.recall(now)
  }

  failAll(error: unknown): void {
    for (const pending of this.#backoff.waiters) this.giveUp(pending, error)
    for (let first = this.issuer.line.first; first; first = this.issuer.line.first)
      this.giveUp(first as PendingCall, error)
    for (const child of this.children) child.failAll(error)
  }

  /** After a transient failure, the call waits and then returns to its place in the queue. */
  backOff(pending: PendingCall, delayMs: number, error: unknown, reason: string): void {
    const now = this.scheduler.now()
    const waitState = pending.more()
    this.issuer.putOff(pending, now)
    this.#left()
    waitState.failures++
    waitState.parkedAt = now
    waitState.lastRefusal = error
    waitState.lastReason = reason
    this.#backoff.add(pending, delayMs, false, now)
    if (this.events.heard.has('retry'))
      this.events.emit('retry', { ...pending.named, attempt: waitState.failures + 1, delayMs, error })
    comeBack(pending, now)
    this.#moved(now)
  }

  /** The calls of this limiter and its descendants that wait for a ticket or a retry. */
  queued(): PendingCall[] {
    const { line } = this.issuer
    const here = [...(line.size > 0 ? line.sample(line.size) : []), ...this.#backoff.waiters]
    return [...(here as PendingCall[]), ...this.children.flatMap((child) => child.queued())]
  }

  /** Rejects some of the waiting calls of this limiter and its descendants. Other calls are not affected. */
  clear(calls: readonly PendingCall[], error: QueueClearedError): void {
    const now = this.scheduler.now()
    const until = this.issuer.pausedUntil
    // Rejecting one call must not issue a ticket to another that is rejected next.
    this.issuer.pause(Infinity)
    for (const call of calls) call.policy.runtime.giveUp(call, error)
    this.issuer.pause(until)
    this.scheduler.pump(now)
  }

  stop(reason?: unknown): void {
    // Rejecting one call must not issue a ticket to another that is rejected next.
    this.issuer.pause(Infinity)
    this.failAll((this.stopped ??= new LimiterStoppedError(`'${this.name}' was stopped`, reason)))
    for (const child of this.children) child.stop(reason)
    this.shared?.slots.stop()
    this.events.emit('stop', { reason })
  }

  get idle(): boolean {
    return this.issuer.waiting === 0 && this.inFlight === 0 && this.backingOff === 0
  }

  /** Resolves when no call is waiting or in flight. */
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

  /** The provider has begun to answer, so it accepted the call, long before the call ends. */
  answered(pending: PendingCall): void {
    const waitState = pending.more()
    if (waitState.answered) return
    waitState.answered = true
    const now = this.scheduler.now()
    this.issuer.answered(pending, now)
    this.scheduler.pump(now)
  }

  storeFailure(): { cause: unknown } | undefined {
    return this.shared?.slots.refusal()
  }

  /** The request that made a call in flight has ended, so the call has ended too. */
  abandon(call: PendingCall): void {
    call.policy.runtime.lose(call)
  }

  /** A call is no longer in flight. */
  #left(): void {
    for (const at of this.chain) at.inFlight--
  }

  #moved(now: number): void {
    this.scheduler.pump(now)
    for (const at of this.chain) {
      if (!at.idle) return
      for (const resolve of at.whenIdle.splice(0)) resolve()
      if (at.events.heard.has('idle')) at.events.emit('idle', {})
    }
  }

  failed(error: unknown, where = 'clock'): void {
    this.events.emit('error', { error, where })
  }
}
