// Budgets of a pool: requests, tokens and USD per period. The maximum cost of each call is reserved before it
// waits, in all budgets or in none. The check and the reservation happen in one step, so concurrent calls cannot
// overspend. The actual usage then replaces the reservation. Anything that may have been used stays counted.

import { type BudgetAccount, type BudgetStore, type Duration, LimiterError, StoreDownError } from 'llmiter'
import { type CalendarPeriod, endOf, PERIODS } from '../lib/calendar.ts'
import { duration } from '../lib/duration.ts'
import { choice, fields, given, number, text } from '../lib/validate.ts'
import type { PoolCall } from './pool-call.ts'
import { compileCondition, type Condition } from './query.ts'

/** The amounts that may be spent in each period. Give at least one of `requests`, `tokens` and `usd`. */
export interface BudgetOptions {
  /** The maximum number of requests per period. */
  readonly requests?: number
  /** The maximum number of input plus output tokens per period. */
  readonly tokens?: number
  /** The maximum in US dollars per period. */
  readonly usd?: number
  /** A calendar period, which begins at midnight, or a duration. Periods of a duration are counted from the epoch. */
  readonly per: CalendarPeriod | Duration
  /**
   * The time zone of a calendar period: an IANA name.
   * @default 'UTC'
   */
  readonly timeZone?: string
  /**
   * Gives each tenant, model or target its own budget, or each string that the function returns. Calls for which
   * the function returns undefined are not counted.
   * @default one budget for the whole pool
   */
  readonly by?: 'tenant' | 'model' | 'target' | ((call: PoolCall) => string | undefined)
  /** Only calls that match this condition are counted. */
  readonly when?: Condition
  /**
   * The name in errors, `stats()` and snapshots.
   * @default what it is by, and its period
   */
  readonly name?: string
}

/** The budget has no room for what the call may use. The call was not sent, and nothing was counted for it. */
export class BudgetExceededError extends LimiterError {
  /** The name of the class. */
  override name = 'BudgetExceededError'
  static readonly code = 'BUDGET_EXCEEDED'
  /** The name of the budget. */
  readonly budget: string
  /** Epoch ms at which the next period begins. Undefined: the call is larger than the whole budget. */
  readonly resetsAt: number | undefined

  constructor(message: string, budget: string, resetsAt: number | undefined) {
    super(message)
    this.budget = budget
    this.resetsAt = resetsAt
  }
}

/** The state of one budget. */
export interface BudgetStats {
  /** The budget's name. */
  name: string
  /** The tenant, the model, the target, or what `by` returned. */
  key: string | undefined
  /** Epoch ms at which the next period begins. */
  resetsAt: number
  /** Used, reserved by unfinished calls, and the limit, per unit. */
  amounts: { of: Unit; used: number; reserved: number; limit: number }[]
}

/** The spending as plain JSON. */
export type BudgetSnapshot = readonly {
  readonly name: string
  readonly resetsAt: number
  readonly spent: readonly (readonly [key: string, amounts: Amounts])[]
}[]

const UNITS = ['requests', 'tokens', 'usd'] as const
type Unit = (typeof UNITS)[number]
/** USD in whole billionths, so that sums are exact. */
export type Amounts = Readonly<Record<Unit, number>>
export const usdToAmount = (usd: number): number => Math.ceil(usd * 1e9 - 1e-3)
const show = (of: Unit, amount: number): number => (of === 'usd' ? amount / 1e9 : amount)

interface Account {
  readonly used: Record<Unit, number>
  readonly reserved: Record<Unit, number>
}

interface Rules {
  readonly name: string
  readonly limits: readonly (readonly [Unit, number])[]
  readonly endOf: (wall: number) => number
  readonly by: 'target' | ((call: PoolCall) => string | undefined)
  readonly when: (call: PoolCall) => boolean
}

/** The reserved amounts of a call. Settle it once. */
export class Reservation {
  readonly #parts: readonly Account[]
  readonly #bound: Amounts
  /** Reports usage minus reservation, which is usually negative, to a shared store. */
  readonly #tell: ((difference: Amounts) => void) | undefined
  #over = false

