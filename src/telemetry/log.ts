// The log of a limiter: what happened in it second by second, as JSON lines, for `llmiter graph` and `llmiter watch`.
//
// It never stands in the way of a call. What goes wrong with it (a full disk, a folder that cannot be written) is
// told once, to the limiter's `error` event, or as a warning of the process where nobody listens; the seconds that
// could not be written are lost.

import type { BucketRateLimiter, Clock, LimitedService } from 'llmiter'
import { fields, text } from '../lib/validate.ts'
import { LogFile } from './rolling-file.ts'
import { Pulse } from './log-ticker.ts'

export { parseRecord, type LogRecord, type TokenRecord } from './log-record.ts'

export interface LogOptions {
  /** The folder, made when it is missing. Default `'llmiter-logs'`. */
  dir?: string
  /** What the files are called. Default: the name of the limiter or of the service. */
  name?: string
  /** The size at which a file is followed by the next, in bytes. Default 16 MB. */
  maxBytes?: number
  /** The age at which a file is followed by the next, in ms. Default a day. */
  maxAgeMs?: number
  /** How many files of a run stay. Earlier runs stay so many times `maxAgeMs`. Default 14. */
  keep?: number
}

export interface LimiterLog {
  /** The file that is written now, or will be with the first line. */
  readonly file: string
  /** Writes the running second so far. It happens by itself at the end of `drain()`, `stop()` and the process. */
  flush(): void
  /** Flushes, and writes no more. */
  stop(): void
  [Symbol.dispose](): void
}

const DEFAULTS = { dir: 'llmiter-logs', maxBytes: 16 * 2 ** 20, maxAgeMs: 86_400_000, keep: 14 }

/**
 * Logs a limiter, or all limiters of a service, those made later too: one line for each second in which something
 * happened, by the limiter's own clock. `npx llmiter graph` draws the newest log.
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

/** By the limiter's own clock, unless that does not tell the time: then its first second will say so. */
function startOf(limiter: BucketRateLimiter | LimitedService): number {
  try {
    const one = 'clock' in limiter ? limiter : limiter.limiters()[0]
    const wall = one?.clock.wall()
    if (!Number.isNaN(new Date(wall ?? NaN).getTime())) return wall!
  } catch {
    // As below.
  }
  return Date.now()
}

/** A limiter is a service with one. */
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

function checked(options: LogOptions): LogOptions {
  fields(options, 'logTo', [...Object.keys(DEFAULTS), 'name'])
  for (const [key, value] of Object.entries(options)) {
    const isText = key === 'dir' || key === 'name'
    const fine = isText ? typeof value === 'string' && value !== '' : value >= 1 && Number.isInteger(value)
    if (!fine) {
      const allowed = isText ? 'a text that is not empty' : 'a whole number of at least 1'
      throw new TypeError(`${key} must be ${allowed}, got ${text(value)}`)
    }
  }
  return options
}
