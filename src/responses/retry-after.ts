/**
 * How long a provider asks to wait, read from any of the places where providers put it.
 *
 * Headers in ms come first because they are exact. `retry-after` follows, because it is rounded up to a second.
 * Then come the fields of the body, and last its prose. A point in time is converted to a duration with the clock
 * of the server that sent it. Waits above 30 days are ignored, because no provider means them.
 */

import { DAY, HOUR, MINUTE, SECOND } from '../lib/units.ts'

/** The headers of an answer, independent of their representation in the SDK. */
export interface HeaderReader {
  /** The value of a header. The name is case-insensitive. */
  get(name: string): string | undefined
}

const PART = /[ ,]*(?:and |und |et |y |e |и )?(\d+(?:\.\d+)?) ?(\p{L}+)/iuy
/** Matches prose and Google's RetryInfo. */
const ASKING =
  /(?:\b(?:again|retry|wait|resets?|available|back|renew\w*|refill\w*|refresh\w*|replenish\w*) (?:in|after|for|at least|within)? ?(?:about |approximately |another |at least |~ ?)?|retry[- ]after: ?|retryDelay:|(?<!\p{L})(?:nach|warten(?: sie)?|dans|attende[rz]|patientez|en|dentro de|esper[ea]|em|aguarde|[tf]ra|через|подождите) )(?=\d+(?:\.\d+)? ?(?!%|\d))/giu
/** "6 秒后重试", "20秒後に", "30초 후에". */
const ASKING_CJK =
  /(\d+(?:\.\d+)?) ?(毫秒|秒钟?|分钟?|分鐘|小时|小時|時間|天|日|초|분|시간|일) ?(?:之?[后後]|以内|후|뒤|待)/
const ENDS =
  '(?:reset|again|until|available|access|retry|after|renew|replenish|at|bis|jusqu|hasta|até)[^.;\\n]{0,24}?'
const MOMENT = new RegExp(
  `${ENDS}(\\d{4}-\\d\\d-\\d\\d)(?:T| at | )(\\d\\d:\\d\\d(?::\\d\\d(?:\\.\\d+)?)?) ?(Z|UTC|GMT|[+-]\\d\\d:?\\d\\d)?`,
  'i',
)
const HTTP_DATE = new RegExp(`${ENDS}(\\w{3}, \\d\\d \\w{3} \\d{4} [\\d:]{8} GMT)`, 'i')
/** A time of day: "resets at midnight UTC", "again at 00:00 UTC". */
const TIME_OF_DAY = new RegExp(`${ENDS}(midnight|\\d\\d:\\d\\d) \\(?(UTC|GMT|Pacific|P[DS]?T)\\b`, 'i')
/** "22.23:59:59", "00:00:12": days, hours, minutes and seconds in .NET format. */
const TIME_SPAN = /(?:(\d+)\.)?(\d+):(\d\d):(\d\d(?:\.\d+)?)(?!\d)/y

const NAMES = 'retry|resets?|wait|estimated|available|try_?again|cooldown|next_?(?:allowed|available|retry)'
/** Field names under which providers give a wait, or the time when it ends. */
export const WAIT_NAME = new RegExp(`^(?:${NAMES})[\\w-]*$`, 'i')
const FIELD = new RegExp(`^((?:${NAMES})[\\w-]*):(.+)$`, 'gim')
const NO_WAIT = /count|attempt|max|num|limit|tries|url|policy|after_?(date|id)$/i

function sane(ms: number): number | undefined {
  return ms <= 30 * DAY ? Math.max(0, Math.round(ms)) : undefined
}

const UNITS: readonly (readonly [unit: RegExp, ms: number])[] = [
  [/^(ms|msecs?|milli|毫秒|мс|миллис)/i, 1],
  [/^(s$|sec|sek|seg|сек|秒|초)/i, SECOND],
  [/^(m$|min|мин|分|분)/i, MINUTE],
  [/^(h$|hr|hour|std|stunde|heure|hora|ora|час|小时|小時|時間|시간)/i, HOUR],
  [/^(d$|day|tag|jour|d[ií]a|giorn|дн|день|天|日|일)/i, DAY],
]
const unitMs = (unit: string): number => UNITS.find(([pattern]) => pattern.test(unit))?.[1] ?? NaN

