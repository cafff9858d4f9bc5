// Prepares a limit for a request. A calendar day follows the store's clock, which all processes share, so that a
// process with a wrong clock does not start its own day.

import type { SharedLimit } from 'llmiter'
import type { WantedLimit } from '../protocol.ts'
import { dateOf, nextMidnight } from '../../lib/calendar.ts'

/** `base`: the epoch ms at which the store's time is 0. Undefined before the store has answered. */
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
