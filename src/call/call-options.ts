// The options of one call: types, defaults and checks.

import type { Cost } from '../core/cost.ts'
import { type Duration, duration, durationOrZero } from '../lib/duration.ts'
import { CALL_SYNONYMS } from '../lib/synonyms.ts'
import { anything, callable, checkOptions, number, type OptionRule, text } from '../lib/validate.ts'
import type { Outcome, RefusalKind, Verdict } from '../responses/verdict.ts'

/**
 * Your own reading of an answer: a kind of refusal, `'transient'`, `'ok'`, or a whole verdict with a wait.
 * `undefined` leaves it to the limiter.
 */
export type Classify = (outcome: Outcome) => RefusalKind | 'transient' | 'ok' | Verdict | undefined

/** When other transient failures (5xx, connection lost, timeouts) are tried again. */
export interface RetryOptions {
  /**
   * Tries in all, the first included.
   * @default 3
   */
  attempts?: number | undefined
  /**
   * The first wait.
   * @default 500 ms
   */
  minMs?: Duration | undefined
  /**
   * The longest wait.
   * @default 8 s
   */
  maxMs?: Duration | undefined
  /**
   * Each wait is this many times the one before.
   * @default 2
   */
  factor?: number | undefined
  /**
   * Each wait is shortened by a random share up to this.
   * @default 0.25
   */
  jitter?: number | undefined
  /** The wait after this failure, 0 for none; `undefined` leaves it to the options above. `attempts` still holds. */
  delayMs?: ((failure: RetryFailure) => Duration | undefined) | undefined
  /** Which failures: default those that the limiter takes for transient. */
  on?: ((error: unknown) => boolean) | undefined
}

/** A failure that will be tried again. */
export interface RetryFailure {
  /** What the call threw, or the `Response` that it returned. */
  error: unknown
  /** How many tries have failed: 1 after the first. */
  failures: number
  /** The wait in ms that the provider asked for, if it did. */
  waitMs?: number
}

/** The options of one call. */
export interface CallOptions {
  /**
   * What the call takes of each limit.
   * @default one request, and an estimate of its tokens where tokens are limited
   */
  cost?: Partial<Cost> | undefined
  /**
   * How many places of `maxConcurrent` it takes.
   * @default 1; 0: none
   */
  weight?: number | undefined
  /** A name of yours for the call: its events carry it, `queued()` lists it, and `clear()` finds it. */
  id?: string | undefined
  /** What the call sends, such as the body of its request: tokens that `cost` does not name are estimated from it. */
  request?: unknown
  /** Gives the call up: it rejects with the signal's own reason, at once while it waits. */
  signal?: AbortSignal | undefined
  /**
   * Higher goes first. A lower one gets at least every 17th ticket for each step below, unless `queue.ageing` is false.
   * @default 0
   */
  priority?: number | undefined
  /** Tenants of one limiter get fair turns. */
  tenant?: string | undefined
  /**
   * Rejects with `WaitTimeoutError` after this long without a ticket.
   * @default waits as long as it takes
   */
  maxWaitMs?: Duration | undefined
  /**
   * Refusals that the call waits through; the next one is thrown unchanged. 0: none.
   * @default all
   */
  maxRefusals?: number | undefined
  /**
   * Rejects with `CallTimeoutError` when a try of the call itself takes longer. A ticket in your hands has no such bound.
   * @default none
   */
  timeoutMs?: Duration | undefined
  /**
   * Which failures that are no refusals are tried again, and how often. A ticket asks by `refuse`.
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

/** What a limiter may say for all its calls, too. */
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
