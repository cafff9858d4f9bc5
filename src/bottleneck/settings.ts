// Converts Bottleneck's options to options of a limiter.

import type { LimiterOptions, LimitOptions, RefillRule } from 'llmiter'
import { notNumber, text } from '../lib/validate.ts'
import { BottleneckError } from './errors.ts'
import type { BottleneckOptions } from './types.ts'

/** What happens when the queue is full. */
export const strategy = { LEAK: 1, OVERFLOW: 2, OVERFLOW_PRIORITY: 4, BLOCK: 3 } as const

/** An option, or undefined instead of null. */
type Settings = { readonly [K in keyof BottleneckOptions]: NonNullable<BottleneckOptions[K]> | undefined }

interface NumberRule {
  readonly least: number
  /** `Infinity` means "not given". */
  readonly endless?: true
  readonly hint?: string
}

const ANY: NumberRule = { least: -Infinity }
const ANY_OR_NONE: NumberRule = { least: -Infinity, endless: true }
const INTERVAL: NumberRule = { least: 1, endless: true }

const NUMBERS: Readonly<Record<string, NumberRule>> = {
  maxConcurrent: { least: 1, endless: true, hint: ': to hold all jobs back, set reservoir to 0' },
  minTime: ANY,
  highWater: ANY_OR_NONE,
  penalty: { least: 0, endless: true },
  reservoir: ANY_OR_NONE,
  reservoirRefreshInterval: INTERVAL,
  reservoirRefreshAmount: { least: 0 },
  reservoirIncreaseInterval: INTERVAL,
  reservoirIncreaseAmount: ANY,
  reservoirIncreaseMaximum: ANY_OR_NONE,
  timeout: { least: 0, endless: true },
  weight: { least: 0 },
  expiration: ANY_OR_NONE,
  maxSize: ANY_OR_NONE,
  maxTime: ANY_OR_NONE,
}

/**
 * Reads a number. Strings are accepted, because Bottleneck also calculates with strings from `process.env`.
 *
 * @throws BottleneckError when it is not a number, or out of range.
 */
export function numberOf(name: string, value: unknown): number | undefined {
  if (value === undefined || value === null) return undefined
  const { least, endless, hint = '' } = NUMBERS[name]!
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value
  if (number === Infinity && endless) return undefined
  if (typeof number === 'number' && Number.isFinite(number) && number >= least) return number
  const range = least === -Infinity ? 'a finite number' : `a number of at least ${least}`
  throw new BottleneckError(`${name} must be ${range}, got ${notNumber(value)}${hint}`)
}

function checkStrategy(value: unknown): number {
  const known = Object.entries(strategy)
  const found = known.find(([, number]) => number === Number(value))
  if (found) return found[1]
  const words = known.map(([name, number]) => `${name} (${number})`).join(', ')
  const meant = known.find(([name]) => name === String(value).toUpperCase())
  const hint = meant ? `; did you mean Bottleneck.strategy.${meant[0]}?` : ''
  throw new BottleneckError(
    `strategy must be one of Bottleneck.strategy: ${words}; got ${text(value)}${hint}`,
  )
}

function checkPromise(value: unknown): unknown {
  if (typeof value === 'function') return value
  throw new BottleneckError(`Promise must be a class of promises, got ${text(value)}`)
}

function check(name: string, value: unknown): unknown {
  if (name === 'strategy') return checkStrategy(value)
  if (name === 'Promise') return checkPromise(value)
  return Object.hasOwn(NUMBERS, name) ? numberOf(name, value) : value
}

/**
 * The options that are not null.
 *
 * @throws BottleneckError when one is wrong.
 */
export function given(options: BottleneckOptions): Settings {
  const some = Object.entries(options).filter(([, value]) => value !== null && value !== undefined)
  return Object.fromEntries(some.map(([name, value]) => [name, check(name, value)])) as Settings
}

/** The maximum number of waiting jobs. A negative number means no bound, as in Bottleneck. */
export const boundOf = ({ highWater = -1 }: Settings): number =>
  highWater < 0 ? Infinity : Math.floor(highWater)

/** Options of the limiter that grants slots: how many jobs run at once, how many may start, and which is next. */
export function placeOptions(settings: Settings, shared: boolean): Partial<LimiterOptions> {
  const { maxConcurrent } = settings
  const max = boundOf(settings)
  const limits = shared ? windowOf(settings) : reservoirOf(settings)
  const evicts = [strategy.LEAK, strategy.OVERFLOW_PRIORITY].includes((settings.strategy ?? 1) as 1)
  return {
    maxConcurrent: maxConcurrent && Math.floor(maxConcurrent),
    limits,
    learn: false, // the other limiter handles refusals
    queue: {
      ageing: false,
      ...(evicts && max > 0 && max < Infinity && { max, onFull: 'evict-oldest' as const }),
    },
  }
}

function reservoirOf(settings: Settings): LimitOptions[] {
  const { reservoir: amount } = settings
  if (amount === undefined) return []
  const every = settings.reservoirRefreshInterval
  const to = settings.reservoirRefreshAmount
  const rules: RefillRule[] = every !== undefined && to !== undefined ? [{ every, to }] : []
  const by = settings.reservoirIncreaseAmount
  const each = settings.reservoirIncreaseInterval
  if (each !== undefined && by !== undefined && by > 0)
    rules.push({ every: each, by, max: settings.reservoirIncreaseMaximum })
  return [{ of: 'requests', amount: Math.max(0, amount), refill: rules.length > 0 ? rules : 'manual' }]
}

/**
 * Processes can share windows but not reservoirs. A reservoir that is refreshed by the clock is a window of that
 * length.
 */
function windowOf(settings: Settings): LimitOptions[] {
  const { reservoir, reservoirRefreshAmount: amount, reservoirRefreshInterval: per } = settings
  if (reservoir === undefined) return []
  if (amount === undefined || per === undefined)
    throw new BottleneckError(
      'processes cannot share a reservoir, unless it has reservoirRefreshAmount and reservoirRefreshInterval',
    )
  return [{ of: 'requests', amount, per, pace: false }]
}

/** Options of the limiter that spaces the starts of jobs and waits after refusals. */
export function startOptions({ minTime }: Settings): Partial<LimiterOptions> {
  // Without `minTime` all jobs with slots start immediately, as in Bottleneck. A limiter that learns an unknown
  // limit would start with one job.
  if (minTime === undefined || minTime <= 0) return { limits: [], learn: false }
  return { limits: [{ of: 'requests', amount: 1, per: minTime, pace: false, jitterMs: 0 }], learn: true }
}

/** How long `BLOCK` rejects jobs, in ms. */
export const penaltyOf = ({ penalty, minTime }: Settings): number => penalty ?? (15 * (minTime ?? 0) || 5000)
