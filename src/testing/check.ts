/** Decides which options make sense, and how a model names its times. An error quotes the value it got. */
import { fields, text } from '../lib/validate.ts'

export { choice, fields, text } from '../lib/validate.ts'

export const MINUTE_MS = 60_000

/** Checks an option that must be above 0, for an error that names it. */
export function positive(value: number, name: string): number {
  if (!(typeof value === 'number' && value > 0 && value < Infinity))
    throw new TypeError(`${name} must be a number above 0, got ${text(value)}`)
  return value
}

export function finite(value: number, name: string): number {
  if (!Number.isFinite(value)) throw new TypeError(`${name} must be a finite number, got ${text(value)}`)
  return value
}

/** A number that may also be drawn anew each time. */
export function drawn(value: number | (() => number), name: string): () => number {
  if (typeof value === 'function') return value
  if (!(Number.isFinite(value) && value >= 0))
    throw new TypeError(
      `${name} must be a number of at least 0, or a function that gives one, got ${text(value)}`,
    )
  return () => value
}

/** Whoever can be asked. */
export function provider(value: unknown, name: string, method: 'ask' | 'scale' = 'ask'): void {
  if (typeof (Object(value) as Record<string, unknown>)[method] !== 'function') {
    const such = method === 'ask' ? 'a provider' : 'a provider with limits that can change'
    throw new TypeError(
      `${name} must be ${such}, like new TokenBucketProvider({ requestsPerMinute: 60 }), got ${text(value)}`,
    )
  }
}

export function callableOrNone(value: unknown, name: string): void {
  if (value !== undefined && typeof value !== 'function')
    throw new TypeError(`${name} must be a function, got ${text(value)}`)
}

/** The options of a provider; all can say how it refuses. */
export function limitsAnd(options: object, name: string, known: readonly string[]): void {
  fields(options, name, [...known, 'retryAfter', 'failuresCount'])
}

export function seconds(ms: number): string {
  return `${ms / 1000} s`
}
