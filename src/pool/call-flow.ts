// Follows a call of a pool from its admission to its answer: its tiers, its budgets, its ticket, its attempts.

import { type Clock, type GrantOutcome, LimiterStoppedError } from 'llmiter'
import { callable, text } from '../lib/validate.ts'
import { BudgetExceededError } from './budgets.ts'
import { CallsAround, isWithin } from './call-within.ts'
import { NoTargetError } from './no-target.ts'
import type { PoolRules } from './options.ts'
import { checkCall, NO_OPTIONS, type PoolCall } from './pool-call.ts'
import type { PoolEvents } from './pool-events.ts'
import { type Ending, PoolMember, type PoolWork, type Terms, termsOf } from './pool-member.ts'
import { PoolQueue, type TakenTicket } from './pool-queue.ts'
import { indexOf, type PoolTarget } from './pool-target.ts'
import { UnknownPriceError } from './prices.ts'
import type { Spending } from './spending.ts'
import { prefer, StickyTargets } from './sticky.ts'
import { only, type TargetTier, tiersOf } from './strategy.ts'
import type { Finding, TargetHealth } from './target.ts'

export class CallFlow {
  readonly around: CallsAround
  readonly queue: PoolQueue
  /** Errors with which targets refused a request as too large. */
  readonly oversize = new WeakSet<object>()
  rejected = 0
  readonly #targets: readonly PoolTarget[]
  readonly #health: readonly TargetHealth[]
  readonly #rules: PoolRules
  readonly #clock: Clock
  readonly #sticky: StickyTargets
  readonly #spending: Spending | undefined
  readonly #fellBack: (event: PoolEvents['fallback']) => void
  #stopped: LimiterStoppedError | undefined

