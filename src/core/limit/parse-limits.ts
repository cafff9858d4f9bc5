// What the user configured, checked and made exact.
//
// Everything after this file works with whole windows: `amount` units in any `windowMs`. A rate of half a
// request a minute becomes one in two minutes, so that the hard cap of the window can ever be met, and the
// rate stays what was asked for. Whether a limit is paced (a rate: spread over the window) or counted (a
// quota: spend it when you like) is decided here too, since 250 a day must not become one every six minutes.

import { DAY, HOUR } from '../../lib/units.ts'
import { type Duration, duration } from '../../lib/duration.ts'
import { meant } from '../../lib/suggest.ts'
import { DIMENSION_SYNONYMS, LIMIT_SYNONYMS } from '../../lib/synonyms.ts'
import { choice, fields, number, text } from '../../lib/validate.ts'

/** A day by the calendar of a time zone (IANA name, default `'UTC'`): counts start again at its midnight. */
export interface CalendarDay {
  /** The only calendar period of a limiter: a day. */
  calendar: 'day'
  /**
   * An IANA time zone, such as `'America/Los_Angeles'`.
   * @default 'UTC'
   */
  timeZone?: string | undefined
}

/** One limit in its general form. */
export interface LimitOptions {
  /** What is counted: `'requests'`, `'tokens'`, `'inputTokens'`, `'outputTokens'` or a name of yours. */
  of: string
  /** How much may be used in `per`. Fractions are exact: `0.5` a minute is one in two minutes. */
  amount: number
  /** The window: ms, `'1m'`, or a calendar day. Required, unless there is a `refill`. */
  per?: Duration | CalendarDay | undefined
  /**
   * In place of `per`: `amount` is what is there at the start, and only a refill adds to it. `'manual'`: your
   * `limiter.refill(n)`. A rule, or several, refills by the clock, and `limiter.refill(n)` still adds.
   */
  refill?: 'manual' | RefillRule | readonly RefillRule[] | undefined
  /** The shorter window in which the provider enforces its rate: 600 a minute may be 10 a second. */
  window?: Duration | undefined
  /** How much may go at once after a quiet spell. Default `clamp(amount / 2, 1, 5)`; a fifth for tokens. */
  burst?: number | undefined
  /**
   * How far apart in time two calls may drift on their way, in ms: windows are longer by this. 0 spaces calls exactly as
   * `per` says, and a provider may then count one more than `amount` in a window of its own.
   * @default 50
   */
  jitterMs?: number | undefined
  /** Spread over the window. Default: true below an hour, false (a quota) from an hour on and by calendar. */
  pace?: boolean | undefined
  /** `'usage'` (default): what was not used comes back. `'reserve'`: charged at the start, nothing comes back. */
  settle?: 'usage' | 'reserve' | undefined
}

/** A refill by the clock: sets what is left, or adds to it. The first one is due `every` after the limiter was made. */
export interface RefillRule {
  /** The time from one refill to the next. */
  every: Duration
  /** What is left is this much then. */
  to?: number | undefined
  /** The amount that is added then. */
  by?: number | undefined
  /** `by` adds no more than makes this much. Default: no bound. */
  max?: number | undefined
}

/** A rule made exact: it has `to`, or `by`. */
export interface Refill {
  readonly everyMs: number
  readonly to?: number | undefined
  readonly by?: number | undefined
  readonly max: number
}

/** The short forms of the limits that everyone has, and the general form. */
export interface LimitsOptions {
  /** Calls in any second. */
  requestsPerSecond?: number | undefined
  /** Calls in any minute. Fractions are exact. */
  requestsPerMinute?: number | undefined
  /** Calls in any hour: a quota, counted and not paced. With `limits` it can be paced. */
  requestsPerHour?: number | undefined
  /** Tokens of input and output together, in any minute. */
  tokensPerMinute?: number | undefined
  /** Input tokens a minute, over any 60 seconds. */
  inputTokensPerMinute?: number | undefined
  /** Output tokens a minute, over any 60 seconds. */
  outputTokensPerMinute?: number | undefined
  /** Calls in any 24 hours: a quota, counted and not paced. For a calendar day use `limits`. */
  requestsPerDay?: number | undefined
  /** Tokens in any 24 hours: counted, not spread. */
  tokensPerDay?: number | undefined
  /** Any other limit, in its general form. */
  limits?: readonly LimitOptions[] | undefined
  /** How many requests may go at once after a quiet spell: the `burst` of the request limits. */
  burst?: number | undefined
}