  constructor(parts: readonly Account[], bound: Amounts, tell?: (difference: Amounts) => void) {
    this.#parts = parts
    this.#bound = bound
    this.#tell = tell
    for (const { reserved } of parts) for (const of of UNITS) reserved[of] += bound[of]
  }

  /** Settles with the actual usage. Without an argument it is unknown, and the whole reservation counts. */
  settle(used: Amounts = this.#bound): void {
    if (this.#over) return
    this.#over = true
    for (const { used: total, reserved } of this.#parts) {
      for (const of of UNITS) {
        reserved[of] -= this.#bound[of]
        total[of] += used[of]
      }
    }
    const difference = { ...used }
    for (const of of UNITS) difference[of] -= this.#bound[of]
    if (UNITS.some((of) => difference[of] !== 0)) this.#tell?.(difference)
  }

  /** Settles with no usage. */
  release(): void {
    this.settle({ requests: 0, tokens: 0, usd: 0 })
  }
}

/** One budget in its current period, with an account per key. */
class Budget {
  readonly rules: Rules
  resetsAt = -Infinity
  accounts = new Map<string, Account>()

  constructor(rules: Rules) {
    this.rules = rules
  }

  /** Starts the next period when the current one is over. Earlier reservations are settled in the old period. */
  turn(wall: number): void {
    if (wall < this.resetsAt) return
    this.resetsAt = this.rules.endOf(wall)
    this.accounts = new Map()
  }

  account(key: string): Account {
    let account = this.accounts.get(key)
    if (!account) this.accounts.set(key, (account = { used: nothing(), reserved: nothing() }))
    return account
  }

  /** The error if it has no room for this amount, otherwise undefined. */
  refusal(key: string, bound: Amounts): BudgetExceededError | undefined {
    const account = this.accounts.get(key)
    for (const [of, limit] of this.rules.limits) {
      const taken = account ? account.used[of] + account.reserved[of] : 0
      if (taken + bound[of] <= limit) continue
      const { name } = this.rules
      const whose = key === '' ? '' : ` of ${text(key)}`
      const [most, held, wanted] = [limit, taken, bound[of]].map((amount) => show(of, amount))
      const never = bound[of] > limit
      const message = never
        ? `budget ${text(name)}${whose}: the call may use ${wanted} ${of}, which is more than the whole budget of ${most}`
        : `budget ${text(name)}${whose}: ${held} of ${most} ${of} are used or reserved, and the call may use ${wanted}; ` +
          `the next period begins at ${new Date(this.resetsAt).toISOString()}`
      return new BudgetExceededError(message, name, never ? undefined : this.resetsAt)
    }
    return undefined
  }
}

type Parts = readonly (readonly [Budget, string])[]

const accountsOf = (parts: Parts): Account[] => parts.map(([budget, key]) => budget.account(key))

function refuse(parts: Parts, bound: Amounts): void {
  for (const [budget, key] of parts) {
    const refusal = budget.refusal(key, bound)
    if (refusal) throw refusal
  }
}

const nothing = () => ({ requests: 0, tokens: 0, usd: 0 })

export class Budgets {
  readonly #budgets: readonly Budget[]
  /** The units that budgets count, so that they must be known. */
  readonly counts: ReadonlySet<Unit>
  readonly byTarget: boolean
  /** The store through which processes share their spending. */
  readonly store: BudgetStore | undefined
  /** Called when the store cannot be reached. */
  failed: (error: unknown) => void = () => {}

  constructor(rules: readonly Rules[], store: BudgetStore | undefined) {
    this.store = store
    this.#budgets = rules.map((one) => new Budget(one))
    this.counts = new Set(rules.flatMap(({ limits }) => limits.map(([of]) => of)))
    this.byTarget = rules.some(({ by }) => by === 'target')
  }

  /**
   * Reserves an amount for a call in every budget that counts it. With a target, in the budgets of targets.
   *
   * @throws BudgetExceededError
   */
  reserve(call: PoolCall, bound: Amounts, wall: number, target?: string): Reservation {
    const parts = this.#partsOf(call, wall, target)
    refuse(parts, bound)
    return new Reservation(accountsOf(parts), bound)
  }

