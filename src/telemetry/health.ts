// Latency limits: `llmiter/health`.
//
// An overloaded provider becomes slow before it refuses calls, and a client that keeps its full rate makes it
// slower. So when streams start late or their tokens arrive slowly, the limiter lowers its rate or rejects some
// calls immediately, until the provider has recovered. `latency-controller.ts` decides what counts as slow.

import { type Duration, type Health, type HealthReading, type LatencyKind, LimiterError } from 'llmiter'
import { durationMs } from '../lib/duration.ts'
import { choice, fields, given, notNumber } from '../lib/validate.ts'
import { Vitals } from './latency-controller.ts'

/** Options of `latencyHealth`. */
export interface LatencyHealthOptions {
  /** The longest average time to the first token of a stream: 10 ms to 10 minutes. */
  ttftMs?: Duration | undefined
  /** The longest average time between tokens: 1 ms to a minute. */
  itlMs?: Duration | undefined
  /** The longest average time of a call that is not a stream: 10 ms to an hour. */
  durationMs?: Duration | undefined
  /**
   * Time constant of the averages: 1 s to 1 hour.
   * @default '15s'
   */
  timeConstantMs?: Duration | undefined
  /**
   * `'slow'` lowers the rate; `'refuse'` rejects a share of new calls with `ProviderUnhealthyError`.
   * @default 'slow'
   */
  onUnhealthy?: 'slow' | 'refuse' | undefined
}

type ThresholdName = `${LatencyKind}Ms`
type Thresholds = Partial<Record<ThresholdName, number>>

/** The provider is slow, so a share of new calls is rejected, including this one. */
export class ProviderUnhealthyError extends LimiterError {
  /** The name of the class. */
  override name = 'ProviderUnhealthyError'
  static readonly code = 'PROVIDER_UNHEALTHY'
  /** The moving averages in ms, for each threshold that is set. */
  readonly averages: Readonly<Thresholds>
  /** The thresholds in ms. */
  readonly thresholds: Readonly<Thresholds>
  /** The share of new calls that are sent, from 0 to 1. */
  readonly share: number

  constructor(message: string, averages: Thresholds, thresholds: Thresholds, share: number) {
    super(message)
    this.averages = averages
    this.thresholds = thresholds
    this.share = share
  }
}

/** The range of each option, in ms. */
const RANGES = {
  ttftMs: [10, 600_000],
  itlMs: [1, 60_000],
  durationMs: [10, 3_600_000],
  timeConstantMs: [1000, 3_600_000],
} as const

const WORDS: Record<LatencyKind, string> = {
  ttft: 'the first token arrives after',
  itl: 'the time between tokens is',
  duration: 'calls take',
}
const KINDS = Object.keys(WORDS) as LatencyKind[]

/**
 * Creates the `health` option of a limiter. Each limiter with this option has its own averages. With `perModel`
 * there is one state per model, and an account's limiter (`parent`) has one state for all its models.
 *
 * @example
 * const gpt = new BucketRateLimiter({
 *   name: 'gpt-5-mini',
 *   requestsPerMinute: 500,
 *   health: latencyHealth({ ttftMs: 1000, itlMs: 30 }),
 * })
 * gpt.on('health', ({ state, share, ttftMs }) => console.warn(`${state}: ${ttftMs} ms, ${share} of the rate`))
 *
 * @throws TypeError when an option is unknown or outside its range.
 */
