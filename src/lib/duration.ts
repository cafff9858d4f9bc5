// Durations in written form: `'500ms'`, `'10s'`, `'2h'`.

import { DAY, HOUR, MINUTE, SECOND } from './units.ts'
import { notNumber } from './validate.ts'

/** Milliseconds, or a number with a unit: `'500ms'`, `'10s'`, `'1m'`, `'2h'`, `'1d'`. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`

const UNITS: Record<string, number> = { ms: 1, s: SECOND, m: MINUTE, h: HOUR, d: DAY }

/** Parses a number with a unit into ms. NaN for any other text. */
export function durationMs(written: string): number {
  const [, count, unit] = /^(\d*\.?\d+)\s*(ms|s|m|h|d)$/.exec(written) ?? []
  return count === undefined ? NaN : Number(count) * UNITS[unit!]!
}

/**
 * Reads a duration option in ms.
 *
 * @throws TypeError when it is not above 0 ms. The error names the option and the value.
 */
export function duration(value: unknown, name: string): number {
  const ms = typeof value === 'string' ? durationMs(value) : value
  if (typeof ms === 'number' && ms > 0 && ms < Infinity) return ms
  throw new TypeError(`${name} must be a time above 0 (ms or like '1m'), got ${notNumber(value)}`)
}

/** Reads a duration option in ms, where 0 means none. */
export const durationOrZero = (value: unknown, name: string): number =>
  value === 0 ? 0 : duration(value, name)

/** Formats ms with at most two units: `'6 min 3 s'`, `'2 h 5 min'`, `'0.35 s'`. */
export function span(ms: number): string {
  if (ms < 9950) return `${ms < 5 ? '0' : (ms / SECOND).toFixed(2)} s`
  const seconds = Math.round(ms / SECOND)
  if (seconds < 60) return `${(ms / SECOND).toFixed(1)} s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
  const minutes = Math.round(ms / MINUTE)
  if (minutes < 1440) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
  const hours = Math.round(ms / HOUR)
  return `${Math.floor(hours / 24).toLocaleString('en')} d ${hours % 24} h`
}
