// A pool: one queue in front of several limiters. The strategy says which targets may answer a call, and the call takes
// whichever ticket comes first.
//
// Each target has at most one standby in the line of its limiter, and none when nobody here wants it: the limiter's own
// timer, gate, probe and store work for the pool as for any other caller, and nothing is polled. A ticket is given to
// whoever is first at the moment when it comes.

import {
  type BucketRateLimiter,
  type Clock,
  type Grant,
  type GrantOutcome,
  LimiterError,
  LimiterStoppedError,
  WaitTimeoutError,
} from 'llmiter'
import { duration } from '../lib/duration.ts'
import { watch } from '../lib/abort.ts'
import { callable, choice, text } from '../lib/validate.ts'
import { type Amounts, BudgetExceededError, type BudgetStats, type Reservation } from './budgets.ts'
import { LaneMember, Lanes } from './lanes.ts'
import { parsePool, type PoolOptions, type PoolRules, type PoolSnapshot } from './options.ts'
import type { PoolCall } from './pool-call.ts'
import type { PoolTarget } from './pool-target.ts'
import { prefer, StickyTargets } from './sticky.ts'
import type { TargetTier } from './strategy.ts'
import { UnknownPriceError } from './prices.ts'
import type { Sharing, SharingStats } from './sharing.ts'
import type { Spending } from './spending.ts'
import { type Finding, TargetHealth, type TargetState } from './target.ts'

/** No target can answer the call: none fits it, or all that may are dead, spent or stopped. `cause` says why. */
export class NoTargetError extends LimiterError {
  /** The name of the class. */
  override name = 'NoTargetError'
  static readonly code = 'NO_TARGET'
}

/** What each event of a pool tells. */
export interface PoolEvents {
  /** A target has come into another state. */
  state: { target: string; state: TargetState }
  /** A call is tried again, at whichever target has room first. */
  fallback: { from: string; error: unknown; attempts: number }
}

/** The numbers of a pool: a copy. */
export interface PoolStats {
  /** Calls in the queue. */
  waiting: number
  /** The state of each budget. */
  budgets: BudgetStats[]
  /** Calls that were not sent, with `coalesce` and `cache`. */
  sharing: SharingStats | undefined
  /** The state and the counts of each target. */
  targets: {
    name: string
    state: TargetState
    inFlight: number
    sent: number
    answered: number
    failed: number
    refused: number
  }[]
}

type Terms = Pick<PoolCall, 'cost' | 'request'>
const PLAIN: Terms = Object.freeze({})

interface Standby {
  /** What it was reserved for: a call with other needs has to stand in line anew. */
  readonly terms: Terms
  leave: () => void
}

type Outcome = { readonly error: unknown } | { readonly value: unknown }

class PoolMember extends LaneMember {
  readonly call: PoolCall
  readonly terms: Terms
  readonly tiers: readonly TargetTier[]
  /** In line, in all, but for the time since `queuedAt`. */
  waitedMs = 0
  queuedAt = 0
  readonly stickyKey: string | undefined
  /** So many tiers may answer it now. */
  reach = 0
  attempts = 0
  /** Targets that failed it, and those that can never answer it. Those that refused are held by their gates. */
  readonly visited = new Set<number>()
  readonly excluded = new Map<number, unknown>()
  last: Outcome | undefined
  given: { readonly index: number; readonly number: number; readonly grant: Grant } | undefined
  /** What its caller gets, when it is not sent any more. */
  end: Outcome | undefined
  wake: (() => void) | undefined
  /** What a try of it may use, and what is reserved for the present one. */
  bound: Amounts | undefined
  readonly held: Reservation[] = []
  readonly timers: (() => void)[] = []

  constructor(call: PoolCall, tiers: readonly TargetTier[], stickyKey: string | undefined) {
    super(call.priority ?? 0, call.tenant)
    this.call = call
    const { cost, request } = call
    this.terms =
      cost === undefined && request === undefined
        ? PLAIN
        : { ...(cost !== undefined && { cost }), ...(request !== undefined && { request }) }
    this.tiers = tiers
    this.stickyKey = stickyKey
  }
}