export function latencyHealth(options: LatencyHealthOptions): Health {
  const { timeConstantMs = 15_000, onUnhealthy = 'slow', ...thresholds } = checked(options)
  return {
    open(name, tell) {
      const vitals = new Vitals<LatencyKind>(byKind(thresholds), timeConstantMs)
      const look = (now: number) => {
        const { state, changed } = vitals.look(now)
        if (changed) tell(reading(state, now))
      }
      const reading = (state: HealthReading['state'], now: number): HealthReading => ({
        state,
        share: vitals.share(now),
        ...averagesOf(vitals, now),
      })
      const evenShare = new EvenShare()
      return {
        sample(of, ms, now) {
          vitals.sample(of, ms, now)
          look(now)
        },
        reading: (now) => reading(vitals.state(now), now),
        ...(onUnhealthy === 'slow'
          ? { share: (now: number) => vitals.share(now) }
          : {
              refusal(now: number) {
                look(now)
                const share = vitals.share(now)
                return evenShare.admitsNext(share)
                  ? undefined
                  : unhealthy(name, averagesOf(vitals, now), thresholds, share)
              },
            }),
      }
    },
  }
}

/** Lets a share of the calls through, spread evenly. */
class EvenShare {
  #credit = 0

  admitsNext(share: number): boolean {
    // The first call after the provider became slow still goes.
    this.#credit = share === 1 ? 1 : this.#credit + share
    if (this.#credit < 1) return false
    if (share < 1) this.#credit--
    return true
  }
}

function unhealthy(name: string, averages: Thresholds, thresholds: Thresholds, share: number) {
  const told = KINDS.flatMap((kind) => {
    const threshold = thresholds[`${kind}Ms`]
    const average = averages[`${kind}Ms`]
    return threshold === undefined
      ? []
      : [`${WORDS[kind]} ${Math.round(average ?? 0)} ms on average, the threshold is ${threshold} ms`]
  })
  const goes = `${Math.round(share * 100)} % of new calls are sent`
  return new ProviderUnhealthyError(
    `'${name}': the provider is slow: ${told.join('; ')}; ${goes}`,
    averages,
    { ...thresholds },
    share,
  )
}

function averagesOf(vitals: Vitals<LatencyKind>, now: number): Thresholds {
  return Object.fromEntries([...vitals.averages(now)].map(([kind, ms]) => [`${kind}Ms`, ms]))
}

function byKind(thresholds: Thresholds): Partial<Record<LatencyKind, number>> {
  const given = KINDS.filter((kind) => thresholds[`${kind}Ms`] !== undefined)
  return Object.fromEntries(given.map((kind) => [kind, thresholds[`${kind}Ms`]]))
}

/** Checks the options and converts durations to ms. */
function checked(options: LatencyHealthOptions) {
  fields(options, 'latencyHealth', [...Object.keys(RANGES), 'onUnhealthy'])
  const times: Partial<Record<keyof typeof RANGES, number>> = {}
  for (const [name, [least, most]] of Object.entries(RANGES)) {
    const key = name as keyof typeof RANGES
    const value: unknown = options[key]
    if (value === undefined) continue
    const ms = typeof value === 'string' ? durationMs(value) : value
    if (typeof ms !== 'number' || !(ms >= least && ms <= most)) {
      throw new TypeError(
        `${key} must be a number of ms from ${least} to ${most}, got ${notNumber(value)}${hint(value, least)}`,
      )
    }
    times[key] = ms
  }
  const { ttftMs, itlMs } = times
  const { onUnhealthy } = options
  if ((ttftMs ?? itlMs ?? times.durationMs) === undefined)
    throw new TypeError('latencyHealth needs a threshold: ttftMs, itlMs or durationMs')
  if (ttftMs !== undefined && itlMs !== undefined && itlMs > ttftMs)
    throw new TypeError(`itlMs must be at most ttftMs (${ttftMs}), got ${itlMs}: are they swapped?`)
  given(onUnhealthy, (value) => choice(value, 'onUnhealthy', ['slow', 'refuse']))
  return { ...times, onUnhealthy }
}

/** Suggests another unit: a wrong unit is the most common mistake. */
function hint(value: unknown, least: number): string {
  if (typeof value === 'string') return `: a time is a number of ms, or like '2s'`
  if (typeof value !== 'number' || !(value > 0)) return ''
  return value < least ? `: is it meant in seconds, ${value * 1000}?` : ': is it meant in µs?'
}
