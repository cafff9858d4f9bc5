// Parses limits: a number of requests in any window of a length.

import type { Duration, GuardLimit } from 'llmiter'
import { durationMs } from '../lib/duration.ts'
import { LIMIT_SYNONYMS } from '../lib/synonyms.ts'
import { fields, notNumber, text } from '../lib/validate.ts'

/** `'30 per 60s'`, `'15/minute'`, `'1000 per day'`, or the same in parts. */
export type GuardLimitOption =
  | string
  | {
      /** The number of requests, a whole number from 1 to 100,000. The time of each one is stored. */
      amount: number
      per: Duration
      /**
       * The name in the headers.
       * @default the limit itself, such as `30 per 60s`
       */
      name?: string
    }

export interface NamedLimit extends GuardLimit {
  readonly name: string
}

const MOST = 100_000
const FORMS = `like '30 per 60s', '15/minute' or { amount: 30, per: '60s' }`
const TEXT = /^\s*([^\s/]+)\s*(?:\/|\sper\s)\s*(.+?)\s*$/is

/** A unit as a word. Its first letter is the unit. */
const WORD = /(?:sec(?:ond)?|min(?:ute)?|h(?:ou)?r|day)s?$/

/** Parses all limits of a guard. Throws a `TypeError` that names what is wrong. */
export function parseLimits(option: GuardLimitOption | readonly GuardLimitOption[]): NamedLimit[] {
  const many = Array.isArray(option)
  const options = (many ? option : [option]) as readonly GuardLimitOption[]
  if (options.length === 0) throw new TypeError(`limit must be one or more limits ${FORMS}, got []`)
  const limits = options.map((each, i) => parse(each, many ? `limit[${i}]` : 'limit'))
  const twice = limits.find((limit, i) => limits.slice(0, i).some((other) => same(limit, other)))
  if (twice)
    throw new TypeError(`limit has ${text(twice.name)} twice: each needs its own name, amount and time`)
  return limits
}

/** Whether two limits collide: by name in the headers, or by amount and window in a store. */
const same = (a: NamedLimit, b: NamedLimit) =>
  a.name === b.name || (a.amount === b.amount && a.windowMs === b.windowMs)

function parse(option: GuardLimitOption, name: string): NamedLimit {
  if (typeof option === 'string') {
    const [, amount, per] = TEXT.exec(option) ?? []
    if (amount === undefined || per === undefined)
      throw new TypeError(`${name} must be ${FORMS}, got ${text(option)}`)
    const parsed = limitOf(/^\d+$/.test(amount) ? Number(amount) : amount, per, name, text(option))
    return { ...parsed, name: `${parsed.amount} per ${per.toLowerCase().replace(/\s+/g, ' ')}` }
  }
  if (typeof option !== 'object' || option === null)
    throw new TypeError(`${name} must be ${FORMS}, got ${text(option)}`)
  fields(option, name, ['amount', 'per', 'name'], LIMIT_SYNONYMS)
  const { amount, per } = option
  const parsed = limitOf(amount, per, name)
  const called = option.name ?? `${amount} per ${typeof per === 'number' ? `${per}ms` : per}`
  // The name is a string of RFC 9651 in the headers, which allows only these characters.
  if (typeof called !== 'string' || !/^[\x20-\x7e]+$/.test(called))
    throw new TypeError(`${name}.name must be printable ASCII, got ${text(called)}`)
  return { ...parsed, name: called }
}

function limitOf(amount: unknown, per: unknown, name: string, said?: string): GuardLimit {
  if (typeof amount !== 'number' || !Number.isInteger(amount) || amount < 1 || amount > MOST) {
    throw new TypeError(
      `${said ? `the amount of ${name}` : `${name}.amount`} must be a whole number from 1 to ${MOST}${said ? `, ${FORMS}` : ''}, got ${said ?? notNumber(amount)}`,
    )
  }
  const windowMs = milliseconds(per)
  if (!(windowMs >= 1 && windowMs < Infinity)) {
    throw new TypeError(
      `${said ? `the time of ${name}` : `${name}.per`} must be at least 1 ms, ${said ? FORMS : `as ms or like '60s', '1m', 'day'`}, got ${said ?? notNumber(per)}`,
    )
  }
  return { amount, windowMs }
}

/** Parses a duration in ms. `'minute'` is one minute. NaN for anything that is not a duration. */
export function milliseconds(per: unknown): number {
  if (typeof per === 'number') return per
  if (typeof per !== 'string') return NaN
  const written = per.toLowerCase().replace(WORD, (word) => word.charAt(0))
  return durationMs(/^[a-z]/.test(written) ? `1${written}` : written)
}
