// The options of a pool and of a call, checked once.

import type { BudgetStore, Clock, Duration } from 'llmiter'
import { duration } from '../lib/duration.ts'
import { meant } from '../lib/suggest.ts'
import { callable, fields, given, isObject, number, text } from '../lib/validate.ts'
import { type BreakerOptions, type BreakerRules, parseBreaker } from './breaker.ts'
import { type BudgetOptions, parseBudgets } from './budgets.ts'
import type { PoolCall } from './pool-call.ts'
import type { PoolTarget } from './pool-target.ts'
import { parsePrices, type Prices } from './prices.ts'
import { type CacheOptions, parseSharing, type Sharing } from './sharing.ts'
import { Spending } from './spending.ts'
import { compileStrategy, type TargetPlan, type Strategy } from './strategy.ts'

/** Options of `createPool`. */
export interface PoolOptions<T extends PoolTarget = PoolTarget> {
  /** The keys, models or providers to choose from. */
  readonly targets: readonly T[]
  /**
   * Which targets may answer a call, and in which order.
   * @default the targets by tier, and within a tier by weight
   */
  readonly strategy?: Strategy
  /** Named strategies that other strategies can refer to. */
  readonly strategies?: Readonly<Record<string, Strategy>>
  /**
   * The next tier joins if the wait for the earlier tiers would exceed this.
   * @default 5 s
   */
  readonly waitUpTo?: Duration
  /** Keeps calls with the same key at one target, unless they would wait there longer than `waitUpTo`. */
  readonly sticky?:
    | ((call: PoolCall) => string | undefined)
    | { readonly by: (call: PoolCall) => string | undefined; readonly ttl: Duration }
  /** Other errors after which the next target is tried, by status or by predicate. */
  readonly fallbackOn?: readonly number[] | ((error: unknown) => boolean)
  /**
   * How often one call is sent at most, including refusals.
   * @default each target may fail once, and refusals are waited through as without a pool
   */
  readonly maxAttempts?: number
  /**
   * The circuit breaker of each target. `false` disables it.
   * @default see `BreakerOptions`
   */
  readonly breaker?: BreakerOptions | false
  /** The spending limits. A call that could exceed a budget is rejected with a `BudgetExceededError`. */
  readonly budget?: BudgetOptions | readonly BudgetOptions[]
  /**
   * Where processes share budgets of the same name: `redisStore` of `llmiter/redis`.
   * @default this process counts alone
   */
  readonly store?: BudgetStore
  /** Prices for budgets in USD. They take precedence over the optional package `@pydantic/genai-prices`. */
  readonly prices?: Prices
  /**
   * For budgets: the output tokens reserved for a call that does not limit its output.
   * @default 16,384 tokens
   */
  readonly maxOutputTokens?: number
  /**
   * Whether identical calls in flight share one answer: same `request`, model, target and tenant.
   * @default false
   */
  readonly coalesce?: boolean
  /**
   * Caches the answers of identical calls.
   * @default no cache
   */
  readonly cache?: CacheOptions
}

export interface PoolRules {
  readonly plan: TargetPlan
  readonly waitUpTo: number
  readonly stickyBy: ((call: PoolCall) => string | undefined) | undefined
  readonly stickyMs: number | undefined
  readonly fallsBack: ((answer: unknown, status: number | undefined) => boolean) | undefined
  readonly maxAttempts: number
  /** The breaker of each target. */
  readonly breakers: readonly (BreakerRules | undefined)[]
  readonly spending: Spending | undefined
  readonly sharing: ((clock: Clock) => Sharing) | undefined
}

const TARGET_OPTIONS = ['weight', 'tier', 'breaker']

export function parsePool(options: PoolOptions): PoolRules {
  fields(options, 'createPool', [
    'targets',
    'strategy',
    'strategies',
    'waitUpTo',
    'sticky',
    'fallbackOn',
    'maxAttempts',
    'breaker',
    'budget',
    'store',
    'prices',
    'maxOutputTokens',
    'coalesce',
    'cache',
  ])
  const { targets, strategies = {}, waitUpTo = '5s', sticky, fallbackOn, maxAttempts } = options
  const names = namesOf(targets)
  if (!isObject(strategies) || Array.isArray(strategies))
    throw new TypeError(`strategies must be an object with a strategy for each name, got ${text(strategies)}`)
  const known = { targets: names, strategies }
  // Includes strategies that nothing refers to yet.
  for (const name of Object.keys(strategies)) {
    if (names.has(name)) throw new TypeError(`strategies.${name}: a target has this name already`)
    compileStrategy(name, known)
  }
  return {
    plan: compileStrategy(options.strategy === undefined ? byTiers(targets) : options.strategy, known),
    waitUpTo: waitUpTo === 0 ? 0 : duration(waitUpTo, 'waitUpTo'),
    ...parseSticky(sticky),
    fallsBack: parseFallback(fallbackOn),
    maxAttempts:
      maxAttempts === undefined
        ? Infinity
        : number(maxAttempts, 'maxAttempts', 'a whole number of at least 1'),
    breakers: breakersOf(options),
    spending: parseSpending(options),
    sharing: parseSharing(options.coalesce, options.cache),
  }
}