/** Reads '6m0s', '1.574s', '2 minutes', '1 hour and 5 minutes', 'PT30S', '00:00:12' in ms. NaN for anything else. */
function spelled(text: string, from: number): number {
  TIME_SPAN.lastIndex = from
  const [, days = 0, hours, minutes, seconds] = TIME_SPAN.exec(text) ?? []
  if (seconds)
    return ((Number(days) * 24 + Number(hours)) * 60 + Number(minutes)) * MINUTE + Number(seconds) * SECOND
  let ms = NaN
  PART.lastIndex = from
  for (let part; (part = PART.exec(text));) {
    const next = Number(part[1]) * unitMs(part[2]!)
    // Words after a duration are not part of it.
    if (Number.isNaN(next)) return ms
    ms = (ms || 0) + next
  }
  return ms
}

/** Reads a header value in ms: seconds, a duration, a date, or an epoch time in seconds or ms. */
export function readDuration(text: string, now: number): number | undefined {
  const number = text.trim() ? Number(text) : NaN
  if (number > 1e9) return sane(number * (number > 1e11 ? 1 : SECOND) - now)
  // Date.parse finds a date in almost any text, so a year and a time of day are required.
  const isDate = /\d{4}.*\d:\d\d/.test(text)
  return sane(number * SECOND) ?? sane(isDate ? Date.parse(text) - now : spelled(text.replace(/^PT?/, ''), 0))
}

/** The time on the server's clock, if it was sent. */
export function serverNow(headers: HeaderReader | undefined, wall: number): number {
  return Date.parse(headers?.get('date') ?? '') || wall
}

const FIELD_UNITS: readonly (readonly [name: RegExp, ms: number])[] = [
  [/ms$|milli/i, 1],
  [/min(ute)?s?$/i, MINUTE],
  [/hours?$/i, HOUR],
  [/$/, SECOND],
]

/** `retry_after: 9`, `resets_in_seconds: 13872`, `retryAfterMs: 250`, `resets_at: 1795291200`, `estimated_time: 20.0`. */
function readField(text: string, now: number): number | undefined {
  const waits = [...text.matchAll(FIELD)].map(([, name, value]) => {
    if (NO_WAIT.test(name!)) return undefined
    const number = value!.trim() ? Number(value) : NaN
    const [, unit] = FIELD_UNITS.find(([pattern]) => pattern.test(name!))!
    return number < 1e9 ? sane(number * unit) : readDuration(value!, now)
  })
  return waits.find((ms) => ms !== undefined)
}

/** Searched hour by hour, so that the two days a year without 24 hours need no special case. */
export function untilPacificMidnightMs(now: number): number | undefined {
  for (let at = Math.ceil(now / HOUR) * HOUR; at < now + 26 * HOUR; at += HOUR)
    if (/^00/.test(new Date(at).toLocaleTimeString('en-GB', { timeZone: 'America/Los_Angeles' })))
      return at - now
  return undefined
}

/** The time until the clock of this zone next shows this time. */
function untilTimeOfDay(time: string, zone: string, now: number): number | undefined {
  const midnight = /^(midnight|00:00)/i.test(time)
  if (/^p/i.test(zone)) return midnight ? untilPacificMidnightMs(now) : undefined
  const at = midnight ? 0 : Date.parse(`1970-01-01T${time}Z`)
  return (((at - now) % DAY) + DAY) % DAY
}

function readProse(prose: string, now: number): number | undefined {
  const text = prose.replace(/\b(in|for|after) an? (?=(second|minute|hour)\b)/gi, '$1 1 ')
  for (const asking of text.matchAll(ASKING)) {
    const from = asking.index + asking[0].length
    const ms = sane(spelled(text, from))
    if (ms !== undefined) return ms
    // As in the header, a bare number means seconds.
    if (/-after/i.test(asking[0])) return sane(parseFloat(text.slice(from)) * SECOND)
  }
  const [, amount, unit] = ASKING_CJK.exec(text) ?? []
  if (unit) return sane(Number(amount) * unitMs(unit))
  const [, date, time, zone = 'Z'] = MOMENT.exec(text) ?? []
  if (date) return sane(Date.parse(`${date}T${time}${/^[+-]/.test(zone) ? zone : 'Z'}`) - now)
  const httpDate = HTTP_DATE.exec(text)?.[1]
  if (httpDate) return sane(Date.parse(httpDate) - now)
  const [, clock, place] = TIME_OF_DAY.exec(text) ?? []
  return clock ? untilTimeOfDay(clock, place!, now) : undefined
}

export function readWait(headers: HeaderReader | undefined, text: string, now: number): number | undefined {
  const read = (name: string) => headers?.get(name) ?? ''
  return (
    sane(parseFloat(read('retry-after-ms') || read('x-ms-retry-after-ms'))) ??
    readDuration(read('retry-after'), now) ??
    readField(text, now) ??
    readProse(text, now)
  )
}
