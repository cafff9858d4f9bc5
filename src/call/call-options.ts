// The options of one call: types, defaults and checks.

import type { Cost } from '../core/cost.ts'
import { type Duration, duration, durationOrZero } from '../lib/duration.ts'
import { CALL_SYNONYMS } from '../lib/synonyms.ts'
import { anything, callable, checkOptions, number, type OptionRule, text } from '../lib/validate.ts'
import type { Outcome, RefusalKind, Verdict } from '../responses/verdict.ts'

/**
 * Classifies an answer in place of the built-in rules. Returns a kind of refusal, `'transient'`, `'ok'`, or a
 * whole verdict with a wait. Returns `undefined` to fall back to the built-in rules.
 */
export type Classify = (outcome: Outcome) => RefusalKind | 'transient' | 'ok' | Verdict | undefined

/** When to retry transient failures that are not refusals (5xx, lost connections, timeouts). */
export interface RetryOptions {
  /**
   * Number of attempts, including the first.
   * @default 3
   */
  attempts?: number | undefined
  /**
   * The wait before the first retry.
   * @default 500 ms
   */
  minMs?: Duration | undefined
  /**
   * The longest wait.
   * @default 8 s
   */
  maxMs?: Duration | undefined
  /**
   * The factor by which each wait grows over the previous one.
   * @default 2
   */
  factor?: number | undefined
  /**
   * Each wait is shortened by a random share of at most this, from 0 to 1.
   * @default 0.25
   */
  jitter?: number | undefined
  /**
   * Returns the wait after this failure, 0 for none. Return `undefined` to use the options above. `attempts` still
   * applies.
   */
  delayMs?: ((failure: RetryFailure) => Duration | undefined) | undefined
  /**
   * Selects the failures to retry.
   * @default the failures that the limiter classifies as transient
   */
  on?: ((error: unknown) => boolean) | undefined
}

/** A failure that will be retried. */
export interface RetryFailure {
  /** What the call threw, or the `Response` that it returned. */
  error: unknown
  /** How many attempts have failed: 1 after the first. */
  failures: number
  /** The wait in ms that the provider asked for, if it named one. */
  waitMs?: number
}

/** The options of one call. */
export interface CallOptions {
  /**
   * What the call takes from each limit.
   * @default one request, plus estimated tokens where tokens are limited
   */
  cost?: Partial<Cost> | undefined
  /**
   * How many slots of `maxConcurrent` the call takes. 0 takes none.
   * @default 1
   */
  weight?: number | undefined
  /** Your name for the call. Its events carry it, `queued()` lists it, and `clear()` can select by it. */
  id?: string | undefined
  /** What the call sends, such as the request body. Tokens that `cost` does not give are estimated from it. */
  request?: unknown
  /** Aborts the call. It rejects with the signal's reason, immediately if it is still waiting. */
  signal?: AbortSignal | undefined
  /**
   * Higher goes first. Unless `queue.ageing` is false, calls one step lower still get at least every 17th ticket,
   * two steps lower every 33rd, and so on.
   * @default 0
   */
  priority?: number | undefined
  /** The tenant of the call. Tenants of one limiter take fair turns. */
  tenant?: string | undefined
  /**
   * Rejects with `WaitTimeoutError` if the call has no ticket after this time.
   * @default no bound
   */
  maxWaitMs?: Duration | undefined
  /**
   * How many refusals the call waits through. The next one is thrown unchanged. 0 waits through none.
   * @default no bound
   */
  maxRefusals?: number | undefined
  /**
   * Rejects with `CallTimeoutError` if one attempt of the call itself takes longer. Does not apply to a ticket
   * that you hold yourself.
   * @default none
   */
  timeoutMs?: Duration | undefined
  /**
   * Which failures other than refusals are retried, and how often. A ticket applies this in `refuse`.
   * @default none
   */
  retry?: RetryOptions | false | undefined
}

const RETRY = {
  attempts: 'a whole number of at least 1',
  minMs: duration,
  maxMs: duration,
  factor: 'a number of at least 1',
  jitter: 'a number from 0 to 1',
  on: callable,
  delayMs: callable,
} satisfies Record<keyof RetryOptions, OptionRule>

/** The call options that a limiter can also set for all its calls. */
export const CALL_BOUNDS = {
  maxWaitMs: durationOrZero,
  maxRefusals: 'a whole number of at least 0',
  timeoutMs: duration,
  retry: (value: unknown) => value && checkOptions(value, 'retry', RETRY, CALL_SYNONYMS),
} as const satisfies Record<string, OptionRule>

const RULES = {
  cost: checkCost,
  weight: 'a whole number of at least 0',
  id: checkId,
  request: anything,
  signal: checkSignal,
  priority: 'a finite number',
  tenant: anything,
  ...CALL_BOUNDS,
} satisfies Record<keyof CallOptions, OptionRule>

export const CALL_KEYS = Object.keys(RULES)

export const checkCall = (call: CallOptions): void => checkOptions(call, 'call', RULES, CALL_SYNONYMS, '')

function checkSignal(signal: AbortSignal): void {
  if (typeof signal?.addEventListener === 'function') return
  // People often pass the AbortController instead of its signal.
  const hint = 'signal' in Object(signal) ? ' (did you mean its .signal?)' : ''
  throw new TypeError(`signal must be an AbortSignal, got ${text(signal)}${hint}`)
}

function checkId(id: unknown): void {
  if (typeof id !== 'string') throw new TypeError(`id must be a string, got ${text(id)}`)
}

export function checkCost(cost: Partial<Cost>): void {
  if (typeof cost !== 'object' || cost === null)
    throw new TypeError(`cost must be like { requests: 1, tokens: 500 }, got ${text(cost)}`)
  for (const name in cost)
    if (cost[name] !== undefined) number(cost[name], `cost.${name}`, 'a number of at least 0')
}
