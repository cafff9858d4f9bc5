// Days by the calendar of a time zone.

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

/** The first ms of the next day. Searched, not computed: days have 23 to 25 hours, and midnight may not exist. */
export function nextMidnight(wall: number, timeZone: string): number {
  const today = dateOf(wall, timeZone)
  let before = Math.floor(wall)
  let after = before + DAY + 2 * HOUR
  while (after - before > 1) {
    const middle = Math.floor((before + after) / 2)
    if (dateOf(middle, timeZone) === today) before = middle
    else after = middle
  }
  return after
}