  /** Reserves for a call that is already running, even without room. */
  claim(call: PoolCall, bound: Amounts, wall: number): Reservation {
    return new Reservation(accountsOf(this.#partsOf(call, wall, undefined)), bound)
  }

  /** Like `reserve`, but asks the store, if there is one. */
  share(call: PoolCall, bound: Amounts, wall: number, target?: string): Reservation | Promise<Reservation> {
    if (!this.store) return this.reserve(call, bound, wall, target)
    const parts = this.#partsOf(call, wall, target)
    return parts.length > 0 ? this.#ask(this.store, parts, bound) : new Reservation([], bound)
  }

  #partsOf(call: PoolCall, wall: number, target: string | undefined): Parts {
    const parts: (readonly [Budget, string])[] = []
    for (const budget of this.#budgets) {
      const key = keyOf(budget.rules, call, target)
      if (key === undefined || !budget.rules.when(call)) continue
      budget.turn(wall)
      parts.push([budget, key])
    }
    return parts
  }

  /** Adopts the store's counts, for errors and `stats()`. */
  async #ask(store: BudgetStore, parts: Parts, bound: Amounts): Promise<Reservation> {
    const shared = parts.map(([{ rules, resetsAt }, key]): BudgetAccount => {
      return { budget: rules.name, key, resetsAt, limits: Object.fromEntries(rules.limits) }
    })
    const accounts = accountsOf(parts)
    const { reserved, taken } = await store.reserve(shared, bound).catch((cause: unknown) => {
      throw new StoreDownError('the store of the budgets does not answer, so no calls are sent', cause)
    })
    for (const [i, account] of accounts.entries())
      for (const of of UNITS) account.used[of] = taken[i]![of]! - account.reserved[of]
    if (!reserved) refuse(parts, bound)
    // A difference that cannot be reported stays reserved in the store.
    return new Reservation(accounts, bound, (difference) => {
      store.settle(shared, difference).catch((error: unknown) => this.failed(error))
    })
  }

  /** Counts spending at the given time, before a restart. */
  count(call: PoolCall, amounts: Amounts, wall: number): void {
    for (const budget of this.#budgets) {
      const key = keyOf(budget.rules, call, undefined)
      if (key === undefined || !budget.rules.when(call)) continue
      budget.turn(wall)
      const { used } = budget.account(key)
      for (const of of UNITS) used[of] += amounts[of]
    }
  }

  stats(wall: number): BudgetStats[] {
    return this.#budgets.flatMap((budget) => {
      budget.turn(wall)
      const { name, limits, by } = budget.rules
      const whole = by === WHOLE && budget.accounts.size === 0 ? [['', budget.account('')] as const] : []
      return [...whole, ...budget.accounts].map(([key, { used, reserved }]) => ({
        name,
        key: by === WHOLE ? undefined : key,
        resetsAt: budget.resetsAt,
        amounts: limits.map(([of, limit]) => ({
          of,
          used: show(of, used[of]),
          reserved: show(of, reserved[of]),
          limit: show(of, limit),
        })),
      }))
    })
  }

  /** Reservations count as used, since the actual usage is unknown after a crash. A store keeps its own counts. */
  snapshot(wall: number): BudgetSnapshot | undefined {
    if (this.store) return undefined
    return this.#budgets.map((budget) => {
      budget.turn(wall)
      const spent = [...budget.accounts].map(([key, { used, reserved }]) => {
        const sum = (of: Unit) => used[of] + reserved[of]
        return [key, { requests: sum('requests'), tokens: sum('tokens'), usd: sum('usd') }] as const
      })
      return { name: budget.rules.name, resetsAt: budget.resetsAt, spent }
    })
  }

  /** Restores the spending of the current period. */
  restore(saved: BudgetSnapshot, wall: number): void {
    for (const budget of this.#budgets) {
      budget.turn(wall)
      const found = saved.find(({ name }) => name === budget.rules.name)
      if (found?.resetsAt !== budget.resetsAt) continue
      for (const [key, amounts] of found.spent) Object.assign(budget.account(key).used, amounts)
    }
  }
}

