// The log of a limiter: its activity per second as JSON lines, for `llmiter graph` and `llmiter watch`.
//
// A log never delays a call. Its first error (a full disk, a folder that cannot be written) is reported to the
// limiter's `error` event, or as a process warning if there is no listener. Seconds that cannot be written are
// lost.

import type { BucketRateLimiter, Clock, Duration, LimitedService } from 'llmiter'
import { duration } from '../lib/duration.ts'
import { fields, number, text } from '../lib/validate.ts'
import { LogFile } from './rolling-file.ts'
import { Pulse } from './log-ticker.ts'

export {
  parseRecord,
  type LimitRecord,
  type LogRecord,
  type TokenRecord,
  type UsageRecord,
  type WhyRecord,
} from './log-record.ts'

/** Options of `logTo`. */
export interface LogOptions {
  /**
   * The folder for the files. It is created if it does not exist.
   * @default 'llmiter-logs'
   */
  dir?: string | undefined
  /**
   * The start of the file names.
   * @default the name of the limiter or of the service
   */
  name?: string | undefined
  /**
   * The size in bytes at which a new file starts.
   * @default 16_777_216
   */
  maxBytes?: number | undefined
  /**
   * The age at which a new file starts.
   * @default '1d'
   */
  maxAgeMs?: Duration | undefined
  /**
   * How many files of one run are kept. Files of earlier runs are kept for `keep × maxAgeMs`.
   * @default 14
   */
  keep?: number | undefined
}

/** A log that is being written. */
export interface LimiterLog {
  /** The current file. It is created when the first line is written. */
  readonly file: string
  /** Writes what happened in the current second so far. `drain()`, `stop()` and the end of the process do this too. */
  flush(): void
  /** Flushes and ends the log. */
  stop(): void
  [Symbol.dispose](): void
}

const DEFAULTS = { dir: 'llmiter-logs', maxBytes: 16 * 2 ** 20, maxAgeMs: 86_400_000, keep: 14 }

/**
 * Logs a limiter, or all limiters of a service, including those created later. Writes one line for each second
 * with activity, by the limiter's clock. `npx llmiter graph` draws the newest log.
 *
 * @example
 * const gpt = new BucketRateLimiter({ name: 'gpt-5', requestsPerMinute: 500 })
 * logTo(gpt)
 * gpt.on('error', ({ error, where }) => console.warn(where, error))
 *
 * @throws TypeError when an option is unknown or out of range.
 */
export function logTo(limiter: BucketRateLimiter | LimitedService, options: LogOptions = {}): LimiterLog {
  const service = serviceOf(limiter)
  const file = new LogFile({ ...DEFAULTS, name: limiter.name, ...checked(options) }, startOf(limiter))
  const pulses = new Map<Clock, Pulse>()
  const offs: (() => void)[] = []
  let told = false

  const watch = (limiter: BucketRateLimiter) => {
    const { clock } = limiter
    const failed = (error: unknown) => {
      if (told) return
      told = true
      if (!limiter.report(error, 'log'))
        process.emitWarning(`llmiter: the log ${file.path} cannot be written: ${error}`)
    }
    const pulse = pulses.get(clock) ?? new Pulse(clock, (lines, t) => file.append(lines, t), failed)
    pulses.set(clock, pulse)
    pulse.add(limiter)
    const flush = () => pulse.flush()
    offs.push(limiter.on('drain', flush), limiter.on('stop', flush))
  }
  const stop = () => {
    for (const off of offs.splice(0)) off()
    for (const pulse of pulses.values()) pulse.end()
    pulses.clear()
  }
  offs.push(service.onLimiter(watch))
  return {
    get file() {
      return file.path
    },
    flush() {
      for (const pulse of pulses.values()) pulse.flush()
    },
    stop,
    [Symbol.dispose]: stop,
  }
}

/** The start time by the limiter's clock. If the clock fails here, the first second reports the error. */
function startOf(limiter: BucketRateLimiter | LimitedService): number {
  try {
    const one = 'clock' in limiter ? limiter : limiter.limiters()[0]
    const wall = one?.clock.wall()
    if (!Number.isNaN(new Date(wall ?? NaN).getTime())) return wall!
  } catch {
    // See the comment above.
  }
  return Date.now()
}

/** Treats a limiter as a service with one limiter. */
function serviceOf(limiter: BucketRateLimiter | LimitedService): Pick<LimitedService, 'onLimiter'> {
  if (typeof (limiter as Partial<LimitedService> | undefined)?.onLimiter === 'function')
    return limiter as LimitedService
  if (typeof (limiter as Partial<BucketRateLimiter> | undefined)?.mark !== 'function') {
    throw new TypeError(
      `logTo takes a BucketRateLimiter, or a service made by perModel or shared; got ${text(limiter)}`,
    )
  }
  return {
    onLimiter(listener) {
      listener(limiter as BucketRateLimiter)
      return () => {}
    },
  }
}

/** Checks the options and converts durations to ms. */
function checked(options: LogOptions) {
  fields(options, 'logTo', [...Object.keys(DEFAULTS), 'name'], { dir: 'folder directory path file' })
  const given = Object.entries(options)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => [key, key === 'maxAgeMs' ? duration(value, key) : value] as const)
  for (const [key, value] of given) {
    if (key === 'maxAgeMs') continue
    if (key === 'dir' || key === 'name') {
      if (typeof value !== 'string' || value === '')
        throw new TypeError(`${key} must be a non-empty string, got ${text(value)}`)
    } else number(value, key, 'a whole number of at least 1')
  }
  return Object.fromEntries(given) as Partial<typeof DEFAULTS> & { name?: string }
}