/** Several targets behind one queue: `createPool` makes it. */
export class Pool<T extends PoolTarget = PoolTarget> {
  /** The targets as they were given. */
  readonly targets: readonly T[]
  readonly #health: readonly TargetHealth[]
  readonly #rules: PoolRules
  readonly #clock: Clock
  readonly #lanes = new Lanes()
  readonly #standby: (Standby | undefined)[] = []
  readonly #filling = new Set<number>()
  readonly #alarms: ({ readonly at: number; readonly cancel: () => void } | undefined)[] = []
  readonly #states: TargetState['state'][]
  readonly #listeners = new Map<keyof PoolEvents, Set<(event: never) => void>>()
  readonly #sticky: StickyTargets
  readonly #spending: Spending | undefined
  readonly #sharing: Sharing | undefined
  #stopped: LimiterStoppedError | undefined

  constructor(options: PoolOptions<T>) {
    this.#rules = parsePool(options)
    this.targets = options.targets
    this.#clock = options.targets[0]!.limiter.clock
    if (options.targets.some(({ limiter }) => limiter.clock !== this.#clock))
      throw new TypeError('targets: all limiters must have the same clock')
    this.#health = options.targets.map((target) => new TargetHealth(target, this.#rules.breaker, this.#clock))
    this.#states = options.targets.map(() => 'ready')
    this.#spending = this.#rules.spending
    this.#sharing = this.#rules.sharing?.(this.#clock)
    this.#sticky = new StickyTargets(this.#rules.stickyMs)
    for (const [i, { limiter }] of options.targets.entries()) this.#listen(limiter, i)
  }

  #listen(limiter: BucketRateLimiter, index: number): void {
    limiter.on('gate', () => this.#tell(index))
  }

  /**
   * Runs `fn` with the first target that has room for it, and resolves with its result. Refused, the call keeps its place
   * and takes whichever target comes first; after a failure of the target it goes to the next. Any other error reaches
   * you untouched.
   *
   * @throws NoTargetError, WaitTimeoutError, LimiterStoppedError, BudgetExceededError, UnknownPriceError, or what `fn`
   * threw last.
   */
  async run<R>(
    fn: (target: T, signal: AbortSignal | undefined) => R,
    call: PoolCall = {},
  ): Promise<Awaited<R>> {
    callable(fn, 'fn')
    return this.#sharing
      ? (this.#sharing.run(call, () => this.#send(fn, call)) as Promise<Awaited<R>>)
      : this.#send(fn, call)
  }

  async #send<R>(fn: (target: T, signal: AbortSignal | undefined) => R, call: PoolCall): Promise<Awaited<R>> {
    const admitted = this.#admitted(call)
    const member = admitted instanceof Promise ? await admitted : admitted
    for (;;) {
      if (!member.given && !member.end) await new Promise<void>((resolve) => (member.wake = resolve))
      if (member.end) return resultOf(member.end) as Awaited<R>
      const { index, number, grant } = member.given!
      member.given = undefined
      const outcome = await this.#attempt(member, index, number, grant, fn)
      if (outcome) return resultOf(outcome) as Awaited<R>
    }
  }

  /**
   * How long a call would wait for its ticket, in ms, as far as one can tell now: at the target that has room first.
   * Infinity while no target that may answer it accepts calls.
   *
   * @throws NoTargetError, TypeError
   */
  waitTime(call: PoolCall = {}): number {
    const now = this.#clock.now()
    const tiers = this.#tiersFor(call, now)
    const indices = new Set(
      tiers.flatMap((tier) => [...tier].flatMap(([i, weight]) => (weight > 0 ? [i] : []))),
    )
    return Math.max(0, Math.min(...[...indices].map((i) => this.#estimate(i, call, now))))
  }

  /** What goes on, in numbers. A copy. */
  stats(): PoolStats {
    const now = this.#clock.now()
    return {
      waiting: this.#lanes.size,
      sharing: this.#sharing && { ...this.#sharing.stats },
      budgets: this.#spending?.budgets.stats(this.#clock.wall()) ?? [],
      targets: this.#health.map((health) => {
        const { target, inFlight, sent, answered, failed, refused } = health
        return { name: target.name, state: health.state(now), inFlight, sent, answered, failed, refused }
      }),
    }
  }

  /** Listens to an event. Returns a function that ends it. */
  on<E extends keyof PoolEvents>(event: E, listener: (event: PoolEvents[E]) => void): () => void {
    choice(event, 'event', ['state', 'fallback'])
    callable(listener, 'listener')
    const set = this.#listeners.get(event) ?? new Set()
    this.#listeners.set(event, set)
    set.add(listener)
    return () => set.delete(listener)
  }

  /** No new calls for this target, until `resume(name)`. */
  pause(name: string): void {
    this.#change(name, (health) => (health.paused = true))
  }

  /** Ends `pause(name)`. */
  resume(name: string): void {
    this.#change(name, (health) => (health.paused = false))
  }

  /** The next call tries this target, whatever it was put aside for. */
  retry(name: string): void {
    this.#change(name, (health, now) => health.retry(now))
  }

  /** Rejects all who wait, and every later call. Calls in flight end by themselves, and so do the limiters. */
  stop(reason?: unknown): void {
    this.#stopped ??= new LimiterStoppedError('the pool was stopped', reason)
    for (const { queue } of this.#lanes.occupied())
      for (let first = queue.first; first; first = queue.first)
        this.#reject(first as PoolMember, this.#stopped)
    for (const alarm of this.#alarms) alarm?.cancel()
  }

  /** The states of the targets and what their limiters have counted and learned, as plain JSON. */
  snapshot(): PoolSnapshot {
    const now = this.#clock.now()
    const targets = this.#health.map((health) => [health.target.name, health.snapshot(now)] as const)
    const wall = this.#clock.wall()
    const budgets = this.#spending?.budgets.snapshot(wall)
    return { version: 1, wall, targets: Object.fromEntries(targets), ...(budgets && { budgets }) }
  }

  /** Takes over a snapshot. Of targets that are no longer, or new, nothing is taken over. */
  restore(saved: PoolSnapshot): void {
    if (saved?.version !== 1 || !Number.isFinite(saved.wall) || typeof saved.targets !== 'object')
      throw new TypeError(`snapshot must be what snapshot() gave, got ${text(saved)}`)
    const now = this.#clock.now()
    const ageMs = Math.max(0, this.#clock.wall() - saved.wall)
    if (saved.budgets) this.#spending?.budgets.restore(saved.budgets, this.#clock.wall())
    for (const [i, health] of this.#health.entries()) {
      const found = saved.targets[health.target.name]
      if (found) health.restore(found, ageMs, now)
      this.#review(i)
    }
  }

  #indexOf(name: unknown): number {
    const index = this.targets.findIndex((target) => target.name === name)
    if (index >= 0) return index
    const known = this.targets.map((target) => target.name).join(', ')
    throw new TypeError(`the pool has no target ${text(name)}; known: ${known}`)
  }

  #change(name: string, change: (health: TargetHealth, now: number) => void): void {
    const index = this.#indexOf(name)
    change(this.#health[index]!, this.#clock.now())
    this.#review(index)
  }

  /** Prices are loaded when the first call needs them. */
  #admitted(call: PoolCall): PoolMember | Promise<PoolMember> {
    try {
      return this.#admit(call)
    } catch (error) {
      if (!(error instanceof UnknownPriceError)) throw error
      return this.#spending!.load().then((news) => {
        if (!news) throw error
        return this.#admit(call)
      })
    }
  }

  #admit(call: PoolCall): PoolMember {
    if (this.#stopped) throw this.#stopped
    const { signal, maxWaitMs, priority } = call
    if (priority !== undefined && !Number.isFinite(priority))
      throw new TypeError(`priority must be a finite number, got ${text(priority)}`)
    if (signal?.aborted) throw signal.reason
    const now = this.#clock.now()
    const key = this.#stickyKey(call)
    const tiers = this.#tiersFor(call, now, key)
    if (maxWaitMs !== undefined && maxWaitMs !== 0) duration(maxWaitMs, 'maxWaitMs')
    const member = new PoolMember(call, tiers, key)
    const short = this.#reserve(member)
    if (short) throw short
    this.#place(member)
    return member
  }

  /** Reserves what the next try may use. Returns why that cannot be. */
  #reserve(member: PoolMember): BudgetExceededError | undefined {
    if (!this.#spending) return undefined
    const { call, tiers } = member
    const targets = tiers.flatMap((tier) => [...tier.keys()].map((i) => this.targets[i]!))
    member.bound ??= this.#spending.bound(call, targets)
    const held = this.#spending.budgets.reserve(call, member.bound, this.#clock.wall())
    if (held instanceof BudgetExceededError) return held
    member.held.push(held)
    return undefined
  }

  /** The target that has a ticket may have a budget of its own. Returns why it cannot hold the call. */
  #reserveAt(index: number, { call, bound, held }: PoolMember): { readonly error: unknown } | undefined {
    if (!this.#spending?.budgets.byTarget) return undefined
    const { budgets } = this.#spending
    try {
      const own = budgets.reserve(call, bound!, this.#clock.wall(), this.targets[index]!.name)
      if (own instanceof BudgetExceededError) return { error: own }
      held.push(own)
      return undefined
    } catch (error) {
      return { error } // A condition of the user's threw.
    }
  }

  #stickyKey(call: PoolCall): string | undefined {
    return call.target === undefined ? this.#rules.stickyBy?.(call) : undefined
  }

  #tiersFor(call: PoolCall, now: number, key = this.#stickyKey(call)): readonly TargetTier[] {
    const { target } = call
    return target === undefined ? this.#tiersOf(call, key, now) : [new Map([[this.#indexOf(target), 1]])]
  }

  #tiersOf(call: PoolCall, key: string | undefined, now: number): readonly TargetTier[] {
    const tiers = this.#rules.plan(call)
    if (tiers.every((tier) => tier.size === 0))
      throw new NoTargetError('the strategy names no target for this call')
    return key === undefined ? tiers : prefer(tiers, this.#sticky.of(key, tiers, this.targets, now))
  }

  /** Puts a call in line for the targets that may answer it now. */
  #place(member: PoolMember): void {
    const now = this.#clock.now()
    if (this.#stopped) return this.#finish(member, { error: this.#stopped })
    const allowed = this.#allowed(member, now)
    if (allowed.length === 0) return this.#noTarget(member, now)
    member.queuedAt = now
    this.#lanes.add(member, allowed)
    this.#serve(member, allowed)
    if (member.lane) this.#attend(member)
  }

  /** What may happen to a call while it waits. */
  #attend(member: PoolMember): void {
    const { call, timers, waitedMs, reach, tiers } = member
    const after = (longest: number, what: () => void) => {
      timers.push(this.#clock.setTimer(what, Math.max(0, longest - waitedMs), true))
    }
    if (call.signal) timers.push(watch(call.signal, () => this.#reject(member, call.signal!.reason)))
    if (call.maxWaitMs === 0) this.#tooLong(member)
    else if (call.maxWaitMs !== undefined)
      after(duration(call.maxWaitMs, 'maxWaitMs'), () => this.#tooLong(member))
    if (reach < tiers.length && member.lane) after(this.#rules.waitUpTo, () => this.#again(member))
  }

  /** Out of line, to be placed again or to end. */
  #unline(member: PoolMember): void {
    this.#lanes.remove(member)
    this.#rest(member)
  }

  #rest(member: PoolMember): void {
    member.waitedMs += this.#clock.now() - member.queuedAt
    for (const cancel of member.timers.splice(0)) cancel()
  }

  /** Tries the targets in the order of their weights; whoever has room takes the first in line. */
  #serve(member: PoolMember, allowed: readonly number[]): void {
    if (allowed.length === 1) return this.#fill(allowed[0]!)
    const inOrder = [...allowed].sort((a, b) => this.#due(member, a) - this.#due(member, b))
    for (const index of inOrder) {
      if (!member.lane) return
      this.#fill(index)
    }
  }

  #due(member: PoolMember, index: number): number {
    const { served } = this.#health[index]!
    return served + 1 / this.#weight(member, index)
  }

  #weight({ tiers }: PoolMember, index: number): number {
    return tiers.find((tier) => tier.has(index))?.get(index) ?? 1
  }

  /** The targets of the first tiers, up to the first that need not be waited for too long. */
  #allowed(member: PoolMember, now: number): number[] {
    const { tiers, excluded, visited, waitedMs } = member
    const { waitUpTo } = this.#rules
    const allowed = new Set<number>()
    member.reach = 0
    for (const tier of tiers) {
      member.reach++
      let soonest = Infinity
      for (const [index, weight] of tier) {
        if (weight === 0 || excluded.has(index) || visited.has(index)) continue
        if (this.#health[index]!.hopeless(now)) continue
        allowed.add(index)
        if (member.reach < tiers.length) soonest = Math.min(soonest, this.#estimate(index, member.terms, now))
      }
      if (waitedMs < waitUpTo && waitedMs + soonest <= waitUpTo) break
    }
    return [...allowed].sort((a, b) => a - b)
  }

  /** How long the call would wait for this target, as far as one can tell. */
  #estimate(index: number, terms: Terms, now: number): number {
    const health = this.#health[index]!
    if (!health.admits(now)) return health.opensAt() - now
    let wait = health.limiter.waitTime(terms.cost)
    for (const { targets, queue } of this.#lanes.occupied()) {
      if (!targets.includes(index)) continue
      const rate = targets.reduce((sum, i) => sum + this.#health[i]!.rate(now), 0)
      // The first of them stands in the limiter's own line.
      wait += Math.max(0, queue.size - 1) / rate
    }
    return wait
  }

  #noTarget(member: PoolMember, now: number): void {
    const { last, excluded, tiers, visited } = member
    if (last) return this.#finish(member, last)
    const all = [...new Set(tiers.flatMap((tier) => [...tier.keys()]))]
    const causes = all.map((i) => this.#health[i]!.hopeless(now)?.cause ?? excluded.get(i))
    const states = all.map((i) => {
      const why = excluded.has(i)
        ? excluded.get(i) instanceof BudgetExceededError
          ? 'no budget'
          : 'too small'
        : visited.has(i)
          ? 'tried'
          : this.#health[i]!.state(now).state
      return `${this.targets[i]!.name} (${why})`
    })
    // Where money is all that is missing, the error says when it comes back.
    const short = causes.every((cause) => cause instanceof BudgetExceededError)
    const message = `no target can answer the call: ${states.join(', ')}`
    const cause = causes.find((cause) => cause !== undefined)
    const error = short ? cause : new NoTargetError(message, cause)
    this.#finish(member, { error })
  }

  /** Sees to it that the target has a standby if anybody here wants it. */
  #fill(index: number): void {
    if (this.#filling.has(index)) return
    this.#filling.add(index)
    try {
      while (this.#stand(index));
    } finally {
      this.#filling.delete(index)
    }
    this.#tell(index)
  }

  /** Returns whether somebody was served, so that the next one may be. */
  #stand(index: number): boolean {
    const health = this.#health[index]!
    const first = this.#lanes.first(index) as PoolMember | undefined
    const standby = this.#standby[index]
    const admits = first !== undefined && health.admits(this.#clock.now())
    if (standby) {
      if (admits && standby.terms === first.terms) return false
      this.#leave(index)
    }
    this.#lookAgain(index, first !== undefined && !admits)
    if (!admits) return false
    const mine: Standby = { terms: first.terms, leave: () => {} }
    this.#standby[index] = mine
    let over = false
    const leave = health.limiter.standBy(first.terms, {
      granted: (grant) => {
        over = true
        this.#standby[index] = undefined
        this.#granted(index, first.terms, grant)
      },
      failed: (error) => {
        over = true
        this.#standby[index] = undefined
        this.#unable(index, first, error)
      },
    })
    mine.leave = leave
    health.full = !over
    return over
  }

  #leave(index: number): void {
    const standby = this.#standby[index]
    this.#standby[index] = undefined
    this.#health[index]!.full = false
    standby?.leave()
  }

  /** A timer for a target that is put aside while somebody waits for it. */
  #lookAgain(index: number, wanted: boolean): void {
    const alarm = this.#alarms[index]
    const at = wanted ? this.#health[index]!.opensAt() : Infinity
    const now = this.#clock.now()
    if (alarm?.at === at) return
    alarm?.cancel()
    this.#alarms[index] = undefined
    if (at === Infinity || at <= now) return
    const ring = () => {
      this.#alarms[index] = undefined
      this.#fill(index)
    }
    this.#alarms[index] = { at, cancel: this.#clock.setTimer(ring, at - now, true) }
  }

  #granted(index: number, terms: Terms, grant: Grant): void {
    const health = this.#health[index]!
    health.full = false
    const member = this.#lanes.first(index) as PoolMember | undefined
    // Another call may be first by now, with needs that the ticket is not for.
    const failure = member?.terms === terms ? this.#reserveAt(index, member) : undefined
    if (member?.terms !== terms || failure) {
      grant.release()
      if (failure?.error instanceof BudgetExceededError) this.#exclude(index, member!, failure.error)
      else if (failure) this.#reject(member!, failure.error)
    } else {
      const { targets } = member.lane!
      this.#lanes.serve(member)
      this.#catchUp(index, member)
      member.given = { index, number: health.sentOne(this.#clock.now()), grant }
      if (member.stickyKey !== undefined) this.#sticky.keep(member.stickyKey, index, this.#clock.now())
      this.#rest(member)
      member.wake?.()
      // What stood in line elsewhere for this call stands for the next one, or goes.
      for (const other of targets) if (other !== index && this.#standby[other]) this.#fill(other)
    }
    this.#fill(index)
  }

  /** A target that had no room for a while has saved up no turns. */
  #catchUp(index: number, member: PoolMember): void {
    const health = this.#health[index]!
    const others = this.#health.map(({ served }) => served)
    const weight = this.#weight(member, index)
    health.served = Math.max(health.served, Math.max(...others) - 2 / weight) + 1 / weight
  }

  /** The limiter of this target has no ticket for the call, and never will while things are as they are. */
  #unable(index: number, member: PoolMember, error: unknown): void {
    if ((Object(error) as { code?: unknown }).code === 'REQUEST_TOO_LARGE')
      return this.#exclude(index, member, error)
    this.#health[index]!.unavailable(error, this.#clock.now())
    this.#review(index)
  }

  #exclude(index: number, member: PoolMember, error: unknown): void {
    member.excluded.set(index, error)
    this.#again(member)
  }