/** A limit made exact: at most `amount` in any `windowMs`, or in a day by the calendar of `timeZone`. */
export interface Limit {
  readonly of: string
  readonly amount: number
  readonly windowMs: number
  readonly burst: number
  readonly paced: boolean
  readonly settle: 'usage' | 'reserve'
  readonly timeZone?: string
  /** The spread of arrivals, where it is not the usual one. */
  readonly jitterMs?: number
  /** No window: what is left is refilled by these rules, and by hand. */
  readonly refill?: readonly Refill[]
  /** Not configured: the search for a limit begins here. It is never shown to users. */
  readonly assumed?: true
  /** The limit as it was configured, for display. */
  readonly said: { readonly amount: number; readonly perMs: number }
}

const SHORT = {
  requestsPerMinute: ['requests', '1m'],
  tokensPerMinute: ['tokens', '1m'],
  inputTokensPerMinute: ['inputTokens', '1m'],
  outputTokensPerMinute: ['outputTokens', '1m'],
  requestsPerDay: ['requests', '1d'],
  tokensPerDay: ['tokens', '1d'],
  requestsPerSecond: ['requests', '1s'],
  requestsPerHour: ['requests', '1h'],
} as const

/** The built-in dimensions of calls. */
export const DIMENSIONS: readonly string[] = ['requests', 'tokens', 'inputTokens', 'outputTokens']

/** Where no limit is known (`limits: []`), and a call was refused: one call a second, after three at once, and that doubles. */
export const ASSUMED: Limit = {
  of: 'requests',
  amount: 60,
  windowMs: 60_000,
  burst: 3,
  paced: true,
  settle: 'reserve',
  assumed: true,
  said: { amount: 60, perMs: 60_000 },
}

export const LIMITS_KEYS = [...Object.keys(SHORT), 'limits', 'burst']

export const isTokens = (of: string) => /token/i.test(of)

/** Makes every limit of these options exact. Throws a `TypeError` that names what is wrong. */
export function parseLimits(options: LimitsOptions): Limit[] {
  const { limits, burst } = options
  if (burst !== undefined) number(burst, 'burst', 'a number of at least 1')
  if (limits !== undefined && !Array.isArray(limits))
    throw new TypeError(`limits must be an array, got ${text(limits)}`)
  const short = Object.entries(SHORT).flatMap(([name, [of, per]]) => {
    const amount = options[name as keyof typeof SHORT]
    return amount === undefined ? [] : [parse({ of, amount, per }, name, burst)]
  })
  return [...short, ...(limits ?? []).map((limit, i) => parse(limit, `limits[${i}]`, burst))]
}

const KEYS = ['of', 'amount', 'per', 'window', 'burst', 'pace', 'settle', 'jitterMs', 'refill']

/** Throws a `TypeError` for an option that does not exist, or a dimension that cannot be meant. */
function checkNames(options: LimitOptions, name: string): void {
  fields(options, name, KEYS, LIMIT_SYNONYMS)
  const { of, settle } = options
  if (typeof of !== 'string' || !of) throw new TypeError(`${name}.of must be a name, got ${text(of)}`)
  // A custom name is fine, but a misspelled built-in name would limit nothing.
  const near = DIMENSIONS.includes(of) ? undefined : meant(of, DIMENSIONS, DIMENSION_SYNONYMS, 1)
  if (near) {
    throw new TypeError(
      `${name}.of cannot be ${text(of)} (did you mean '${near}'?); known: ${DIMENSIONS.join(', ')}, or a name of your own`,
    )
  }
  if (settle !== undefined) choice(settle, `${name}.settle`, ['usage', 'reserve'])
}

