// A pool: one queue in front of several limiters. The strategy decides which targets may answer a call, and the
// call takes the first ticket of any of them. This file follows a call from its admission to its answer.

import { type BucketRateLimiter, type Clock, type GrantOutcome, LimiterStoppedError } from 'llmiter'
import { callable, choice, text } from '../lib/validate.ts'
import { CallsAround, isWithin } from './call-within.ts'
import { RequestBundler, type BatchedCall, type BatchedOptions } from './batched.ts'
import { BudgetExceededError } from './budgets.ts'
import { parsePool, type PoolOptions, type PoolRules } from './options.ts'
import { checkSnapshot, type PoolSnapshot } from './pool-snapshot.ts'
import { checkCall, type PoolCall } from './pool-call.ts'
import type { PoolEvents, PoolStats } from './pool-events.ts'
import { type Ending, PoolMember, type PoolWork, type Terms, termsOf } from './pool-member.ts'
import { NoTargetError, PoolQueue, type TakenTicket } from './pool-queue.ts'
import type { PoolTarget } from './pool-target.ts'
import { UnknownPriceError } from './prices.ts'
import { Sharing } from './sharing.ts'
import type { Spending } from './spending.ts'
import { prefer, StickyTargets } from './sticky.ts'
import { only, type TargetTier, tiersOf } from './strategy.ts'
import { type Finding, TargetHealth, type TargetState } from './target.ts'

const NO_OPTIONS: PoolCall = {}

/** Several targets behind one queue. Created by `createPool`. */
export class Pool<T extends PoolTarget = PoolTarget> {
  /** The targets as they were given. */
  readonly targets: readonly T[]
  readonly #health: readonly TargetHealth[]
  readonly #rules: PoolRules
  readonly #clock: Clock
  readonly #queue: PoolQueue
  readonly #states: TargetState['state'][]
  readonly #listeners = new Map<keyof PoolEvents, Set<(event: never) => void>>()
  readonly #sticky: StickyTargets
  readonly #spending: Spending | undefined
  readonly #around: CallsAround
  #sharing: Sharing | undefined
  /** Errors with which targets refused a request as too large. */
  readonly #oversize = new WeakSet<object>()
  #stopped: LimiterStoppedError | undefined

