/**
 * How long a provider asks to wait, from whichever of its many places says so.
 *
 * Headers in ms come first because they are exact, then `retry-after`, which is rounded up to a second;
 * the body's own words come last, since they are prose. A moment is made a duration through the clock of
 * the one who named it. What no provider means (more than 30 days) is ignored rather than obeyed.
 */

import type { HeaderReader } from './header-reader.ts'
import { DAY, SECOND } from './provider.ts'
import { UNITS } from './limit-words.ts'

const PART = / *(\d+(?:\.\d+)?) ?([a-z]+)/iy
/** Prose, and Google's RetryInfo. */
const ASKING = /(?:\b(?:again|retry|wait) (?:in|after|for) |retryDelay:)(?=\d)/i

function sane(ms: number): number | undefined {
  return ms <= 30 * DAY ? Math.max(0, Math.round(ms)) : undefined
}

/** '6m0s', '1.574s', '20ms', '2 minutes'; NaN when it is none of those. */
function spelled(text: string, from: number): number {
  let ms = NaN
  PART.lastIndex = from
  for (let part; (part = PART.exec(text));) {
    const unit = part[2]!.toLowerCase()
    ms = (ms || 0) + Number(part[1]) * (/^m(s|illi)/.test(unit) ? 1 : (UNITS[unit.charAt(0)] ?? NaN))
  }
  return ms
}

/** A header's value: seconds, a duration, a date, or an epoch in seconds or ms. */
export function readDuration(text: string, now: number): number | undefined {
  const number = text.trim() ? Number(text) : NaN
  if (number > 1e9) return sane(number * (number > 1e11 ? 1 : SECOND) - now)
  // The engines' Date.parse finds a date in almost any words, so a time of day must be there.
  return sane(number * SECOND) ?? sane(/\d:\d\d/.test(text) ? Date.parse(text) - now : spelled(text, 0))
}

/** The server's own clock, as far as it told it. */
export function serverNow(headers: HeaderReader | undefined, wall: number): number {
  return Date.parse(headers?.get('date') ?? '') || wall
}

export function readWait(headers: HeaderReader | undefined, text: string, now: number): number | undefined {
  const read = (name: string) => headers?.get(name) ?? ''
  const asking = ASKING.exec(text)
  return (
    sane(parseFloat(read('retry-after-ms') || read('x-ms-retry-after-ms'))) ??
    readDuration(read('retry-after'), now) ??
    (asking ? sane(spelled(text, asking.index + asking[0].length)) : undefined)
  )
}
