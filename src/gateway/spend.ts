// Tracks what calls may spend and have spent, in total and by key.

import { type Budgets, parseBudgets, type Reservation, usdToAmount } from '../pool/budgets.ts'
import { type Billed, billedOf, type BudgetAccount, type BudgetStore } from 'llmiter'
import { boundOf, parsePrices, type Pricing, pricesOfPackage } from '../pool/prices.ts'
import type { BudgetStats, PoolCall } from 'llmiter/pool'
import { text } from '../lib/validate.ts'
import { GatewayError } from './errors.ts'
import type { StoredKey } from './key-ring.ts'
import type { LedgerAmounts, LedgerLine } from './ledger.ts'
import type { GatewayOptions } from './options.ts'

const MOST_OUTPUT = 16_384

/** What counts against budgets, as far as known. */
export interface BilledUsage {
  readonly billed: Billed | undefined
  readonly usd: number | undefined
}

/** The budget reservations of a call for its current attempt. */
export class BudgetHold {
  readonly call: PoolCall
  readonly bound: LedgerAmounts
  /** Its input tokens. */
  readonly input: number
  #held: Reservation[] | undefined
  readonly #reserve: () => Promise<Reservation[]>
  /** All holds with reservations. */
  readonly #live: Set<BudgetHold>

  constructor(
    { call, bound, input }: Pick<BudgetHold, 'call' | 'bound' | 'input'>,
    live: Set<BudgetHold>,
    reserve: () => Promise<Reservation[]>,
  ) {
    this.call = call
    this.bound = bound
    this.input = input
    this.#live = live
    this.#reserve = reserve
  }

  /**
   * Reserves before the call waits, and before each further attempt. Rejects with a BudgetExceededError, or if a
   * store is down.
   */
  async hold(): Promise<this> {
    this.#held ??= await this.#reserve()
    this.#live.add(this)
    return this
  }

  /** Adds the reservation of a budget that was created later. */
  join(reservation: Reservation): void {
    this.#held?.push(reservation)
  }

  /** Settles with the usage of the attempt. Without an argument it is unknown, and everything reserved counts. */
  settle(used?: LedgerAmounts): void {
    for (const one of this.#held ?? []) one.settle(used)
    this.#held = undefined
    this.#live.delete(this)
  }

  /** Settles with no usage. */
  release(): void {
    this.settle(NOTHING)
  }
}

const NOTHING: LedgerAmounts = { requests: 0, tokens: 0, usd: 0 }

export class Spend {
  #all: Budgets | undefined
  #byKey = new Map<string, Budgets | undefined>()
  #live = new Set<BudgetHold>()
  readonly #own: Pricing
  #others: Pricing | undefined
  #loading: Promise<void> | undefined
  readonly #mostOutput: number
  readonly #store: BudgetStore | undefined
  /** The options from which `#all` was created. */
  readonly #said: string

  constructor(
    { budgets, prices, maxOutputTokens = MOST_OUTPUT }: GatewayOptions,
    store: BudgetStore | undefined,
  ) {
    this.#store = store
    this.#said = JSON.stringify(budgets)
    this.#all = budgets?.length ? parseBudgets(budgets, store) : undefined
    this.#own = parsePrices(prices)
    this.#mostOutput = maxOutputTokens
  }

  /** Loads prices from the optional package. */
  async load(): Promise<void> {
    this.#loading ??= pricesOfPackage().then((others) => void (this.#others = others))
    await this.#loading
  }

  /** Whether any budget counts USD, so that prices are needed. */
  wantsPrices(keys: readonly StoredKey[]): boolean {
    return [this.#all, ...keys.map((key) => this.#of(key))].some((budgets) => budgets?.counts.has('usd'))
  }

  /** Whether the body of a call must be read to know what it may use. */
  reads(key: StoredKey | undefined): boolean {
    return this.#budgetsOf(key).some(({ counts }) => counts.has('usd') || counts.has('tokens'))
  }

  #of(key: StoredKey | undefined): Budgets | undefined {
    if (!key?.budgets?.length) return undefined
    if (!this.#byKey.has(key.id)) {
      const store = this.#store && storeOfKey(this.#store, key.id)
      this.#byKey.set(key.id, parseBudgets(key.budgets, store))
    }
    return this.#byKey.get(key.id)
  }

  #budgetsOf(key: StoredKey | undefined): Budgets[] {
    return [this.#all, this.#of(key)].filter((budgets) => budgets !== undefined)
  }

