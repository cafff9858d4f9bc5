// What is said in a graph: the names of its lines, numbers and times as people read them. For the page and the picture
// alike.

export interface Line {
  /** The letter that picks it, in `--lines` and on the page. */
  letter: string
  name: string
  title: string
  /** Calls a second, calls, tokens a second, tokens, or marks over all of these. */
  scale: 'pace' | 'calls' | 'tokenPace' | 'tokens' | 'mark'
}

/** The lines of the first panel: what becomes of calls, and the rates. */
export const LINES = [
  { letter: 'r', name: 'requests', title: 'calls that asked for a ticket', scale: 'pace' },
  { letter: 'i', name: 'issued', title: 'tickets issued: calls that left', scale: 'pace' },
  { letter: 'e', name: 'refused', title: 'refusals by the provider', scale: 'mark' },
  { letter: 'x', name: 'failed', title: 'calls that failed', scale: 'mark' },
  { letter: 'f', name: 'finished', title: 'calls that were answered', scale: 'pace' },
  { letter: 'o', name: 'waiting', title: 'the overflow: calls in line', scale: 'calls' },
  { letter: 'a', name: 'rate', title: 'the rate that is followed', scale: 'pace' },
  { letter: 'l', name: 'limit', title: 'the limit that was configured', scale: 'pace' },
] as const satisfies readonly Line[]

export const TOKEN_LINES = [
  { letter: 'k', name: 'asked', title: 'tokens reserved by tickets', scale: 'tokenPace' },
  { letter: 'u', name: 'used', title: 'tokens used, as far as known', scale: 'tokenPace' },
  { letter: 'm', name: 'tokenLimit', title: 'the token limit that was configured', scale: 'tokenPace' },
  { letter: 't', name: 'available', title: 'tokens that could be taken at once', scale: 'tokens' },
] as const satisfies readonly Line[]

export type LineName = (typeof LINES)[number]['name'] | (typeof TOKEN_LINES)[number]['name']

/** Lines whose values are of a minute; they are drawn as a second of it. */
export const MINUTES: readonly LineName[] = ['rate', 'limit', 'tokenLimit']

/** Whether a line has the axis on the right. */
export const isRight = ({ scale }: Pick<Line, 'scale'>) => scale === 'calls' || scale === 'tokens'

/** How a line is called on the page. */
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
  WAIT_TIMEOUT: 'they had waited as long as they may',
  REQUEST_TOO_LARGE: 'they ask for more than a limit ever allows',
  QUOTA_EXHAUSTED: 'the quota is used up',
  LIMITER_STOPPED: 'the limiter was stopped',
  STORE_DOWN: 'the store does not answer',
  PROVIDER_UNHEALTHY: 'the provider is slow',
  AbortError: 'their callers gave up',
  TimeoutError: 'their callers gave up',
}

/** Why calls were turned away, in words. */
export const rejectionWords = (said: string) => (Object.hasOwn(REJECTIONS, said) ? REJECTIONS[said]! : said)

export const ALL = 'all limiters'

export const plural = (n: number, word: string) => `${count(n)} ${word}${n === 1 ? '' : 's'}`

/** 12345 is 12,345; 12.345 is 12.3. */
export const count = (n: number) => n.toLocaleString('en', { maximumFractionDigits: digits(Math.abs(n)) })

const digits = (size: number) => (size < 1 ? 2 : size < 100 ? 1 : 0)

/** For the marks of an axis: 12345 is 12.35K. */
export const short = (n: number) =>
  n.toLocaleString('en', { notation: n >= 10_000 ? 'compact' : 'standard', maximumFractionDigits: 2 })

/** A length of time in its two largest units. */
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

/** Time since the start of a run: 0:05, 1:02:03. */
export function elapsed(seconds: number): string {
  const whole = Math.round(Math.abs(seconds))
  const two = (n: number) => String(n).padStart(2, '0')
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60]
  return `${seconds < 0 ? '-' : ''}${h > 0 ? `${h}:${two(m)}` : m}:${two(s)}`
}

/** The zone of the machine on which a graph is made: all its times are in it, wherever it is read. */
export const localZone = () => new Intl.DateTimeFormat().resolvedOptions().timeZone

const formats = new Map<string, Intl.DateTimeFormat>()

/** A moment in seconds since the epoch, as ISO writes it: '2026-01-31 18:05:00'. */
export function isoTime(seconds: number, zone: string): string {
  let format = formats.get(zone)
  if (!format) {
    // Swedes write dates as ISO does.
    format = new Intl.DateTimeFormat('sv-SE', { timeZone: zone, dateStyle: 'short', timeStyle: 'medium' })
    formats.set(zone, format)
  }
  return format.format(seconds * 1000)
}