  constructor(options: PoolOptions<T>) {
    this.#rules = parsePool(options)
    this.targets = options.targets
    this.#clock = options.targets[0]!.limiter.clock
    if (options.targets.some(({ limiter }) => limiter.clock !== this.#clock))
      throw new TypeError('targets: all limiters must have the same clock')
    this.#health = options.targets.map(
      (target, i) => new TargetHealth(target, this.#rules.breakers[i], this.#clock),
    )
    this.#around = new CallsAround(this.#health)
    this.#states = options.targets.map(() => 'ready')
    this.#spending = this.#rules.spending
    if (this.#spending)
      this.#spending.budgets.failed = (error) =>
        void this.targets[0]!.limiter.report(error, 'store of budgets')
    this.#sharing = this.#rules.sharing?.(this.#clock)
    this.#sticky = new StickyTargets(this.#rules.stickyMs)
    const told = (index: number) => this.#tell(index)
    this.#queue = new PoolQueue(this.#health, this.#clock, this.#rules.waitUpTo, this.#sticky, told)
    for (const [i, { limiter }] of options.targets.entries()) this.#listen(limiter, i)
  }

  #listen(limiter: BucketRateLimiter, index: number): void {
    limiter.on('gate', () => this.#tell(index))
  }

  /**
   * Runs `fn` with the first target that has room for it, and resolves with its result. After a refusal, the call
   * keeps its place and takes the first target that becomes free. After a failure of the target, it goes to the
   * next target. Any other error is thrown unchanged.
   *
   * @throws NoTargetError, WaitTimeoutError, LimiterStoppedError, BudgetExceededError, UnknownPriceError, or the
   * last error of `fn`.
   */
  run<R>(
    fn: (target: T, signal: AbortSignal | undefined) => R,
    call: PoolCall = NO_OPTIONS,
  ): Promise<Awaited<R>> {
    const answer = this.#sharing ? this.#sharing.run(call, () => this.#send(fn, call)) : this.#send(fn, call)
    return answer as Promise<Awaited<R>>
  }

  /**
   * Returns a function whose calls share requests, up to the size that the provider accepts. For embeddings. `fn`
   * sends one request with the inputs of several calls. Each caller gets the results of its own inputs and its
   * share of the usage. Calls share a request if everything except their inputs is equal. A request that is
   * refused because of its content is halved until only the inputs at fault get the error.
   *
   * @example
   * const embed = pool.batched(({ client }, request: OpenAI.EmbeddingCreateParams, signal) =>
   *   client.embeddings.create(request, { signal }),
   * )
   * const { data } = await embed({ model: 'text-embedding-3-small', input: 'a text' })
   *
   * @throws TypeError when an option is wrong. The calls reject like those of `run`.
   */
  batched<Q extends object, A>(
    fn: (target: T, request: Q, signal: AbortSignal | undefined) => A,
    options: BatchedOptions = {},
  ): (request: Q, call?: BatchedCall) => Promise<Awaited<A>> {
    const sharing = (this.#sharing ??= new Sharing(false, undefined, this.#clock))
    const bundler = new RequestBundler(
      {
        clock: this.#clock,
        stats: sharing,
        run: (work, call) => this.#send(work, call),
        isOversize: (error) => this.#oversize.has(Object(error) as object),
        leaveTickets: (call) => this.#around.leave(call),
      },
      fn,
      options,
    )
    return (request, call = {}) => {
      const answer = sharing.run({ ...call, request }, async () => bundler.ask(request, call))
      return answer as Promise<Awaited<A>>
    }
  }

  #send(fn: PoolWork, call: PoolCall): Promise<unknown> {
    try {
      callable(fn, 'fn')
      return this.#admit(fn, call)
    } catch (error) {
      if (!(error instanceof UnknownPriceError)) return Promise.reject(error)
      // Prices are loaded when the first call needs them.
      return this.#spending!.load().then((news) => {
        if (!news) throw error
        return this.#admit(fn, call)
      })
    }
  }

  #admit(fn: PoolWork, call: PoolCall): Promise<unknown> {
    if (this.#stopped) throw this.#stopped
    if (call !== NO_OPTIONS) checkCall(call)
    const key = this.#stickyKey(call)
    const tiers = this.#tiersFor(call, key)
    const terms = termsOf(call)
    if (isWithin(call)) return this.#within(fn, call, tiers, terms, key)
    const taken = key === undefined && !this.#spending ? this.#queue.takeNow(tiers[0]!, terms) : undefined
    if (taken) return this.#runNow(fn, call, tiers, terms, taken)
    return this.#placed(new PoolMember(call, fn, terms, tiers, key))
  }

  /** Runs a call nested in another call. */
  #within(
    fn: PoolWork,
    outerless: PoolCall,
    tiers: readonly TargetTier[],
    terms: Terms,
    key: string | undefined,
  ): Promise<unknown> {
    const { call, grant, index } = this.#around.enter(outerless, tiers)
    const member = new PoolMember(call, fn, terms, tiers, key)
    if (!grant) return this.#placed(member)
    member.grant = grant
    member.index = index
    member.number = this.#health[index]!.sentOne()
    try {
      return this.#placed(member).catch((error: unknown) => {
        this.#unsent(member)
        throw error
      })
    } catch (error) {
      this.#unsent(member)
      throw error
    }
  }

  /** Returns a ticket that turned out not to be needed. */
  #unsent(member: PoolMember): void {
    if (!member.grant) return
    member.takeGrant().release()
    this.#health[member.index]!.unsent(member.number, this.#clock.now())
    this.#queue.review(member.index)
  }

  /**
   * Runs a call that got its ticket immediately. It needs a place in the queue only if its target fails or refuses
   * it.
   */
  #runNow(
    fn: PoolWork,
    call: PoolCall,
    tiers: readonly TargetTier[],
    terms: Terms,
    { grant, index, number, seq }: TakenTicket,
  ): Promise<unknown> {
    const target = this.targets[index]! as never
    return grant.run(
      (signal) => fn(target, signal),
      (outcome) => {
        if (this.#around.replaced(grant)) return this.#replaced(index, number, outcome)
        if (isPlainAnswer(outcome) && !this.#rules.fallsBack) {
          if (this.#health[index]!.ended(ANSWERED, number, this.#clock.now())) this.#queue.review(index)
          return outcome.value
        }
        const member = new PoolMember(call, fn, terms, tiers, undefined)
        member.seq = seq
        member.index = index
        member.number = number
        return this.#over(member, outcome)
      },
      boundsOf(call),
    )
  }

  /** Reserves the usage of the next attempt. On return the call is queued, has a ticket, or has ended. */
  #placed(member: PoolMember): Promise<unknown> {
    const reserving = this.#spending?.reserve(member, this.targets, this.#clock.wall())
    return reserving ? reserving.then(() => this.#inLine(member)) : this.#inLine(member)
  }

  #inLine(member: PoolMember): Promise<unknown> {
    this.#queue.place(member)
    if (member.grant || member.end) return this.#go(member)
    return new Promise<PoolMember>((resolve) => (member.wake = resolve)).then(this.#go)
  }

  readonly #go = (member: PoolMember): Promise<unknown> => {
    if (member.end) return this.#ended(member, member.end)
    return this.#spending?.budgets.byTarget ? this.#heldAt(member) : this.#attempt(member)
  }

  /** Ends a call that is not sent again, and returns everything it holds. */
  #ended(member: PoolMember, end: Ending): Promise<unknown> {
    this.#unsent(member)
    for (const held of member.takeHeld()) held.release()
    return 'error' in end ? Promise.reject(end.error) : Promise.resolve(end.value)
  }

  /** The target of the ticket may have its own budget. If that is used up, the call goes to another target. */
  async #heldAt(member: PoolMember): Promise<unknown> {
    const { index } = member
    try {
      await this.#spending!.reserveAt(member, this.targets[index]!, this.#clock.wall())
    } catch (error) {
      this.#unsent(member)
      member.trouble.excluded.set(index, error)
      if (error instanceof BudgetExceededError) return this.#inLine(member)
      for (const held of member.takeHeld()) held.release()
      throw error
    }
    return this.#attempt(member)
  }

  #attempt(member: PoolMember): Promise<unknown> {
    const { index, number, work, call } = member
    // The call may have been aborted since it got its ticket.
    if (call.signal?.aborted) return this.#ended(member, { error: call.signal.reason })
    const grant = member.takeGrant()
    if (this.#spending) this.#around.started(grant, member)
    const target = this.targets[index]! as never
    return grant.run(
      (signal) => work(target, signal),
      (outcome) =>
        this.#around.replaced(grant) ? this.#replaced(index, number, outcome) : this.#over(member, outcome),
      boundsOf(call),
    )
  }

  /** The inner call was the actual provider call, and has handled its outcome. */
  #replaced(index: number, number: number, outcome: GrantOutcome): unknown {
    this.#health[index]!.unsent(number, this.#clock.now())
    this.#queue.review(index)
    return resultOf(outcome)
  }

  /** Handles the end of an attempt. Returns or throws what the caller gets, or continues with the next attempt. */
  #over(member: PoolMember, given: GrantOutcome): unknown {
    const { call, index, number } = member
    const target = this.targets[index]!
    const health = this.#health[index]!
    const outcome = this.#spending?.settle(call, target, member.takeHeld(), given) ?? given
    const finding = this.#findingOf(given, index, call.signal?.aborted === true)
    if (health.ended(finding, number, this.#clock.now(), given.status)) this.#queue.review(index)
    if (finding === ANSWERED && !this.#rules.fallsBack) return resultOf(outcome)
    if (!this.#goesOn(member, outcome, finding)) return resultOf(outcome)
    const { trouble } = member
    trouble.attempts++
    const answer = answerOf(outcome)
    const { kind } = outcome.verdict ?? {}
    if (kind === 'rate' || kind === 'overload') health.refused++
    else {
      trouble.visited.add(index)
      trouble.last = outcome
    }
    if (kind === 'oversize') {
      trouble.excluded.set(index, answer)
      if (typeof answer === 'object' && answer !== null) this.#oversize.add(answer)
    }
    if (trouble.attempts >= this.#rules.maxAttempts) return resultOf(outcome)
    const next = this.#placed(member)
    this.#emit('fallback', { from: target.name, error: answer, attempts: trouble.attempts })
    return next
  }

  #findingOf(outcome: GrantOutcome, index: number, aborted: boolean): Finding {
    const { verdict, status } = outcome
    if (aborted && 'error' in outcome) return NOTHING
    if (verdict?.kind === 'quota') return { of: 'spent', cause: answerOf(outcome) }
    if (status === 401)
      return this.#isAlone(index) ? FORBIDDEN : { of: 'unauthorized', cause: answerOf(outcome) }
    if (verdict) return verdict.kind === 'transient' ? BROKE : NOTHING
    return status === 403 ? FORBIDDEN : ANSWERED
  }

  /** Whether no other target could answer calls, so that putting this one aside would not help. */
  #isAlone(index: number): boolean {
    const now = this.#clock.now()
    return this.#health.every((other, i) => i === index || other.hopeless(now))
  }

  #goesOn({ call, index }: PoolMember, outcome: GrantOutcome, finding: Finding): boolean {
    if (call.signal?.aborted) return false
    if (outcome.verdict || finding.of === 'unauthorized' || finding.of === 'forbidden') return true
    const { fallsBack } = this.#rules
    const failed = 'error' in outcome || (outcome.status ?? 200) >= 400
    if (!failed || !fallsBack) return false
    try {
      return fallsBack(answerOf(outcome), outcome.status)
    } catch (error) {
      this.targets[index]!.limiter.report(error, 'fallbackOn')
      return false
    }
  }

  #stickyKey(call: PoolCall): string | undefined {
    const key = call.target === undefined ? this.#rules.stickyBy?.(call) : undefined
    if (key !== undefined && typeof key !== 'string')
      throw new TypeError(`sticky must return a text or undefined, got ${text(key)}`)
    return key
  }

  #tiersFor(call: PoolCall, key: string | undefined): readonly TargetTier[] {
    if (call.target !== undefined) return [only(this.#indexOf(call.target))]
    const tiers = tiersOf(this.#rules.plan, call)
    if (tiers.length === 0) throw new NoTargetError('the strategy allows no target for this call')
    if (key === undefined) return tiers
    return prefer(tiers, this.#sticky.of(key, tiers, this.targets, this.#clock.now()))
  }

  /**
   * An estimate of how long a call would wait for its ticket, in ms, at the target that has room first. `Infinity`
   * while no target that may answer it accepts calls.
   *
   * @throws NoTargetError, TypeError
   */
  waitTime(call: PoolCall = NO_OPTIONS): number {
    const now = this.#clock.now()
    const all = this.#tiersFor(call, this.#stickyKey(call)).flatMap(({ indices }) => indices)
    return Math.max(0, Math.min(...all.map((index) => this.#queue.estimate(index, call, now))))
  }

  /** The statistics of the pool: a copy. */
  stats(): PoolStats {
    const now = this.#clock.now()
    return {
      waiting: this.#queue.size,
      sharing: this.#sharing?.stats,
      budgets: this.#spending?.budgets.stats(this.#clock.wall()) ?? [],
      targets: this.#health.map((health) => {
        const { target, inFlight, sent, answered, failed, refused } = health
        return { name: target.name, state: health.state(now), inFlight, sent, answered, failed, refused }
      }),
    }
  }

  /** Listens to an event. Returns a function that removes the listener. */
  on<E extends keyof PoolEvents>(event: E, listener: (event: PoolEvents[E]) => void): () => void {
    choice(event, 'event', ['state', 'fallback'])
    callable(listener, 'listener')
    const set = this.#listeners.get(event) ?? new Set()
    this.#listeners.set(event, set)
    set.add(listener)
    return () => set.delete(listener)
  }

  /** Sends no new calls to this target until `resume(name)`. */
  pause(name: string): void {
    this.#change(name, (health) => (health.paused = true))
  }

  /** Ends `pause(name)`. */
  resume(name: string): void {
    this.#change(name, (health) => (health.paused = false))
  }

  /** Lets the next call try this target, whatever it was put aside for. */
  retry(name: string): void {
    this.#change(name, (health, now) => health.retry(now))
  }

  /** Rejects all waiting calls and every later call. Calls in flight finish, and the limiters are not stopped. */
  stop(reason?: unknown): void {
    this.#stopped ??= new LimiterStoppedError('the pool was stopped', reason)
    this.#queue.stop(this.#stopped)
  }

  /** The state of the targets and what their limiters have counted and learned, as plain JSON. */
  snapshot(): PoolSnapshot {
    const now = this.#clock.now()
    const targets = this.#health.map((health) => [health.target.name, health.snapshot(now)] as const)
    const wall = this.#clock.wall()
    const budgets = this.#spending?.budgets.snapshot(wall)
    return { version: 1, wall, targets: Object.fromEntries(targets), ...(budgets && { budgets }) }
  }

  /**
   * Restores a snapshot. Targets missing from the snapshot, and targets that no longer exist, are ignored.
   *
   * @throws TypeError when it is not a snapshot.
   */
  restore(saved: PoolSnapshot): void {
    checkSnapshot(saved)
    const now = this.#clock.now()
    const ageMs = Math.max(0, this.#clock.wall() - saved.wall)
    if (saved.budgets) this.#spending?.budgets.restore(saved.budgets, this.#clock.wall())
    for (const [i, health] of this.#health.entries()) {
      const found = saved.targets[health.target.name]
      if (found) health.restore(found, ageMs, now)
      this.#queue.review(i)
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
    this.#queue.review(index)
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

/** Creates a pool: one queue in front of several limiters. */
export function createPool<T extends PoolTarget>(options: PoolOptions<T>): Pool<T> {
  return new Pool(options)
}

/** What can end a running call. */
const boundsOf = ({ signal, timeoutMs }: PoolCall): Pick<PoolCall, 'signal' | 'timeoutMs'> | undefined =>
  signal || timeoutMs !== undefined ? { signal, timeoutMs } : undefined

const isPlainAnswer = (outcome: GrantOutcome): outcome is GrantOutcome & { readonly value: unknown } =>
  !outcome.verdict && outcome.status === undefined && !('error' in outcome)

function resultOf(outcome: Ending): unknown {
  if ('error' in outcome) throw outcome.error
  return outcome.value
}

const answerOf = (outcome: Ending): unknown => ('error' in outcome ? outcome.error : outcome.value)

const ANSWERED: Finding = { of: 'answered' }
const NOTHING: Finding = { of: 'nothing' }
const BROKE: Finding = { of: 'broke' }
const FORBIDDEN: Finding = { of: 'forbidden' }