  /**
   * Reserves the maximum that a call may use, at the most expensive of its targets, each of which may receive it
   * with other fields. A call that spends nothing reserves only a request. Undefined: no budget counts it. Rejects
   * with a BudgetExceededError, or with a GatewayError if the price is unknown.
   */
  async reserve(
    call: PoolCall,
    key: StoredKey | undefined,
    variants: readonly PoolCall[],
  ): Promise<BudgetHold | undefined> {
    const budgets = this.#budgetsOf(key)
    if (budgets.length === 0) return undefined
    const inUsd = budgets.some(({ counts }) => counts.has('usd'))
    if (inUsd && variants.length > 0) await this.load()
    const bounds = this.reads(key) ? variants.map((one) => this.#boundOf(one, inUsd)) : []
    const most = (of: 'input' | 'tokens' | 'usd') => Math.max(0, ...bounds.map((one) => one[of]))
    const bound = { requests: 1, tokens: most('tokens'), usd: most('usd') }
    const reserve = async () => {
      const held: Reservation[] = []
      try {
        for (const one of budgets) held.push(await one.share(call, bound, Date.now()))
      } catch (error) {
        for (const other of held) other.release()
        throw error
      }
      return held
    }
    return new BudgetHold({ call, bound, input: most('input') }, this.#live, reserve).hold()
  }

  #boundOf(call: PoolCall, inUsd: boolean): { input: number; tokens: number; usd: number } {
    const [billed] = boundOf(call, this.#mostOutput)
    const { input, output } = billed!
    return { input, tokens: input + output, usd: inUsd ? usdToAmount(this.#price(call, billed!)) : 0 }
  }

  #price(call: PoolCall, billed: Billed): number {
    const usd = this.usd(call.model, billed)
    if (usd !== undefined) return usd
    throw new GatewayError(
      400,
      'unknown_price',
      `a budget counts USD, and the price of ${call.model === undefined ? 'a call without a model' : text(call.model)} is unknown`,
      { mayRetry: false },
    )
  }

  /** The price of these tokens in USD, if known. */
  usd(model: unknown, billed: Billed): number | undefined {
    if (typeof model !== 'string') return undefined
    return this.#own(model, billed) ?? this.#others?.(model, billed)
  }

  /** The usage reported by an answer. */
  usedBy(model: string | undefined, usage: object): BilledUsage {
    const billed = billedOf(usage)
    return { billed, usd: billed && this.usd(model, billed) }
  }

  /**
   * Restores what was spent before a restart. An attempt that was sent and has not ended may have used its
   * maximum.
   */
  replay(lines: Iterable<LedgerLine>, keys: readonly StoredKey[]): void {
    // A store has its own counts.
    if (this.#store || (!this.#all && keys.every(({ budgets }) => !budgets?.length))) return
    const known = new Map(keys.map((key) => [key.id, key]))
    count(lines, Infinity, ({ key }) => this.#budgetsOf(key === undefined ? undefined : known.get(key)))
  }

  /**
   * Continues from the previous state when the configuration is reloaded. Budgets that have changed are counted
   * again, including the calls in flight since `startedAt`.
   */
  follow(before: Spend, lines: Iterable<LedgerLine>, startedAt: number): void {
    this.#others = before.#others
    this.#byKey = before.#byKey
    this.#live = before.#live
    if (this.#said === before.#said) this.#all = before.#all
    const all = this.#all
    if (this.#store || !all || all === before.#all) return
    count(lines, startedAt, () => [all])
    for (const hold of this.#live) hold.join(all.claim(hold.call, hold.bound, Date.now()))
  }

  /** The budgets with their usage. Budgets of keys have the name of the key. */
  stats(keys: readonly StoredKey[]): (BudgetStats & { keyName?: string })[] {
    const now = Date.now()
    const ofKeys = keys.flatMap((key) =>
      (this.#of(key)?.stats(now) ?? []).map((one) => ({ ...one, keyName: key.name })),
    )
    return [...(this.#all?.stats(now) ?? []), ...ofKeys]
  }
}

type SpentLine = Pick<LedgerLine, 'key' | 'tenant' | 'model' | 'at'>

/** Counts the usage of finished attempts, and the maximum usage of unfinished attempts that began before `until`. */
function count(
  lines: Iterable<LedgerLine>,
  until: number,
  budgetsOf: (line: SpentLine) => readonly Budgets[],
): void {
  const add = (line: SpentLine, amounts: LedgerAmounts) => {
    const { tenant, model, at } = line
    const call = { ...(tenant !== undefined && { tenant }), ...(model !== undefined && { model }) }
    for (const budgets of budgetsOf(line)) budgets.count(call, amounts, at)
  }
  const open = new Map<string, LedgerLine & { of: 'sent' }>()
  for (const line of lines) {
    if (line.of === 'sent') open.set(line.id, line)
    else if (line.of === 'over') {
      open.delete(line.id)
      if (line.used) add(line, line.used)
    }
  }
  for (const line of open.values()) if (line.at < until) add(line, line.bound)
}

/** Budgets of different keys may have the same name, so the store keeps the accounts of each key separate. */
function storeOfKey(store: BudgetStore, id: string): BudgetStore {
  const apart = (accounts: readonly BudgetAccount[]) =>
    accounts.map((account) => ({ ...account, key: `${id} ${account.key}` }))
  return {
    reserve: (accounts, amounts) => store.reserve(apart(accounts), amounts),
    settle: (accounts, amounts) => store.settle(apart(accounts), amounts),
  }
}