const WHOLE = () => ''
const KEYS: Record<string, Rules['by']> = {
  tenant: ({ tenant }) => tenant ?? '',
  model: (call) => modelOf(call) ?? '',
  target: 'target',
}

function keyOf({ by }: Rules, call: PoolCall, target: string | undefined): string | undefined {
  if (by === 'target') return target
  return target === undefined ? by(call) : undefined
}

/** The model of a call: its own field, or that of its request. */
export function modelOf({ model, request }: PoolCall): string | undefined {
  const named = model ?? (Object(request) as { model?: unknown }).model
  return typeof named === 'string' ? named : undefined
}

export function parseBudgets(
  said: BudgetOptions | readonly BudgetOptions[] | undefined,
  store?: BudgetStore,
): Budgets | undefined {
  if (store !== undefined && typeof store?.reserve !== 'function')
    throw new TypeError(`store must be made by redisStore, got ${text(store)}`)
  if (said === undefined) {
    if (store) throw new TypeError('store needs budget, because it shares budgets')
    return undefined
  }
  const all = Array.isArray(said) ? (said as readonly BudgetOptions[]) : [said as BudgetOptions]
  const rules = all.map((one, i) => parseBudget(one, Array.isArray(said) ? `budget[${i}]` : 'budget'))
  for (const [i, { name }] of rules.entries()) {
    if (rules.findIndex((other) => other.name === name) < i)
      throw new TypeError(`budget[${i}].name must be unique, ${text(name)} occurs twice: give it a name`)
  }
  return new Budgets(rules, store)
}

function parseBudget(budget: BudgetOptions, where: string): Rules {
  fields(budget, where, ['requests', 'tokens', 'usd', 'per', 'timeZone', 'by', 'when', 'name'])
  const { per, timeZone, by, when } = budget
  const limits = UNITS.filter((of) => budget[of] !== undefined).map((of) => {
    const limit = number(budget[of], `${where}.${of}`, 'a number of at least 0')
    return [of, of === 'usd' ? Math.floor(limit * 1e9 + 1e-3) : limit] as const
  })
  if (limits.length === 0) throw new TypeError(`${where} must have requests, tokens or usd`)
  given(budget.name, (name) => {
    if (typeof name !== 'string' || !name)
      throw new TypeError(`${where}.name must be a name, got ${text(name)}`)
  })
  return {
    name: budget.name ?? `${typeof by === 'string' ? by : 'pool'} per ${String(per)}`,
    limits,
    endOf: parsePeriod(per, timeZone, where),
    by: parseKey(by, `${where}.by`),
    when: when === undefined ? () => true : compileCondition(when, `${where}.when`),
  }
}

function parseKey(by: BudgetOptions['by'], name: string): Rules['by'] {
  if (by === undefined) return WHOLE
  if (typeof by === 'function') return by
  if (typeof by !== 'string')
    throw new TypeError(
      `${name} must be ${Object.keys(KEYS).map(text).join(', ')} or a function, got ${text(by)}`,
    )
  choice(by, name, Object.keys(KEYS))
  return KEYS[by]!
}

function parsePeriod(per: unknown, timeZone: string | undefined, where: string): Rules['endOf'] {
  if ((PERIODS as readonly unknown[]).includes(per)) {
    const zone = timeZone === undefined ? 'UTC' : timeZone
    try {
      new Intl.DateTimeFormat('en', { timeZone: zone })
    } catch {
      throw new TypeError(`${where}.timeZone must be an IANA name like 'Europe/Berlin', got ${text(zone)}`)
    }
    return (wall) => endOf(per as CalendarPeriod, wall, zone)
  }
  if (timeZone !== undefined)
    throw new TypeError(`${where}.timeZone is for periods of the calendar (${PERIODS.join(', ')})`)
  if (typeof per === 'string' && !/\d/.test(per))
    throw new TypeError(
      `${where}.per must be ${PERIODS.join(', ')} or a duration like '1h', got ${text(per)}`,
    )
  const ms = duration(per, `${where}.per`)
  return (wall) => (Math.floor(wall / ms) + 1) * ms
}
