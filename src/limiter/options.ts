// What people may say to a limiter and for a call: the types, their defaults, and one check for each.

import type { Clock } from '../scheduler/clock.ts'
import { choice, fields, number, text } from '../lib/validate.ts'
import type { Cost } from '../core/limit/limit-set.ts'
import { type Duration, duration, LIMITS_KEYS, type LimitsOptions } from '../core/limit/parse-limits.ts'
import type { RampOptions } from '../core/limit/slow-start.ts'
import type { RecoveryOptions } from '../core/gate/gate.ts'
import { checkHealth, type Health } from './health.ts'
import type { Outcome, RefusalKind, Verdict } from '../responses/verdict.ts'
import type { Store } from './store-adapter.ts'
import type { LimiterStats } from './stats.ts'

/**
 * Your own reading of an answer: a kind of refusal, `'transient'`, `'ok'`, or a whole verdict with a wait.
 * `undefined` leaves it to the limiter.
 */
export type Classify = (outcome: Outcome) => RefusalKind | 'transient' | 'ok' | Verdict | undefined

/** When other transient failures (5xx, connection lost, timeouts) are tried again. */
export interface RetryOptions {
  /** Tries in all, the first included. Default 3. */
  attempts?: number
  /** The first wait. Default 500 ms. */
  minMs?: Duration
  /** The longest wait. Default 8 s. */
  maxMs?: Duration
  /** Each wait is so many times the one before. Default 2. */
  factor?: number
  /** Each wait is shortened by a random share up to this. Default 0.25. */
  jitter?: number
  /** Which failures: default those that the limiter takes for transient. */
  on?: (error: unknown) => boolean
}

/** What can be said for each call. */
export interface CallOptions {
  /** What it takes of each limit. Default one request; tokens, where they are limited, are estimated. */
  cost?: Partial<Cost>
  /** What the call sends, such as the body of its request: tokens that `cost` does not name are estimated from it. */
  request?: unknown
  /** Gives the call up: it rejects with the signal's own reason, at once while it waits. */
  signal?: AbortSignal | undefined
  /** Higher goes first. Default 0. A lower one gets at least every 17th ticket for each step below. */
  priority?: number
  /** Tenants of one limiter get fair turns. */
  tenant?: string | undefined
  /** Rejects with `WaitTimeoutError` after this long without a ticket. Default: waits as long as it takes. */
  maxWaitMs?: Duration
  /** So many refusals the call waits out; the next goes to its caller, untouched. 0: the first. Default: all. */
  maxRefusals?: number
  /** Rejects with `CallTimeoutError` when a try of the call itself takes longer. Default: none. Not for tickets. */
  timeoutMs?: Duration
  /** Which failures that are no refusals are tried again, and how often. Default: none. Not for tickets. */
  retry?: RetryOptions | false
}

/** A `BucketRateLimiter`, of whichever copy of the package. */
export interface AnyLimiter {
  readonly name: string
  stats(): LimiterStats
}

