// Parses the values of flags: numbers, durations and lists. A value that cannot be parsed is an error that names
// the flag, the value and what is allowed. Nothing is guessed.

import { durationMs } from '../../lib/duration.ts'
import { didYouMean } from '../../lib/suggest.ts'
import { DAY } from '../../lib/units.ts'
import { UsageError } from '../usage.ts'

export function wrong(flag: string, value: string, allowed: string): UsageError {
  return new UsageError(`${flag} must be ${allowed}, got '${value}'`)
}

const SCALES: Record<string, number> = { '': 1, k: 1e3, M: 1e6 }

function read(text: string): number {
  const [, digits, scale] = /^(\d+(?:[_,]\d{3})*(?:\.\d+)?|\.\d+)([kM]?)$/.exec(text) ?? []
  return digits === undefined ? NaN : Number(digits.replace(/[_,]/g, '')) * SCALES[scale!]!
}

export function positive(flag: string, text: string): number {
  const value = read(text)
  if (value > 0 && value < Infinity) return value
  throw wrong(flag, text, 'a number above 0, like 500, 200k or 2M')
}

export function notNegative(flag: string, text: string): number {
  const value = read(text)
  if (value >= 0 && value < Infinity) return value
  throw wrong(flag, text, 'a number of at least 0')
}

export function whole(flag: string, text: string, least = 1, most = Infinity): number {
  const value = read(text)
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value
  const to = most === Infinity ? '' : ` and at most ${count(most)}`
  throw wrong(flag, text, `a whole number of at least ${least}${to}`)
}

/** In ms. The unit is required, because a bare number would be ambiguous on a command line. */
export function duration(flag: string, text: string, least = 0): number {
  const ms = durationMs(text)
  // A longer time is a mistake, and beyond the ms precision of a number.
  if (ms >= least && ms <= 3650 * DAY) return ms
  throw wrong(flag, text, `a duration${least > 0 ? ' above 0' : ''}, like 500ms, 10s, 5m or 2h`)
}

/** A share of 1, such as `30%`. */
export function percent(flag: string, text: string): number {
  const value = text.endsWith('%') ? read(text.slice(0, -1)) / 100 : NaN
  if (value > 0 && value < Infinity) return value
  throw wrong(flag, text, 'a percentage above 0, like 80%')
}

export function oneOf<T extends string>(flag: string, text: string, known: readonly T[]): T {
  const found = known.find((name) => name === text)
  if (found !== undefined) return found
  const hint = didYouMean(text, known)
  if (!hint) throw wrong(flag, text, `one of ${known.join(', ')}`)
  throw new UsageError(`${flag} cannot be '${text}'${hint}; known: ${known.join(', ')}`)
}

/** Parses `500,5000`. Rejects `5,000`, which was meant as one number but would give a tier of 5 and one of 0. */
export function list<T>(flag: string, text: string, readOne: (flag: string, text: string) => T): T[] {
  const one = text.replaceAll(',', '')
  if (/^\d{1,3}(,\d{3})+$/.test(text) && text.includes(',0'))
    throw new UsageError(
      `${flag} '${text}' looks like one number, and a comma separates tiers: write ${one} or ${one.replace(/000$/, 'k')}`,
    )
  return text.split(',').map((each) => readOne(flag, each.trim()))
}

export const count = (value: number) => value.toLocaleString('en', { maximumFractionDigits: 1 })
