// The options of a limiter: types, defaults and checks.

import type { Clock } from '../scheduler/clock.ts'
import { CALL_SYNONYMS, LIMIT_SYNONYMS } from '../lib/synonyms.ts'
import { anything, callable, checkOptions, fields, type OptionRule, text } from '../lib/validate.ts'
import { CALL_BOUNDS, type Classify, type RetryOptions } from '../call/call-options.ts'
import { LIMITS_KEYS, type LimitsOptions } from '../core/limit/parse-limits.ts'
import { type Duration, duration, durationOrZero } from '../lib/duration.ts'
import type { RampOptions } from '../core/limit/slow-start.ts'
import type { RecoveryOptions } from '../core/gate/gate.ts'
import type { Health } from '../call/health.ts'
import type { Store } from './store.ts'
import type { LimiterStats } from './limiter-stats.ts'

/** A `BucketRateLimiter`, from any copy of the package. */
export interface AnyLimiter {
  /** Its name in errors, events and logs. */
  readonly name: string
  /** Its state in numbers. */
  stats(): LimiterStats
}

/** How many calls may wait, what happens to the next one, and which goes first. */
export interface QueueOptions {
  /**
   * How many calls may wait.
   * @default any number
   */
  max?: number | undefined
  /**
   * What a full queue does with another call. `'reject'`: rejects it with `QueueFullError`. `'evict-lowest'`: rejects the
   * newest call of the lowest priority instead, if that is lower than its own. `'evict-oldest'`: rejects the oldest call of
   * the lowest priority instead, if that is not higher than its own.
   * @default 'reject'
   */
  onFull?: 'reject' | 'evict-lowest' | 'evict-oldest' | undefined
  /**
   * Whether lower priorities get a ticket now and then while higher ones wait, so that none starves.
   * @default true
   */
  ageing?: boolean | undefined
}

/** The options of a limiter. A call may override some of them. */
export interface LimiterOptions extends LimitsOptions {
  /**
   * For errors, events and logs. Limiters that share a `store` share their limits by this name, so there it is required.
   * @default 'default' for the first limiter without a name, then 'default-2', 'default-3' …
   */
  name?: string | undefined
  /** How many calls may be in flight at once. */
  maxConcurrent?: number | undefined
  /**
   * `'smooth'` spreads calls over the window. `'eager'` is for jobs of few calls: the amount that the provider's headers say is left
   * is used at three times the rate, until a refusal shows that the provider counts in shorter windows. Without headers both are the same.
   * @default 'smooth'
   */
  pacing?: 'smooth' | 'eager' | undefined
  /**
   * The slow start after a quiet minute.
   * @default `{ ms: 5000, from: 1/3 }`
   */
  ramp?: RampOptions | false | undefined
  /**
   * How long the gate stays closed after a refusal without Retry-After.
   * @default 0.5 s × 1.5ⁿ ± 15 %
   */
  recovery?: RecoveryOptions | undefined
  /**
   * Asks the provider itself whether it accepts again: resolve to true when it does.
   * @default the oldest call is the probe
   */
  probe?: ((signal: AbortSignal) => boolean | Promise<boolean>) | undefined
  /** A limiter whose limits apply too, such as that of the account above its models. */
  parent?: AnyLimiter | undefined
  /**
   * Which failures that are no refusals are tried again, and how often.
   * @default none; `{}` is 3 tries
   */
  retry?: RetryOptions | false | undefined
  /**
   * Your own classification of an answer.
   * @default the built-in one
   */
  classify?: Classify | undefined
  /** How many may wait, and in which order. */
  queue?: QueueOptions | undefined
  /**
   * The longest wait for a ticket: then `WaitTimeoutError`. 0: go now or never.
   * @default as long as it takes
   */
  maxWaitMs?: Duration | undefined
  /**
   * Refusals that a call waits through; the next one is thrown unchanged. 0: none.
   * @default all
   */
  maxRefusals?: number | undefined
  /**
   * The longest wait that the limiter accepts from a provider. A longer one counts as a used-up quota: calls fail at once, with the wait in the error.
   * @default '1h'
   */
  maxRetryAfterMs?: Duration | undefined
  /**
   * The longest try of a call: then `CallTimeoutError`.
   * @default none
   */
  timeoutMs?: Duration | undefined
  /**
   * Whether the limiter learns the real limit from headers and refusals.
   * @default true
   */
  learn?: boolean | undefined
  /**
   * Lets it learn a limit above the configured one.
   * @default false
   */
  discover?: boolean | undefined
  /** Slows down, or rejects calls, when the provider becomes slow: `latencyHealth` of `llmiter/health`. */
  health?: Health | undefined
  /**
   * The clock: `VirtualClock` of `llmiter/testing` in tests.
   * @default the system's clock
   */
  clock?: Clock | undefined
  /** Shares the limits with the limiters of this name in other processes: `redisStore` of `llmiter/redis`. */
  store?: Store | undefined
}

