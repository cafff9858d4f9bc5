// Times as people write them: `'500ms'`, `'10s'`, `'2h'`.

import { DAY, HOUR, MINUTE, SECOND } from './units.ts'
import { notNumber } from './validate.ts'

/** Milliseconds, or a number with a unit: `'500ms'`, `'10s'`, `'1m'`, `'2h'`, `'1d'`. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`

const UNITS: Record<string, number> = { ms: 1, s: SECOND, m: MINUTE, h: HOUR, d: DAY }

/** Reads a number and its unit. NaN for any other text. */
export function durationMs(written: string): number {
  const [, count, unit] = /^(\d*\.?\d+)\s*(ms|s|m|h|d)$/.exec(written) ?? []
  return count === undefined ? NaN : Number(count) * UNITS[unit!]!
}

/**
 * Reads an option that is a duration.
 *
 * @throws TypeError when it is not more than 0 ms; the error names the option and the value.
 */
export function duration(value: unknown, name: string): number {
  const ms = typeof value === 'string' ? durationMs(value) : value
  if (typeof ms === 'number' && ms > 0 && ms < Infinity) return ms
  throw new TypeError(`${name} must be a time above 0 (ms or like '1m'), got ${notNumber(value)}`)
}
