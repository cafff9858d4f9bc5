// Calendar days, weeks, months and years in a time zone.

import { DAY, HOUR } from './units.ts'

const formats = new Map<string, Intl.DateTimeFormat>()

/** The date at `wall` (epoch ms) as `'2026-01-31'`: dates compare as strings. */
export function dateOf(wall: number, timeZone: string): string {
  let format = formats.get(timeZone)
  if (!format) {
    // The Swedish date format is the ISO format.
    formats.set(timeZone, (format = new Intl.DateTimeFormat('sv', { timeZone, dateStyle: 'short' })))
  }
  return format.format(wall)
}

export const PERIODS = ['day', 'week', 'month', 'year'] as const

/** A week begins on Monday. */
export type CalendarPeriod = (typeof PERIODS)[number]

/** For each period: its maximum length in days, and the part of a date that is constant within it. */
const SAME: Record<CalendarPeriod, readonly [days: number, of: (date: string) => string]> = {
  day: [1, (date) => date],
  week: [7, (date) => String(Math.floor((Date.parse(date) / DAY + 3) / 7))],
  month: [31, (date) => date.slice(0, 7)],
  year: [366, (date) => date.slice(0, 4)],
}

/** The first ms of the next period. It is searched, because days have 23 to 25 hours and midnight may not exist. */
export function endOf(period: CalendarPeriod, wall: number, timeZone: string): number {
  const [days, of] = SAME[period]
  const present = of(dateOf(wall, timeZone))
  let before = Math.floor(wall)
  let after = before + days * DAY + 2 * HOUR
  while (after - before > 1) {
    const middle = Math.floor((before + after) / 2)
    if (of(dateOf(middle, timeZone)) === present) before = middle
    else after = middle
  }
  return after
}

/** The first ms of the next day. */
export const nextMidnight = (wall: number, timeZone: string): number => endOf('day', wall, timeZone)
