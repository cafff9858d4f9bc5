// Computes what each call of a pool may spend and what it has spent: an upper bound from its request, and the
// actual usage from its answer.

import { type Billed, billedOf, type GrantOutcome, type Usage } from 'llmiter'
import { isStream, watchStream } from '../lib/observe-stream.ts'
import { text } from '../lib/validate.ts'
import { type Amounts, type Budgets, modelOf, type Reservation, usdToAmount } from './budgets.ts'
import type { PoolMember } from './pool-member.ts'
import type { PoolTarget } from './pool-target.ts'
import type { PoolCall } from './pool-call.ts'
import { boundOf, PRICES_PACKAGE, pricesOfPackage, type Pricing, UnknownPriceError } from './prices.ts'

export class Spending {
  readonly budgets: Budgets
  readonly #prices: Pricing
  #others: Pricing | undefined
  #loading: Promise<void> | undefined
  readonly #maxOutputTokens: number

  constructor(budgets: Budgets, prices: Pricing, maxOutputTokens: number) {
    this.budgets = budgets
    this.#prices = prices
    this.#maxOutputTokens = maxOutputTokens
  }

  /**
   * Loads prices from the optional package, if the pool's own prices are not enough. Returns whether there may be
   * new prices.
   */
  async load(): Promise<boolean> {
    if (this.#others) return false
    this.#loading ??= pricesOfPackage().then((others) => void (this.#others = others))
    await this.#loading
    return this.#others !== undefined
  }

  /**
   * Reserves the maximum usage of the next attempt, at the most expensive target that may answer it.
   *
   * @throws BudgetExceededError, UnknownPriceError, TypeError when the call gives too little information.
   */
  reserve(member: PoolMember, targets: readonly PoolTarget[], wall: number): Promise<void> | undefined {
    const { call, tiers } = member
    const may = () => tiers.flatMap(({ indices }) => indices.map((i) => targets[i]!))
    member.bound ??= this.#bound(call, may())
    return hold(member, this.budgets.share(call, member.bound, wall))
  }

  /**
   * Reserves the same amount in the budget of one target.
   *
   * @throws BudgetExceededError
   */
  reserveAt(member: PoolMember, target: PoolTarget, wall: number): Promise<void> | undefined {
    return hold(member, this.budgets.share(member.call, member.bound!, wall, target.name))
  }

  #bound(call: PoolCall, targets: readonly PoolTarget[]): Amounts {
    const { counts } = this.budgets
    const ways = counts.has('usd') || counts.has('tokens') ? boundOf(call, this.#maxOutputTokens) : []
    const all = targets.flatMap((target) => ways.map((tokens) => this.#amounts(call, target, tokens)))
    return {
      requests: 1,
      tokens: Math.max(0, ...all.map(({ tokens }) => tokens)),
      usd: Math.max(0, ...all.map(({ usd }) => usd)),
    }
  }

  #amounts(call: PoolCall, target: PoolTarget, billed: Billed): Amounts {
    const usd = this.budgets.counts.has('usd') ? this.#usd(call, target, billed) : 0
    return { requests: 1, tokens: billed.input + billed.output, usd: usdToAmount(usd) }
  }

  #usd(call: PoolCall, target: PoolTarget, billed: Billed): number {
    const model = target.model ?? modelOf(call)
    const usd =
      model === undefined ? undefined : (this.#prices(model, billed) ?? this.#others?.(model, billed))
    if (usd !== undefined) return usd
    const why =
      model === undefined
        ? `neither the target ${text(target.name)} nor the call names a model`
        : `the price of ${text(model)} is unknown`
    throw new UnknownPriceError(
      `a budget counts USD, and ${why}: give its price in prices, or install ${PRICES_PACKAGE}`,
    )
  }

  /** Settles the reservation of one attempt. Returns the caller's answer. A stream is returned with an observer. */
  settle(
    call: PoolCall,
    target: PoolTarget,
    held: readonly Reservation[],
    outcome: GrantOutcome,
  ): GrantOutcome {
    const failed = outcome.verdict !== undefined || (outcome.status ?? 200) >= 400
    if (failed || 'error' in outcome) {
      // An error without a status may have cost the full bound, because the call may have reached the provider.
      const unused = outcome.status !== undefined || (failed && outcome.verdict?.kind !== 'transient')
      for (const one of held)
        if (unused) one.release()
        else one.settle()
      return outcome
    }
    const { value } = outcome
    if (isStream(value)) return { ...outcome, value: this.#follow(call, target, held, value) }
    const billed = this.#read(call, target, value)
    const used = (known: Billed | undefined) => this.#used(call, target, held, known)
    if (billed instanceof Promise) void billed.then(used)
    else used(billed)
    return outcome
  }

  /** Reads the usage that an answer reports. The promise never rejects. */
  #read(
    call: PoolCall,
    target: PoolTarget,
    answer: unknown,
  ): Billed | Promise<Billed | undefined> | undefined {
    if (!call.usage) return billedOf(answer)
    const told = (usage: Usage | undefined) => usage && billedOf(answer, sound(usage))
    return attempt(
      () => {
        const usage = call.usage!(answer)
        if (!(usage instanceof Promise)) return told(usage)
        return usage.then(told).catch((error: unknown) => void target.limiter.report(error, 'usage'))
      },
      target,
      'usage',
    )
  }

  #used(call: PoolCall, target: PoolTarget, held: readonly Reservation[], billed: Billed | undefined): void {
    const amounts = billed && attempt(() => sound(this.#amounts(call, target, billed)), target, 'usage')
    for (const one of held) one.settle(amounts)
  }

  #follow(call: PoolCall, target: PoolTarget, held: readonly Reservation[], stream: object): object {
    let billed: Billed | undefined
    return watchStream(stream, {
      reading: 0,
      ask() {},
      chunk: (chunk) => {
        const next = this.#read(call, target, chunk)
        // The counts of a stream are merged.
        if (next && !(next instanceof Promise))
          billed = {
            input: Math.max(next.input, billed?.input ?? 0),
            cached: Math.max(next.cached, billed?.cached ?? 0),
            output: Math.max(next.output, billed?.output ?? 0),
          }
      },
      // A stream that failed or was left has reported only part of its usage.
      end: (failure, left) => this.#used(call, target, held, failure || left ? undefined : billed),
    })
  }
}

function hold(member: PoolMember, reserved: Reservation | Promise<Reservation>): Promise<void> | undefined {
  if (reserved instanceof Promise) return reserved.then((reservation) => member.hold(reservation))
  member.hold(reserved)
  return undefined
}

/** Rejects invalid amounts, which would corrupt the sum of the whole period. */
function sound<A extends Usage | Amounts>(amounts: A): A {
  for (const [of, amount] of Object.entries(amounts)) {
    if (amount !== undefined && !(amount >= 0 && amount < Infinity))
      throw new TypeError(`usage.${of} must be a number of at least 0, got ${text(amount)}`)
  }
  return amounts
}

/** An error of a user function must not break a call that has its answer, so it goes to the `error` listeners. */
function attempt<T>(work: () => T, { limiter }: PoolTarget, where: string): T | undefined {
  try {
    return work()
  } catch (error) {
    limiter.report(error, where)
    return undefined
  }
}
