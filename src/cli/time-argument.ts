// A moment of a log, as people say it: so long after its start, or a time.

import { durationMs } from '../lib/duration.ts'
import { UsageError } from './usage.ts'

/** From the start of a log to the moment, both in epoch ms. */
export type Moment = (start: number) => number

export function moment(flag: string, said: string): Moment {
  const sinceStart = durationMs(said)
  if (!Number.isNaN(sinceStart)) return (start) => start + sinceStart
  const time = /^\d{4}-\d\d-\d\d/.test(said) ? Date.parse(said) : NaN
  if (!Number.isNaN(time)) return () => time
  throw new UsageError(`${flag} must be a time like 90s, 10m, 2h or 2026-01-31T12:00, got '${said}'`)
}
