/** Checks options of models and formats times. Errors quote the invalid value. */
import { LIMIT_SYNONYMS } from '../lib/synonyms.ts'
import { callable, fields, notNumber, number, text } from '../lib/validate.ts'

export { choice, fields, notNumber, text } from '../lib/validate.ts'

export const MINUTE_MS = 60_000

/** Checks that an option is above 0. An error names it. */
export function positive(value: number, name: string): number {
  return number(value, name, 'a number above 0')
}

export function finite(value: number, name: string): number {
  return number(value, name, 'a finite number')
}

/** A number, or a function that gives a new number each time. */
export function drawn<Args extends unknown[]>(
  value: number | ((...args: Args) => number),
  name: string,
): (...args: Args) => number {
  if (typeof value === 'function') return value
  if (!(Number.isFinite(value) && value >= 0))
    throw new TypeError(
      `${name} must be a number of at least 0, or a function that gives one, got ${notNumber(value)}`,
    )
  return () => value
}

/** Checks for a provider, or another object with this method. */
export function provider(value: unknown, name: string, method: 'ask' | 'scale' = 'ask'): void {
  if (typeof (Object(value) as Record<string, unknown>)[method] !== 'function') {
    const such = method === 'ask' ? 'a provider' : 'a provider with limits that can change'
    throw new TypeError(
      `${name} must be ${such}, like new TokenBucketProvider({ requestsPerMinute: 60 }), got ${text(value)}`,
    )
  }
}

export function callableOrNone(value: unknown, name: string): void {
  if (value !== undefined) callable(value, name)
}

/** The options of a provider, plus those of its refusals. */
export function limitsAnd(options: object, name: string, known: readonly string[]): void {
  fields(options, name, [...known, 'retryAfter', 'failuresCount'], LIMIT_SYNONYMS)
}

export function seconds(ms: number): string {
  return `${ms / 1000} s`
}
