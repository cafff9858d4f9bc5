// Days, weeks, months and years by the calendar of a time zone.

import { DAY, HOUR } from './units.ts'

const formats = new Map<string, Intl.DateTimeFormat>()

/** The date at `wall` (epoch ms) as `'2026-01-31'`: dates compare as strings. */
export function dateOf(wall: number, timeZone: string): string {
  let format = formats.get(timeZone)
  if (!format) {
    // Sweden writes dates as ISO does.
    formats.set(timeZone, (format = new Intl.DateTimeFormat('sv', { timeZone, dateStyle: 'short' })))
  }
  return format.format(wall)
}

export const PERIODS = ['day', 'week', 'month', 'year'] as const

/** A week begins on Monday. */
export type CalendarPeriod = (typeof PERIODS)[number]

/** What is the same within a period, and the longest that one lasts, in days. */
const SAME: Record<CalendarPeriod, readonly [days: number, of: (date: string) => string]> = {
  day: [1, (date) => date],
  week: [7, (date) => String(Math.floor((Date.parse(date) / DAY + 3) / 7))],
  month: [31, (date) => date.slice(0, 7)],
  year: [366, (date) => date.slice(0, 4)],
}

/** The first ms of the next period. Searched, not computed: days have 23 to 25 hours, and midnight may not exist. */
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