function breakersOf({ targets, breaker }: PoolOptions): PoolRules['breakers'] {
  const rules = parseBreaker(breaker)
  return targets.map((target, i) =>
    target.breaker === undefined ? rules : parseBreaker(target.breaker, `targets[${i}].breaker`),
  )
}

function parseSpending({
  budget,
  store,
  prices,
  maxOutputTokens = 16_384,
}: PoolOptions): Spending | undefined {
  const budgets = parseBudgets(budget, store)
  const pricing = parsePrices(prices)
  number(maxOutputTokens, 'maxOutputTokens', 'a whole number of at least 1')
  return budgets && new Spending(budgets, pricing, maxOutputTokens)
}

function namesOf(targets: readonly PoolTarget[]): Map<string, number> {
  if (!Array.isArray(targets) || targets.length === 0)
    throw new TypeError(`targets must be an array with at least one target, got ${text(targets)}`)
  const names = new Map<string, number>()
  for (const [i, target] of (targets as PoolTarget[]).entries()) {
    if (!isObject(target)) throw new TypeError(`targets[${i}] must be an object, got ${text(target)}`)
    const { name, limiter, weight, tier } = target
    if (typeof name !== 'string' || !name)
      throw new TypeError(`targets[${i}].name must be a name, got ${text(name)}`)
    if (names.has(name)) throw new TypeError(`targets[${i}].name must be unique, ${text(name)} occurs twice`)
    if (typeof limiter?.standBy !== 'function')
      throw new TypeError(`targets[${i}].limiter must be a BucketRateLimiter, got ${text(limiter)}`)
    given(weight, (value) => number(value, `targets[${i}].weight`, 'a number of at least 0'))
    given(tier, (value) => number(value, `targets[${i}].tier`, 'a number of at least 0'))
    for (const field in target) checkSpelling(field, `targets[${i}]`)
    names.set(name, i)
  }
  return names
}

/** A target may have extra fields, but a misspelled option must not be ignored silently. */
function checkSpelling(field: string, path: string): void {
  if (TARGET_OPTIONS.includes(field)) return
  const near = meant(field, TARGET_OPTIONS, {}, 1)
  if (near)
    throw new TypeError(
      `${path} cannot have a field ${text(field)} (did you mean '${near}'?); extra fields need other names`,
    )
}

function byTiers(targets: readonly PoolTarget[]): Strategy {
  const tiers = new Map<number, { use: string; weight: number }[]>()
  for (const { name, tier = 1, weight = 1 } of targets) {
    const shares = tiers.get(tier) ?? []
    tiers.set(tier, shares)
    shares.push({ use: name, weight })
  }
  const inOrder = [...tiers].sort(([a], [b]) => a - b)
  return { fallback: inOrder.map(([, loadbalance]) => ({ loadbalance })) }
}

function parseSticky(sticky: PoolOptions['sticky']): Pick<PoolRules, 'stickyBy' | 'stickyMs'> {
  if (sticky === undefined || typeof sticky === 'function') return { stickyBy: sticky, stickyMs: undefined }
  if (!isObject(sticky)) throw new TypeError(`sticky must be a function or { by, ttl }, got ${text(sticky)}`)
  fields(sticky, 'sticky', ['by', 'ttl'])
  callable(sticky.by, 'sticky.by')
  return { stickyBy: sticky.by, stickyMs: duration(sticky.ttl, 'sticky.ttl') }
}

function parseFallback(on: PoolOptions['fallbackOn']): PoolRules['fallsBack'] {
  if (on === undefined) return undefined
  if (typeof on === 'function') return on
  if (!Array.isArray(on) || on.some((status) => !Number.isInteger(status)))
    throw new TypeError(`fallbackOn must be an array of statuses or a function, got ${text(on)}`)
  const statuses = new Set<unknown>(on)
  return (_error, status) => status !== undefined && statuses.has(status)
}