/** What stays the same for all calls of a limiter, unless they say otherwise. */
export interface LimiterOptions extends LimitsOptions {
  /** For errors, events and logs. */
  name: string
  /** How many calls may be in flight at once. */
  maxConcurrent?: number
  /** `'smooth'` (default) spreads calls; `'eager'` first spends what the provider's headers prove is left. */
  pacing?: 'smooth' | 'eager'
  /** The slow start after a quiet minute. Default `{ ms: 5000, from: 1/3 }`. */
  ramp?: RampOptions | false
  /** How long the gate stays closed after a refusal that names no wait. Default 0.5 s × 1.5ⁿ ± 15 %. */
  recovery?: RecoveryOptions
  /** Asks the provider itself whether it accepts again: resolve to true when it does. Default: the oldest call is the probe. */
  probe?: (signal: AbortSignal) => boolean | Promise<boolean>
  /** A limiter whose limits hold too: the account over its models. */
  parent?: AnyLimiter
  /** Which failures that are no refusals are tried again, and how often. Default: none; `{}` is 3 tries. */
  retry?: RetryOptions | false
  /** Your own reading of an answer. Default: the built-in one. */
  classify?: Classify
  /** How many may wait (default: any number), and whether a full line may turn out its least urgent call. */
  queue?: { max?: number; onFull?: 'reject' | 'evict-lowest' }
  /** The longest wait for a ticket: then `WaitTimeoutError`. 0: go now or never. Default: as long as it takes. */
  maxWaitMs?: Duration
  /** So many refusals a call waits out; the next goes to its caller, untouched. 0: the first. Default: all. */
  maxRefusals?: number
  /** The longest try of a call: then `CallTimeoutError`. Default: none. */
  timeoutMs?: Duration
  /** Whether headers and refusals teach the limiter the real limit. Default true. */
  learn?: boolean
  /** Lets it learn a limit above the configured one. Default false. */
  discover?: boolean
  /** Goes slower, or turns calls away, when the provider gets slow: `latencyHealth` of `llmiter/health`. */
  health?: Health
  clock?: Clock
  /** Shares the limits with the limiters of this name in other processes: `redisStore` of `llmiter/redis`. */
  store?: Store
}

// Lists that the compiler keeps complete.
export const CALL_KEYS = Object.keys({
  cost: 1,
  request: 1,
  signal: 1,
  priority: 1,
  tenant: 1,
  maxWaitMs: 1,
  maxRefusals: 1,
  timeoutMs: 1,
  retry: 1,
} satisfies Record<keyof CallOptions, 1>)
const OWN_KEYS = Object.keys({
  name: 1,
  maxConcurrent: 1,
  pacing: 1,
  ramp: 1,
  recovery: 1,
  probe: 1,
  parent: 1,
  retry: 1,
  classify: 1,
  queue: 1,
  maxWaitMs: 1,
  maxRefusals: 1,
  timeoutMs: 1,
  learn: 1,
  discover: 1,
  health: 1,
  clock: 1,
  store: 1,
} satisfies Record<Exclude<keyof LimiterOptions, keyof LimitsOptions>, 1>)
export const LIMITER_KEYS = [...LIMITS_KEYS, ...OWN_KEYS]
/** Without any of these a limiter would let everything pass, which nobody means who makes one. */
const LIMITING = [
  ...LIMITS_KEYS.filter((key) => key !== 'burst'),
  'maxConcurrent',
  'parent',
  'store',
  'health',
]

/** Throws a `TypeError` that names the first option that is wrong. The limits are checked where they are made exact. */
export function checkLimiter(options: LimiterOptions): void {
  fields(options, 'BucketRateLimiter', LIMITER_KEYS)
  const { queue, ramp } = options
  if (typeof options.name !== 'string' || !options.name) {
    throw new TypeError(`name must be a name for the limiter, got ${text(options.name)}`)
  }
  given(options.clock, (clock) => {
    for (const key of ['now', 'wall', 'setTimer'] as const) {
      if (typeof clock?.[key] !== 'function') {
        throw new TypeError(`clock must have now(), wall() and setTimer(), got ${text(clock)}`)
      }
    }
  })
  given(options.store, (store) => {
    if (typeof store?.open !== 'function')
      throw new TypeError(`store must be a store, such as redisStore(client), got ${text(store)}`)
  })
  given(options.maxConcurrent, (value) => number(value, 'maxConcurrent', 'a whole number of at least 1'))
  given(options.pacing, (value) => choice(value, 'pacing', ['smooth', 'eager']))
  for (const key of ['learn', 'discover'] as const)
    given(options[key], (value) => choice(value, key, [true, false]))
  for (const key of ['probe', 'classify'] as const) given(options[key], (value) => callable(value, key))
  if (queue !== undefined) {
    fields(queue, 'queue', ['max', 'onFull'])
    given(queue.max, (value) => number(value, 'queue.max', 'a whole number of at least 0'))
    given(queue.onFull, (value) => choice(value, 'queue.onFull', ['reject', 'evict-lowest']))
  }
  if (ramp) {
    fields(ramp, 'ramp', ['ms', 'from'])
    given(ramp.ms, (value) => value === 0 || duration(value, 'ramp.ms'))
    given(ramp.from, (value) => number(value, 'ramp.from', 'more than 0'))
    if ((ramp.from ?? 1) > 1) throw new TypeError(`ramp.from must be at most 1, got ${text(ramp.from)}`)
  }
  given(options.recovery, checkRecovery)
  given(options.health, checkHealth)
  checkCallValues(options)
  if (!LIMITING.some((key) => options[key as keyof LimiterOptions] !== undefined)) {
    throw new TypeError(
      `'${options.name}' has no limit; known: ${LIMITING.join(', ')}. With limits: [] it only waits out refusals`,
    )
  }
}

