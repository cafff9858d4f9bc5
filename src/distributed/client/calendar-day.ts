// A limit as it is put into a request. A day by the calendar is that of the store's clock, which all processes share:
// a worker whose own clock is wrong must not begin a day of its own.

import type { SharedLimit } from 'llmiter'
import type { WantedLimit } from '../protocol.ts'
import { dateOf, nextMidnight } from '../../lib/calendar.ts'

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
  return { ...counted, day: dateOf(wall, timeZone), ends: nextMidnight(wall, timeZone) - base }
}