function parse(options: LimitOptions, name: string, burst?: number): Limit {
  const short = name in SHORT
  checkNames(options, name)
  const { of, per, settle = 'usage', refill, jitterMs } = options
  if (refill !== undefined) return reservoir(options, parseRefill(refill, `${name}.refill`), name)
  const amount = number(options.amount, short ? name : `${name}.amount`, 'a number above 0')
  if (jitterMs !== undefined) number(jitterMs, `${name}.jitterMs`, 'a number of at least 0')
  const timeZone = calendar(per, name)
  const perMs = timeZone ? DAY : duration(per, `${name}.per`)
  const enforced = options.window === undefined ? perMs : duration(options.window, `${name}.window`)
  if (enforced > perMs)
    throw new TypeError(`${name}.window must not be longer than per, got ${text(options.window)}`)
  const inWindow = (amount * enforced) / perMs
  const paced = options.pace ?? (!timeZone && perMs < HOUR)
  // Money and the like may cost a fraction; requests never do, nor what is paced by the piece.
  const whole = of === 'requests' || (paced && inWindow >= 1) ? Math.ceil(inWindow - 1e-9) : inWindow
  const wanted = options.burst ?? (of === 'requests' ? burst : undefined)
  if (options.burst !== undefined) number(options.burst, `${name}.burst`, 'a number of at least 1')
  if (options.pace !== undefined) choice(options.pace, `${name}.pace`, [true, false])
  return {
    of,
    amount: whole,
    windowMs: (enforced * whole) / inWindow,
    burst: Math.min(
      whole,
      wanted ?? Math.max(Math.min(1, whole), isTokens(of) ? whole / 5 : Math.min(5, whole / 2)),
    ),
    paced,
    settle,
    ...(timeZone && { timeZone }),
    ...(jitterMs !== undefined && { jitterMs }),
    said: { amount, perMs },
  }
}

/** A limit without a window. */
function reservoir(options: LimitOptions, refill: readonly Refill[], name: string): Limit {
  for (const key of ['per', 'window', 'burst', 'pace', 'jitterMs'] as const) {
    if (options[key] !== undefined)
      throw new TypeError(`${name} has a refill, so ${key} means nothing there, got ${text(options[key])}`)
  }
  const { of, settle = 'usage' } = options
  const amount = number(options.amount, `${name}.amount`, 'a number of at least 0')
  const said = { amount, perMs: Infinity }
  return { of, amount, windowMs: Infinity, burst: 1, paced: false, settle, refill, said }
}

function parseRefill(refill: unknown, name: string): Refill[] {
  if (typeof refill !== 'object' || refill === null) {
    choice(refill, name, ['manual'])
    return []
  }
  return (Array.isArray(refill) ? (refill as RefillRule[]) : [refill as RefillRule]).map((rule) => {
    fields(rule, name, ['every', 'to', 'by', 'max'])
    const { every, to, by, max } = rule
    if ((to === undefined) === (by === undefined))
      throw new TypeError(`${name} must have either to or by, got ${text(rule)}`)
    if (max !== undefined && by === undefined) throw new TypeError(`${name}.max goes with by, not with to`)
    if (to !== undefined) number(to, `${name}.to`, 'a number of at least 0')
    if (by !== undefined) number(by, `${name}.by`, 'a number above 0')
    if (max !== undefined) number(max, `${name}.max`, 'a number of at least 0')
    return { everyMs: duration(every, `${name}.every`), to, by, max: max ?? Infinity }
  })
}

function calendar(per: unknown, name: string): string | undefined {
  if (typeof per !== 'object' || per === null) return undefined
  fields(per, `${name}.per`, ['calendar', 'timeZone'])
  const { calendar, timeZone = 'UTC' } = per as CalendarDay
  choice(calendar, `${name}.per.calendar`, ['day'])
  try {
    new Intl.DateTimeFormat('en', { timeZone })
  } catch {
    throw new TypeError(`${name}.per.timeZone must be an IANA time zone, got ${text(timeZone)}`)
  }
  return timeZone
}