function checkRecovery(recovery: RecoveryOptions): void {
  fields(recovery, 'recovery', ['minMs', 'maxMs', 'factor', 'jitter'])
  const { minMs, maxMs, factor, jitter } = recovery
  const least = minMs === undefined ? 0 : duration(minMs, 'recovery.minMs')
  if (maxMs !== undefined && duration(maxMs, 'recovery.maxMs') < least) {
    throw new TypeError(`recovery.maxMs must be at least recovery.minMs, got ${text(maxMs)}`)
  }
  given(factor, (value) => number(value, 'recovery.factor', 'at least 1'))
  given(jitter, (value) => number(value, 'recovery.jitter', 'from 0 to 1'))
}

// Runs for every call with options of its own, so without closures.
export function checkCall(call: CallOptions): void {
  fields(call, 'call', CALL_KEYS)
  const { priority, signal, cost } = call
  if (priority !== undefined && !Number.isFinite(priority)) {
    throw new TypeError(`priority must be a finite number, got ${text(priority)}`)
  }
  if (signal !== undefined && typeof signal?.addEventListener !== 'function') {
    throw new TypeError(`signal must be an AbortSignal, got ${text(signal)}`)
  }
  if (cost !== undefined) checkCost(cost)
  checkCallValues(call)
}

export function checkCost(cost: Partial<Cost>): void {
  if (typeof cost !== 'object' || cost === null)
    throw new TypeError(`cost must be like { requests: 1, tokens: 500 }, got ${text(cost)}`)
  for (const name in cost) {
    const amount = cost[name]!
    if (amount !== undefined && !(typeof amount === 'number' && amount >= 0 && amount < Infinity))
      number(amount, `cost.${name}`, 'at least 0')
  }
}

function checkCallValues({ maxWaitMs, maxRefusals, timeoutMs, retry }: CallOptions): void {
  if (maxWaitMs !== undefined && maxWaitMs !== 0) duration(maxWaitMs, 'maxWaitMs')
  given(maxRefusals, (value) => number(value, 'maxRefusals', 'a whole number of at least 0'))
  if (timeoutMs !== undefined) duration(timeoutMs, 'timeoutMs')
  if (!retry) return
  fields(retry, 'retry', ['attempts', 'minMs', 'maxMs', 'factor', 'jitter', 'on'])
  given(retry.attempts, (value) => number(value, 'retry.attempts', 'a whole number of at least 1'))
  for (const key of ['minMs', 'maxMs'] as const) given(retry[key], (value) => duration(value, `retry.${key}`))
  given(retry.factor, (value) => number(value, 'retry.factor', 'at least 1'))
  given(retry.jitter, (value) => number(value, 'retry.jitter', 'from 0 to 1'))
  given(retry.on, (value) => callable(value, 'retry.on'))
}

function given<T>(value: T | undefined, check: (value: T) => unknown): void {
  if (value !== undefined) check(value)
}

export function callable(value: unknown, name: string): void {
  if (typeof value !== 'function') throw new TypeError(`${name} must be a function, got ${text(value)}`)
}
