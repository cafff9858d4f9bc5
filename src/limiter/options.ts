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
  /** The name of the limiter in errors, events and logs. */
  readonly name: string
  /** The statistics of the limiter. */
  stats(): LimiterStats
}

/** How many calls may wait, what happens when the queue is full, and which call goes first. */
export interface QueueOptions {
  /**
   * The maximum number of waiting calls.
   * @default no bound
   */
  max?: number | undefined
  /**
   * What happens to a new call when the queue is full. `'reject'`: it is rejected with `QueueFullError`.
   * `'evict-lowest'`: the newest call of the lowest priority is rejected instead, if its priority is lower.
   * `'evict-oldest'`: the oldest call of the lowest priority is rejected instead, if its priority is not higher.
   * @default 'reject'
   */
  onFull?: 'reject' | 'evict-lowest' | 'evict-oldest' | undefined
  /**
   * Whether lower priorities get some tickets while higher ones wait, so that none starves.
   * @default true
   */
  ageing?: boolean | undefined
}

/** The options of a limiter. A call can override some of them. */
export interface LimiterOptions extends LimitsOptions {
  /**
   * The name in errors, events and logs. Required with a `store`, because limiters of the same name share their
   * limits.
   * @default 'default' for the first limiter without a name, then 'default-2', 'default-3' …
   */
  name?: string | undefined
  /**
   * The maximum number of calls in flight.
   * @default no bound
   */
  maxConcurrent?: number | undefined
  /**
   * `'smooth'` spreads calls over the window. `'eager'` is for short jobs: it uses the remaining amount from the
   * provider's headers at three times the rate, until a refusal shows that the provider counts in shorter windows.
   * Without headers both behave the same.
   * @default 'smooth'
   */
  pacing?: 'smooth' | 'eager' | undefined
  /**
   * The slow start after a minute without calls.
   * @default `{ ms: 5000, from: 1/3 }`
   */
  ramp?: RampOptions | false | undefined
  /**
   * How long the gate stays closed after the nth refusal without Retry-After.
   * @default 0.5 s × 1.5ⁿ ± 15 %
   */
  recovery?: RecoveryOptions | undefined
  /**
   * Asks the provider whether it accepts calls again. Resolve with true if it does.
   * @default the oldest waiting call is sent as the probe
   */
  probe?: ((signal: AbortSignal) => boolean | Promise<boolean>) | undefined
  /** A limiter whose limits also apply, such as the account's limiter above those of its models. */
  parent?: AnyLimiter | undefined
  /**
   * Which failures other than refusals are retried, and how often.
   * @default none; `{}` means 3 attempts
   */
  retry?: RetryOptions | false | undefined
  /**
   * Your own classification of answers.
   * @default the built-in one
   */
  classify?: Classify | undefined
  /** How many calls may wait, and in which order they go. */
  queue?: QueueOptions | undefined
  /**
   * The maximum wait for a ticket. After it the call rejects with `WaitTimeoutError`. 0: the call goes immediately
   * or never.
   * @default no bound
   */
  maxWaitMs?: Duration | undefined
  /**
   * How many refusals a call waits through. The next one is thrown unchanged. 0 waits through none.
   * @default no bound
   */
  maxRefusals?: number | undefined
  /**
   * The longest wait that the limiter accepts from a provider. A longer one counts as a used-up quota: calls fail
   * immediately, with the wait in the error.
   * @default '1h'
   */
  maxRetryAfterMs?: Duration | undefined
  /**
   * The maximum duration of one attempt of a call. After it the call rejects with `CallTimeoutError`.
   * @default none
   */
  timeoutMs?: Duration | undefined
  /**
   * Whether the limiter learns the real limit from headers and refusals.
   * @default true
   */
  learn?: boolean | undefined
  /**
   * Whether it may learn a limit above the configured one.
   * @default false
   */
  discover?: boolean | undefined
  /** Slows down or rejects calls when the provider becomes slow: `latencyHealth` of `llmiter/health`. */
  health?: Health | undefined
  /**
   * The clock: `VirtualClock` of `llmiter/testing` in tests.
   * @default the system clock
   */
  clock?: Clock | undefined
  /** Shares the limits with limiters of the same name in other processes: `redisStore` of `llmiter/redis`. */
  store?: Store | undefined
}

const FLAG = [true, false]

/** A check for objects created by this package: they must have these methods. */
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

/** The limits themselves are checked in `parse-limits.ts`. */
const ALL_RULES: Record<string, OptionRule> = {
  ...Object.fromEntries(LIMITS_KEYS.map((key) => [key, anything])),
  ...RULES,
}
export const LIMITER_KEYS = Object.keys(ALL_RULES)
/** A limiter without any of these would limit nothing, which is surely a mistake. */
const LIMITING = [
  ...LIMITS_KEYS.filter((key) => key !== 'burst'),
  'maxConcurrent',
  'parent',
  'store',
  'health',
]

const SYNONYMS = { ...CALL_SYNONYMS, ...LIMIT_SYNONYMS }

/** Throws a `TypeError` that names the first unknown option, and the option that was probably meant. */
export function checkLimiterKeys(options: object, name: string): void {
  // A value that is not an object is reported later.
  const model = Object.keys(Object(options) as object).find((key) => isModel(key, options))
  if (model !== undefined) {
    throw new TypeError(
      `${name} has no option ${text(model)}; limits by model: perModel({ ${text(model)}: { … } })`,
    )
  }
  fields(options, name, LIMITER_KEYS, SYNONYMS)
}

/** Whether the name of a model, with its limits, stands in place of an option. */
function isModel(key: string, options: object): boolean {
  const limits: unknown = (options as Record<string, unknown>)[key]
  const isObject = typeof limits === 'object' && limits !== null
  return isObject && !LIMITER_KEYS.includes(key) && LIMITS_KEYS.some((known) => known in limits)
}

/**
 * Throws a `TypeError` that names the first invalid option. The limits themselves are checked in
 * `parse-limits.ts`.
 */
export function checkLimiter(options: LimiterOptions): void {
  checkLimiterKeys(options, 'BucketRateLimiter')
  checkOptions(options, 'BucketRateLimiter', ALL_RULES, SYNONYMS, '')
  if (options.store !== undefined && options.name === undefined)
    throw new TypeError('name is required with a store: limiters of one name share their limits')
  if (options.store !== undefined && options.limits?.some?.((limit) => limit?.refill !== undefined))
    throw new TypeError('a limit with a refill cannot be shared by a store: give it a window instead')
  if (!LIMITING.some((key) => options[key as keyof LimiterOptions] !== undefined)) {
    throw new TypeError(
      `'${options.name ?? 'BucketRateLimiter'}' has no limit; known: ${LIMITING.join(', ')}. With limits: [] the limiter learns what the provider allows`,
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
