/**
 * Gemini. One status for all its limits: the quotaId tells the minute from the day. The day's answer may
 * carry a retryDelay of seconds, which is wrong: the count starts again at midnight in California.
 */

import { HOUR, type Provider } from './provider.ts'

export const google: Provider = {
  quota: /^quotaId:.*PerDay/m,
  oversize: /^http 400$[^]*token count .*exceeds the maximum/m,
  rate: /:RESOURCE_EXHAUSTED$/m,
}

/** Tried hour by hour, so that the two days a year that do not have 24 of them need no rule. */
export function untilPacificMidnightMs(now: number): number | undefined {
  for (let at = Math.ceil(now / HOUR) * HOUR; at < now + 26 * HOUR; at += HOUR)
    if (/^00/.test(new Date(at).toLocaleTimeString('en-GB', { timeZone: 'America/Los_Angeles' })))
      return at - now
  return undefined
}
