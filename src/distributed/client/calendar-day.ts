// A limit as it is put into a request. A day by the calendar is that of the store's clock, which all processes share:
// a worker whose own clock is wrong must not begin a day of its own.

import type { SharedLimit } from 'llmiter'
import type { WantedLimit } from '../protocol.ts'

const DAY_MS = 86_400_000
const formats = new Map<string, Intl.DateTimeFormat>()

/** `base`: the epoch ms at which the store's time is 0; undefined before the store has answered. */
export function dayOf(
  { timeZone, ...limit }: SharedLimit,
  storeNow: number,
  base: number | undefined,
): WantedLimit {
  if (!timeZone) return limit
  const counted = { ...limit, windowMs: 0 }
  if (base === undefined) return counted
  const wall = base + storeNow
  const day = dateOf(wall, timeZone)
  return { ...counted, day, ends: midnight(wall, day, timeZone) - base }
}

function dateOf(wall: number, timeZone: string): string {
  let format = formats.get(timeZone)
  if (!format) {
    // Sweden writes dates as ISO does: they sort.
    formats.set(timeZone, (format = new Intl.DateTimeFormat('sv', { timeZone, dateStyle: 'short' })))
  }
  return format.format(wall)
}

/** The first moment that is not of this day; days have 23 to 25 hours. */
function midnight(wall: number, day: string, timeZone: string): number {
  let [before, after] = [Math.floor(wall), Math.floor(wall) + DAY_MS + 2 * 3_600_000]
  while (after - before > 1) {
    const middle = Math.floor((before + after) / 2)
    if (dateOf(middle, timeZone) === day) before = middle
    else after = middle
  }
  return after
}