  /** `told`: the state of a target may have changed. `fellBack`: a call moves on. */
  constructor(
    targets: readonly PoolTarget[],
    health: readonly TargetHealth[],
    rules: PoolRules,
    clock: Clock,
    told: (index: number) => void,
    fellBack: (event: PoolEvents['fallback']) => void,
  ) {
    this.around = new CallsAround(health)
    this.#targets = targets
    this.#health = health
    this.#rules = rules
    this.#clock = clock
    this.#sticky = new StickyTargets(rules.stickyMs)
    this.queue = new PoolQueue(health, clock, rules.waitUpTo, this.#sticky, told)
    this.#spending = rules.spending
    this.#fellBack = fellBack
  }

  /** The targets that may answer a call, by index. */
  targetsFor(call: PoolCall): readonly number[] {
    return this.#tiersFor(call, this.#stickyKey(call)).flatMap(({ indices }) => indices)
  }

  stop(reason: unknown): void {
    this.#stopped ??= new LimiterStoppedError('the pool was stopped', reason)
    this.queue.stop(this.#stopped)
  }

  /** Runs a call, or rejects with the reason why it cannot run. */
  send(fn: PoolWork, call: PoolCall): Promise<unknown> {
    try {
      callable(fn, 'fn')
      return this.#admit(fn, call)
    } catch (error) {
      if (!(error instanceof UnknownPriceError)) return this.#reject(error)
      // Prices are loaded when the first call needs them.
      return this.#spending!.load().then((news) => (news ? this.send(fn, call) : this.#reject(error)))
    }
  }

  /** Rejects a call. One with wrong options does not count. */
  readonly #reject = (error: unknown): Promise<never> => {
    if (!(error instanceof TypeError)) this.rejected++
    return Promise.reject(error)
  }

  #admit(fn: PoolWork, call: PoolCall): Promise<unknown> {
    if (this.#stopped) throw this.#stopped
    if (call !== NO_OPTIONS) checkCall(call)
    const key = this.#stickyKey(call)
    const tiers = this.#tiersFor(call, key)
    const terms = termsOf(call)
    if (isWithin(call)) return this.#within(fn, call, tiers, terms, key)
    const taken = key === undefined && !this.#spending ? this.queue.takeNow(tiers[0]!, terms) : undefined
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
    const { call, grant, index } = this.around.enter(outerless, tiers)
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
    this.queue.review(member.index)
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
    const target = this.#targets[index]! as never
    return grant.run(
      (signal) => fn(target, signal),
      (outcome) => {
        if (this.around.replaced(grant)) return this.#replaced(index, number, outcome)
        if (isPlainAnswer(outcome) && !this.#rules.fallsBack) {
          if (this.#health[index]!.ended(ANSWERED, number, this.#clock.now())) this.queue.review(index)
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
    const reserving = this.#spending?.reserve(member, this.#targets, this.#clock.wall())
    return reserving ? reserving.then(() => this.#inLine(member), this.#reject) : this.#inLine(member)
  }

  #inLine(member: PoolMember): Promise<unknown> {
    this.queue.place(member)
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
    if (!('error' in end)) return Promise.resolve(end.value)
    // The answer to its last attempt is no rejection.
    return end === member.trouble.last ? Promise.reject(end.error) : this.#reject(end.error)
  }

  /** The target of the ticket may have its own budget. If that is used up, the call goes to another target. */
  async #heldAt(member: PoolMember): Promise<unknown> {
    const { index } = member
    try {
      await this.#spending!.reserveAt(member, this.#targets[index]!, this.#clock.wall())
    } catch (error) {
      this.#unsent(member)
      member.trouble.excluded.set(index, error)
      if (error instanceof BudgetExceededError) return this.#inLine(member)
      for (const held of member.takeHeld()) held.release()
      return this.#reject(error)
    }
    return this.#attempt(member)
  }

  #attempt(member: PoolMember): Promise<unknown> {
    const { index, number, work, call } = member
    // The call may have been aborted since it got its ticket.
    if (call.signal?.aborted) return this.#ended(member, { error: call.signal.reason })
    const grant = member.takeGrant()
    if (this.#spending) this.around.started(grant, member)
    const target = this.#targets[index]! as never
    return grant.run(
      (signal) => work(target, signal),
      (outcome) =>
        this.around.replaced(grant) ? this.#replaced(index, number, outcome) : this.#over(member, outcome),
      boundsOf(call),
    )
  }

  /** The inner call was the actual provider call, and has handled its outcome. */
  #replaced(index: number, number: number, outcome: GrantOutcome): unknown {
    this.#health[index]!.unsent(number, this.#clock.now())
    this.queue.review(index)
    return resultOf(outcome)
  }

  /** Handles the end of an attempt. Returns or throws what the caller gets, or continues with the next attempt. */
  #over(member: PoolMember, given: GrantOutcome): unknown {
    const { call, index, number } = member
    const target = this.#targets[index]!
    const health = this.#health[index]!
    const outcome = this.#spending?.settle(call, target, member.takeHeld(), given) ?? given
    const finding = this.#findingOf(given, index, call.signal?.aborted === true)
    if (health.ended(finding, number, this.#clock.now(), given.status)) this.queue.review(index)
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
      if (typeof answer === 'object' && answer !== null) this.oversize.add(answer)
    }
    if (trouble.attempts >= this.#rules.maxAttempts) return resultOf(outcome)
    let next: Promise<unknown>
    try {
      next = this.#placed(member)
    } catch (error) {
      return this.#reject(error)
    }
    this.#fellBack({ from: target.name, error: answer, attempts: trouble.attempts })
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
      this.#targets[index]!.limiter.report(error, 'fallbackOn')
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
    if (call.target !== undefined) return [only(indexOf(this.#targets, call.target))]
    const tiers = tiersOf(this.#rules.plan, call)
    if (tiers.length === 0) throw new NoTargetError('the strategy allows no target for this call')
    if (key === undefined) return tiers
    return prefer(tiers, this.#sticky.of(key, tiers, this.#targets, this.#clock.now()))
  }
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