const FLAG = [true, false]

/** A rule for what the package makes itself: it has these methods. */
const has =
  (methods: readonly string[], what: string) =>
  (value: unknown, name: string): void => {
    const missing = methods.some((key) => typeof Object(value)[key] !== 'function')
    if (missing) throw new TypeError(`${name} must ${what}, got ${text(value)}`)
  }

const RULES = {
  name: checkName,
  maxConcurrent: 'a whole number of at least 1',
  pacing: ['smooth', 'eager'],
  ramp: checkRamp,
  recovery: checkRecovery,
  probe: callable,
  parent: anything,
  retry: CALL_BOUNDS.retry,
  classify: callable,
  queue: {
    max: 'a whole number of at least 0',
    onFull: ['reject', 'evict-lowest', 'evict-oldest'],
    ageing: FLAG,
  },
  maxWaitMs: CALL_BOUNDS.maxWaitMs,
  maxRefusals: CALL_BOUNDS.maxRefusals,
  maxRetryAfterMs: duration,
  timeoutMs: CALL_BOUNDS.timeoutMs,
  learn: FLAG,
  discover: FLAG,
  health: has(['open'], 'be made by latencyHealth() of llmiter/health'),
  clock: has(['now', 'wall', 'setTimer'], 'have now(), wall() and setTimer()'),
  store: has(['open'], 'be a store, such as redisStore(client)'),
} satisfies Record<Exclude<keyof LimiterOptions, keyof LimitsOptions>, OptionRule>

/** The limits are checked where they are made exact. */
const ALL_RULES: Record<string, OptionRule> = {
  ...Object.fromEntries(LIMITS_KEYS.map((key) => [key, anything])),
  ...RULES,
}
export const LIMITER_KEYS = Object.keys(ALL_RULES)
/** Without any of these a limiter would limit nothing, which is surely a mistake. */
const LIMITING = [
  ...LIMITS_KEYS.filter((key) => key !== 'burst'),
  'maxConcurrent',
  'parent',
  'store',
  'health',
]

const SYNONYMS = { ...CALL_SYNONYMS, ...LIMIT_SYNONYMS }

/** Throws a `TypeError` that names the first option that does not exist, and the one that was probably meant. */
export function checkLimiterKeys(options: object, name: string): void {
  // A value that is not an object at all is reported below.
  const model = Object.keys(Object(options) as object).find((key) => isModel(key, options))
  if (model !== undefined) {
    throw new TypeError(
      `${name} has no option ${text(model)}; limits by model: perModel({ ${text(model)}: { … } })`,
    )
  }
  fields(options, name, LIMITER_KEYS, SYNONYMS)
}

/** The name of a model, with its limits, in the place of an option. */
function isModel(key: string, options: object): boolean {
  const limits: unknown = (options as Record<string, unknown>)[key]
  const isObject = typeof limits === 'object' && limits !== null
  return isObject && !LIMITER_KEYS.includes(key) && LIMITS_KEYS.some((known) => known in limits)
}

/** Throws a `TypeError` that names the first option that is wrong. The limits are checked where they are made exact. */
export function checkLimiter(options: LimiterOptions): void {
  checkLimiterKeys(options, 'BucketRateLimiter')
  checkOptions(options, 'BucketRateLimiter', ALL_RULES, SYNONYMS, '')
  if (options.store !== undefined && options.name === undefined)
    throw new TypeError('name is required with a store: limiters of one name share their limits')
  if (options.store !== undefined && options.limits?.some?.((limit) => limit?.refill !== undefined))
    throw new TypeError('a limit with a refill cannot be shared by a store: give it a window in its place')
  if (!LIMITING.some((key) => options[key as keyof LimiterOptions] !== undefined)) {
    throw new TypeError(
      `'${options.name ?? 'BucketRateLimiter'}' has no limit; known: ${LIMITING.join(', ')}. With limits: [] it finds out what the provider allows`,
    )
  }
}

function checkName(name: unknown): void {
  if (typeof name !== 'string' || !name)
    throw new TypeError(`name must be a name for the limiter, got ${text(name)}`)
}

function checkRamp(ramp: unknown): void {
  if (ramp) checkOptions(ramp, 'ramp', { ms: durationOrZero, from: 'a number above 0, at most 1' })
}

function checkRecovery(recovery: RecoveryOptions): void {
  checkOptions(recovery, 'recovery', {
    minMs: duration,
    maxMs: duration,
    factor: 'a number of at least 1',
    jitter: 'a number from 0 to 1',
  })
  const { minMs, maxMs } = recovery
  const least = minMs === undefined ? 0 : duration(minMs, 'recovery.minMs')
  if (maxMs !== undefined && duration(maxMs, 'recovery.maxMs') < least)
    throw new TypeError(`recovery.maxMs must be at least recovery.minMs, got ${text(maxMs)}`)
}
