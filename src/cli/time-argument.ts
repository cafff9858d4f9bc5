// Parses a time within a log: an offset from its start, or a date and time, in the machine's zone if none is
// given.

import { durationMs } from '../lib/duration.ts'
import { UsageError } from './usage.ts'

/** Maps the start of a log to the time, both in epoch ms. */
export type Moment = (start: number) => number

export function moment(flag: string, said: string): Moment {
  const sinceStart = durationMs(said)
  if (!Number.isNaN(sinceStart)) return (start) => start + sinceStart
  // A date without a time would be parsed as UTC.
  const day = /^\d{4}-\d\d-\d\d$/.test(said) ? `${said}T00:00` : said
  const time = /^\d{4}-\d\d-\d\d/.test(day) ? Date.parse(day) : NaN
  if (!Number.isNaN(time)) return () => time
  throw new UsageError(`${flag} must be a time like 90s, 10m, 2h or 2026-01-31T12:00, got '${said}'`)
}