  /** Something about the target has changed: those who wait for it may have to look elsewhere. */
  #review(index: number): void {
    if (this.#health[index]!.hopeless(this.#clock.now())) {
      for (const { targets, queue } of this.#lanes.occupied()) {
        if (!targets.includes(index)) continue
        const members: PoolMember[] = []
        for (let first = queue.first; first; first = queue.first) {
          this.#unline(first as PoolMember)
          members.push(first as PoolMember)
        }
        for (const member of members) this.#place(member)
      }
    }
    this.#fill(index)
  }

  #again(member: PoolMember): void {
    if (!member.lane) return
    this.#unline(member)
    this.#place(member)
  }

  /** One try. Returns what the caller gets, or undefined when the call is in line again. */
  async #attempt<R>(
    member: PoolMember,
    index: number,
    number: number,
    grant: Grant,
    fn: (target: T, signal: AbortSignal | undefined) => R,
  ): Promise<Outcome | undefined> {
    const { signal, timeoutMs } = member.call
    const own = { ...(signal && { signal }), ...(timeoutMs !== undefined && { timeoutMs }) }
    const plain = !signal && timeoutMs === undefined
    let outcome = await grant.run((given) => fn(this.targets[index]!, given), plain ? undefined : own)
    const { verdict } = outcome
    const finding = findingOf(outcome, signal?.aborted === true)
    if (this.#spending)
      outcome = this.#spending.settle(member.call, this.targets[index]!, member.held.splice(0), outcome)
    this.#over(index, finding, number)
    if (!this.#goesOn(member, index, outcome, finding)) return outcome
    const answer = answerOf(outcome)
    member.attempts++
    if (verdict?.kind === 'rate' || verdict?.kind === 'overload') this.#health[index]!.refused++
    else {
      member.visited.add(index)
      member.last = outcome
    }
    if (verdict?.kind === 'oversize') member.excluded.set(index, answer)
    if (member.attempts >= this.#rules.maxAttempts) return outcome
    const short = this.#reserve(member)
    if (short) return { error: short }
    this.#emit('fallback', { from: this.targets[index]!.name, error: answer, attempts: member.attempts })
    this.#place(member)
    return undefined
  }

  #goesOn(member: PoolMember, index: number, outcome: GrantOutcome, finding: Finding): boolean {
    if (member.call.signal?.aborted) return false
    if (outcome.verdict || finding.of === 'unauthorized') return true
    const failed = 'error' in outcome || (outcome.status ?? 200) >= 400
    if (!failed) return false
    try {
      return this.#rules.fallsBack(answerOf(outcome), outcome.status)
    } catch (error) {
      this.targets[index]!.limiter.report(error, 'fallbackOn')
      return false
    }
  }

  #over(index: number, finding: Finding, number: number): void {
    const health = this.#health[index]!
    health.ended(finding, number, this.#clock.now())
    if (finding.of === 'broke' || finding.of === 'unauthorized') health.failed++
    this.#review(index)
  }

  #reject(member: PoolMember, error: unknown): void {
    const { lane } = member
    if (!lane) return
    this.#unline(member)
    this.#finish(member, { error })
    for (const index of lane.targets) this.#fill(index)
  }

  #tooLong(member: PoolMember): void {
    const { maxWaitMs } = member.call
    const message = `no target had room within maxWaitMs (${String(maxWaitMs)}), ${this.#lanes.size} calls wait`
    this.#reject(member, new WaitTimeoutError(message))
  }

  #finish(member: PoolMember, end: Outcome): void {
    for (const held of member.held.splice(0)) held.release()
    member.end = end
    member.wake?.()
  }

  #tell(index: number): void {
    if (!this.#listeners.has('state')) return
    const health = this.#health[index]!
    const state = health.state(this.#clock.now())
    if (state.state === this.#states[index]) return
    this.#states[index] = state.state
    this.#emit('state', { target: health.target.name, state })
  }

  #emit<E extends keyof PoolEvents>(name: E, event: PoolEvents[E]): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      try {
        ;(listener as (event: PoolEvents[E]) => void)(event)
      } catch (error) {
        this.targets[0]!.limiter.report(error, `listener of the pool's '${name}'`)
      }
    }
  }
}

/** One queue in front of several limiters. */
export function createPool<T extends PoolTarget>(options: PoolOptions<T>): Pool<T> {
  return new Pool(options)
}

function resultOf(outcome: Outcome): unknown {
  if ('error' in outcome) throw outcome.error
  return outcome.value
}

const answerOf = (outcome: Outcome): unknown => ('error' in outcome ? outcome.error : outcome.value)

function findingOf(outcome: GrantOutcome, aborted: boolean): Finding {
  const { verdict, status } = outcome
  if (aborted && 'error' in outcome) return { of: 'nothing' }
  if (verdict?.kind === 'quota') return { of: 'spent', cause: answerOf(outcome) }
  if (status === 401 || status === 403) return { of: 'unauthorized', cause: answerOf(outcome) }
  if (verdict?.kind === 'transient') return { of: 'broke' }
  return verdict ? { of: 'nothing' } : { of: 'answered' }
}
