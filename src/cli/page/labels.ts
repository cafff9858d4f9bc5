// The texts of a graph: names of lines, numbers and times. Shared by the page and the picture.

export interface Line {
  /** The letter that selects it, in `--lines` and on the page. */
  letter: string
  name: string
  title: string
  /** The scale: calls per second, calls, tokens per second, tokens, or marks above all of these. */
  scale: 'pace' | 'calls' | 'tokenPace' | 'tokens' | 'mark'
}

/** The lines of the first panel: calls by outcome, and rates. */
export const LINES = [
  { letter: 'r', name: 'requests', title: 'calls that asked for a ticket', scale: 'pace' },
  { letter: 'i', name: 'issued', title: 'tickets issued: calls sent', scale: 'pace' },
  { letter: 'e', name: 'refused', title: 'refusals by the provider', scale: 'mark' },
  { letter: 'x', name: 'failed', title: 'calls that failed', scale: 'mark' },
  { letter: 'f', name: 'finished', title: 'calls that were answered', scale: 'pace' },
  { letter: 'o', name: 'waiting', title: 'the overflow: waiting calls', scale: 'calls' },
  { letter: 'a', name: 'rate', title: 'the current rate', scale: 'pace' },
  { letter: 'l', name: 'limit', title: 'the configured limit', scale: 'pace' },
] as const satisfies readonly Line[]

export const TOKEN_LINES = [
  { letter: 'k', name: 'asked', title: 'tokens reserved by tickets', scale: 'tokenPace' },
  { letter: 'u', name: 'used', title: 'tokens used, as far as known', scale: 'tokenPace' },
  { letter: 'm', name: 'tokenLimit', title: 'the configured token limit', scale: 'tokenPace' },
  { letter: 't', name: 'available', title: 'tokens available', scale: 'tokens' },
] as const satisfies readonly Line[]

export type LineName = (typeof LINES)[number]['name'] | (typeof TOKEN_LINES)[number]['name']

/** Lines whose values are per minute, and are drawn per second. */
export const MINUTES: readonly LineName[] = ['rate', 'limit', 'tokenLimit']

/** Whether a line uses the right axis. */
export const isRight = ({ scale }: Pick<Line, 'scale'>) => scale === 'calls' || scale === 'tokens'

/** The labels of the lines on the page. */
export const LABELS: Record<LineName, string> = {
  requests: 'requests',
  issued: 'issued',
  refused: 'refused',
  failed: 'failed',
  finished: 'finished',
  waiting: 'overflow',
  rate: 'rate',
  limit: 'limit',
  asked: 'asked',
  used: 'used',
  tokenLimit: 'token limit',
  available: 'available',
}

const REJECTIONS: Record<string, string> = {
  QUEUE_FULL: 'the queue was full',
  QUEUE_CLEARED: 'the queue was cleared',
  WAIT_TIMEOUT: 'they waited longer than maxWaitMs',
  REQUEST_TOO_LARGE: 'their cost exceeds a limit',
  QUOTA_EXHAUSTED: 'the quota is used up',
  LIMITER_STOPPED: 'the limiter was stopped',
  STORE_DOWN: 'the store does not answer',
  PROVIDER_UNHEALTHY: 'the provider is slow',
  AbortError: 'their callers aborted them',
  TimeoutError: 'their callers aborted them',
}

/** Describes why calls were rejected. */
export const rejectionWords = (said: string) => (Object.hasOwn(REJECTIONS, said) ? REJECTIONS[said]! : said)

export const ALL = 'all limiters'

export const plural = (n: number, word: string) => `${count(n)} ${word}${n === 1 ? '' : 's'}`

/** Formats 12345 as 12,345 and 12.345 as 12.3. */
export const count = (n: number) => n.toLocaleString('en', { maximumFractionDigits: digits(Math.abs(n)) })

const digits = (size: number) => (size < 1 ? 2 : size < 100 ? 1 : 0)

/** For axis labels: formats 12345 as 12.35K. */
export const short = (n: number) =>
  n.toLocaleString('en', { notation: n >= 10_000 ? 'compact' : 'standard', maximumFractionDigits: 2 })

/** Formats a duration with its two largest units. */
export function span(seconds: number): string {
  const parts: string[] = []
  let left = Math.round(seconds)
  for (const [size, unit] of [
    [86_400, 'd'],
    [3600, 'h'],
    [60, 'min'],
    [1, 's'],
  ] as const) {
    const n = Math.floor(left / size)
    left -= n * size
    if (n > 0) parts.push(`${n} ${unit}`)
    else if (parts.length > 0) break
  }
  return parts.slice(0, 2).join(' ') || '0 s'
}

/** Formats the time since the start of a run: 0:05, 1:02:03. */
export function elapsed(seconds: number): string {
  const whole = Math.round(Math.abs(seconds))
  const two = (n: number) => String(n).padStart(2, '0')
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60]
  return `${seconds < 0 ? '-' : ''}${h > 0 ? `${h}:${two(m)}` : m}:${two(s)}`
}

/** The time zone of the machine that creates a graph. All its times are in this zone, wherever it is read. */
export const localZone = () => new Intl.DateTimeFormat().resolvedOptions().timeZone

const formats = new Map<string, Intl.DateTimeFormat>()

/** Formats a time in seconds since the epoch in ISO format: '2026-01-31 18:05:00'. */
export function isoTime(seconds: number, zone: string): string {
  let format = formats.get(zone)
  if (!format) {
    // The Swedish date format is the ISO format.
    format = new Intl.DateTimeFormat('sv-SE', { timeZone: zone, dateStyle: 'short', timeStyle: 'medium' })
    formats.set(zone, format)
  }
  return format.format(seconds * 1000)
}
