// The options of one call: types, defaults and checks.

import type { Cost } from '../core/cost.ts'
import { type Duration, duration } from '../lib/duration.ts'
import { CALL_SYNONYMS } from '../lib/synonyms.ts'
import { callable, fields, given, number, text } from '../lib/validate.ts'
import type { Outcome, RefusalKind, Verdict } from '../responses/verdict.ts'

/**
 * Your own reading of an answer: a kind of refusal, `'transient'`, `'ok'`, or a whole verdict with a wait.
 * `undefined` leaves it to the limiter.
 */
export type Classify = (outcome: Outcome) => RefusalKind | 'transient' | 'ok' | Verdict | undefined

/** When other transient failures (5xx, connection lost, timeouts) are tried again. */
export interface RetryOptions {
  /** Tries in all, the first included. Default 3. */
  attempts?: number | undefined
  /** The first wait. Default 500 ms. */
  minMs?: Duration | undefined
  /** The longest wait. Default 8 s. */
  maxMs?: Duration | undefined
  /** Each wait is this many times the one before. Default 2. */
  factor?: number | undefined
  /** Each wait is shortened by a random share up to this. Default 0.25. */
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
  /** What it takes of each limit. Default one request; tokens, where they are limited, are estimated. */
  cost?: Partial<Cost> | undefined
  /** How many places of `maxConcurrent` it takes. Default 1; 0: none. */
  weight?: number | undefined
  /** A name of yours for the call: its events carry it, `queued()` lists it, and `clear()` finds it. */
  id?: string | undefined
  /** What the call sends, such as the body of its request: tokens that `cost` does not name are estimated from it. */
  request?: unknown
  /** Gives the call up: it rejects with the signal's own reason, at once while it waits. */
  signal?: AbortSignal | undefined
  /** Higher goes first. Default 0. A lower one gets at least every 17th ticket for each step below, unless `queue.ageing` is false. */
  priority?: number | undefined
  /** Tenants of one limiter get fair turns. */
  tenant?: string | undefined
  /** Rejects with `WaitTimeoutError` after this long without a ticket. Default: waits as long as it takes. */
  maxWaitMs?: Duration | undefined
  /** Refusals that the call waits through; the next one is thrown unchanged. 0: none. Default: all. */
  maxRefusals?: number | undefined
  /** Rejects with `CallTimeoutError` when a try of the call itself takes longer. Default: none. A ticket in your hands has no such bound. */
  timeoutMs?: Duration | undefined
  /** Which failures that are no refusals are tried again, and how often. A ticket asks by `refuse`. Default: none. */
  retry?: RetryOptions | false | undefined
}

// A list that the compiler keeps complete.
export const CALL_KEYS = Object.keys({
  cost: 1,
  weight: 1,
  id: 1,
  request: 1,
  signal: 1,
  priority: 1,
  tenant: 1,
  maxWaitMs: 1,
  maxRefusals: 1,
  timeoutMs: 1,
  retry: 1,
} satisfies Record<keyof CallOptions, 1>)

// Runs for every call with options of its own, so without closures.
export function checkCall(call: CallOptions): void {
  fields(call, 'call', CALL_KEYS, CALL_SYNONYMS)
  const { priority, signal, cost, weight, id } = call
  if (priority !== undefined && !Number.isFinite(priority)) {
    number(priority, 'priority', 'a finite number')
  }
  if (signal !== undefined && typeof signal?.addEventListener !== 'function') {
    // An AbortController is not what it controls.
    const hint = 'signal' in Object(signal) ? ' (did you mean its .signal?)' : ''
    throw new TypeError(`signal must be an AbortSignal, got ${text(signal)}${hint}`)
  }
  if (weight !== undefined) number(weight, 'weight', 'a whole number of at least 0')
  if (id !== undefined && typeof id !== 'string') throw new TypeError(`id must be a string, got ${text(id)}`)
  if (cost !== undefined) checkCost(cost)
  checkCallValues(call)
}

export function checkCost(cost: Partial<Cost>): void {
  if (typeof cost !== 'object' || cost === null)
    throw new TypeError(`cost must be like { requests: 1, tokens: 500 }, got ${text(cost)}`)
  for (const name in cost) {
    const amount = cost[name]!
    if (amount !== undefined && !(typeof amount === 'number' && amount >= 0 && amount < Infinity))
      number(amount, `cost.${name}`, 'a number of at least 0')
  }
}

/** Checks what holds for a call, whether a limiter or a call says it. */
export function checkCallValues({ maxWaitMs, maxRefusals, timeoutMs, retry }: CallOptions): void {
  if (maxWaitMs !== undefined && maxWaitMs !== 0) duration(maxWaitMs, 'maxWaitMs')
  given(maxRefusals, (value) => number(value, 'maxRefusals', 'a whole number of at least 0'))
  if (timeoutMs !== undefined) duration(timeoutMs, 'timeoutMs')
  if (!retry) return
  fields(retry, 'retry', ['attempts', 'minMs', 'maxMs', 'factor', 'jitter', 'on', 'delayMs'], CALL_SYNONYMS)
  given(retry.attempts, (value) => number(value, 'retry.attempts', 'a whole number of at least 1'))
  for (const key of ['minMs', 'maxMs'] as const) given(retry[key], (value) => duration(value, `retry.${key}`))
  given(retry.factor, (value) => number(value, 'retry.factor', 'a number of at least 1'))
  given(retry.jitter, (value) => number(value, 'retry.jitter', 'a number from 0 to 1'))
  for (const key of ['on', 'delayMs'] as const) given(retry[key], (value) => callable(value, `retry.${key}`))
}
