// What a provider answers, passed on as it comes. A limiter and a budget want to know three things of it: what was used,
// whether it failed, and when its first content came. So each piece of it says that, beside its bytes.

import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { isObject } from '../lib/validate.ts'
import { brokenBy, BrokenError } from './errors.ts'
import type { Headers } from './headers.ts'
import type { Secrets } from './secrets.ts'

/** Some bytes of an answer, with what they tell. */
export interface Piece {
  readonly bytes: Buffer
  /** The kind of the event, while the first content has not come. */
  readonly type?: string
  /** The object in which the provider counts. */
  readonly usage?: object
  readonly usageMetadata?: object
  /** What the provider says of a failure. */
  readonly error?: unknown
}

/** A whole answer. */
export interface WholeAnswer {
  readonly answered: number
  readonly headers: IncomingHttpHeaders
  readonly passed: Headers
  readonly bytes: Buffer
  readonly usage?: object
  readonly usageMetadata?: object
}

const USAGES = ['usage', 'usageMetadata'] as const
const NEEDLES = USAGES.map((name) => ({ name, needle: Buffer.from(`"${name}"`) }))

/**
 * What was used, as the last object of that name says. Within a string the quotes would be escaped, so that only a name
 * is found.
 */
export function usageIn(bytes: Buffer): Pick<Piece, 'usage' | 'usageMetadata'> {
  for (const { name, needle } of NEEDLES) {
    for (let at = bytes.lastIndexOf(needle); at >= 0; at = at > 0 ? bytes.lastIndexOf(needle, at - 1) : -1) {
      const found = objectAt(bytes, at + needle.length)
      if (found) return { [name]: found }
    }
  }
  return {}
}

const LONGEST_USAGE = 4000

/** The object that follows a name: `: { … }`. */
function objectAt(bytes: Buffer, from: number): object | undefined {
  const text = bytes.toString('latin1', from, from + LONGEST_USAGE)
  const begin = /^\s*:\s*\{/.exec(text)?.[0].length
  if (begin === undefined) return undefined
  let depth = 1
  let end = begin
  // Counts hold numbers and names, and no braces within texts.
  for (; end < text.length && depth > 0; end++) {
    if (text[end] === '{') depth++
    else if (text[end] === '}') depth--
  }
  return parseObject(text.slice(begin - 1, end))
}

export function parseObject(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** A status for a failure that has none, since it came in a stream. */
const STATUS_OF: Record<string, number> = {
  invalid_request_error: 400,
  authentication_error: 401,
  permission_error: 403,
  not_found_error: 404,
  request_too_large: 413,
  rate_limit_error: 429,
  rate_limit_exceeded: 429,
  tokens: 429,
  requests: 429,
  insufficient_quota: 429,
  overloaded_error: 529,
}

function statusIn(error: object): number {
  const { code, type, status } = error as { code?: unknown; type?: unknown; status?: unknown }
  if (typeof code === 'number' && code >= 400 && code < 600) return code
  const known = [code, type, status]
    .map((word) => STATUS_OF[String(word)])
    .find((found) => found !== undefined)
  return known ?? 500
}

/** The failure that an event tells, if it tells one. */
function failureOf(data: string): { status: number; error: object } | undefined {
  const found = data.includes('"error"') ? parseObject(data) : undefined
  if (!found) return undefined
  const { error, type } = found as { error?: unknown; type?: unknown }
  if (isObject(error)) return { status: statusIn(error), error: found }
  // OpenAI's responses tell it flat.
  return type === 'error' ? { status: statusIn(found), error: { error: found } } : undefined
}

const DATA = Buffer.from('data:')
/** Lines end with LF, CRLF or CR. */
const BLANK_LINES = ['\n\n', '\n\r\n', '\r\r'].map((line) => Buffer.from(line))
const LINE_END = /\r\n|\n|\r/
const EVENT_END = /(?:\r\n|\n|\r(?!\n)){2}/
/** An event longer than this is passed on in parts. */
const LONGEST_EVENT = 1_000_000
/** So many bytes wait for a slow reader before the provider has to wait too. */
const MOST_WAITING = 256 * 1024

/** How a stream of events is to be changed, and what becomes of its failures. */
export interface StreamTerms {
  /** It was asked for its usage by the gateway alone: what tells it is taken out again. */
  readonly hideUsage: boolean
  /** Not to be seen in it. */
  readonly secrets: Secrets
  /** An event that tells a failure before any content: the call failed. */
  readonly failed: (status: number, error: object) => Error
  /** How long the provider may be silent. */
  readonly silenceMs: number | undefined
  readonly signal: AbortSignal | undefined
  /** It is over: it ended, broke, or was left. */
  readonly over: (stream: StreamEnd) => void
}

/** What a stream has told when it is over. */
export interface StreamEnd {
  /** It was read to its regular end. */
  readonly whole: boolean
  readonly usage: Pick<Piece, 'usage' | 'usageMetadata'>
  /** So many events have come: each holds about one token. */
  readonly events: number
}

type Next = IteratorResult<Piece, undefined>
const DONE: Next = Object.freeze({ done: true, value: undefined })

/** A stream: events, or any body too long to be held. Read it as an iterator. */
export class StreamAnswer implements AsyncIterableIterator<Piece, undefined> {
  readonly answered: number
  readonly headers: IncomingHttpHeaders
  readonly passed: Headers
  readonly isEvents: boolean
  readonly #isJson: boolean
  readonly #content: Readable
  readonly #terms: StreamTerms
  readonly #ready: Piece[] = []
  #waiting: { resolve: (next: Next) => void; reject: (error: unknown) => void } | undefined
  #held = 0
  #rest: Buffer | undefined
  #tail: Buffer = Buffer.alloc(0)
  #begun = false
  #usage: Pick<Piece, 'usage' | 'usageMetadata'> = {}
  #events = 0
  #left = false
  #over: { error?: unknown } | undefined
  #silence: NodeJS.Timeout | undefined
  readonly #giveUp = () => void this.#content.destroy(this.#terms.signal!.reason as Error)

  /** `content`: what the message holds, decoded. */
  constructor(message: IncomingMessage, content: Readable, passed: Headers, terms: StreamTerms) {
    this.answered = message.statusCode!
    this.headers = message.headers
    this.passed = passed
    const type = message.headers['content-type'] ?? ''
    this.isEvents = /^text\/event-stream/i.test(type)
    this.#isJson = /json/i.test(type)
    this.#content = content
    this.#terms = terms
    content.on('data', (bytes: Buffer) => this.#came(bytes))
    content.once('end', () => this.#end({}))
    content.on('error', (error) => this.#end({ error: brokenBy(error) }))
    content.once('close', () => {
      if (!this.#over) this.#end({ error: new BrokenError() })
    })
    const { silenceMs, signal } = terms
    signal?.addEventListener('abort', this.#giveUp, { once: true })
    if (silenceMs !== undefined)
      this.#silence = setTimeout(() => {
        content.destroy(new BrokenError(`the provider was silent for ${silenceMs} ms`))
      }, silenceMs)
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  /** The first content has come: from here on failures are the reader's business, and events come together. */
  begin(): void {
    this.#begun = true
  }

  next(): Promise<Next> {
    const piece = this.#ready.shift()
    if (piece) {
      this.#held -= piece.bytes.length
      if (this.#held < MOST_WAITING && this.#content.isPaused()) this.#content.resume()
      return Promise.resolve({ done: false, value: piece })
    }
    if (this.#over)
      return 'error' in this.#over ? Promise.reject(this.#over.error as Error) : Promise.resolve(DONE)
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject }
    })
  }

  /** Nobody reads on: the provider is told so at once. */
  return(): Promise<Next> {
    this.#left = true
    this.#end({})
    this.#ready.length = 0
    this.#content.destroy()
    return Promise.resolve(DONE)
  }

  #came(bytes: Buffer): void {
    this.#silence?.refresh()
    const all = this.#rest ? Buffer.concat([this.#rest, bytes]) : bytes
    if (!this.isEvents) {
      this.#rest = all
      return this.#giveRest(false)
    }
    const end = endOfEvents(all)
    this.#rest = end < all.length ? all.subarray(end) : undefined
    if (end > 0) this.#giveEvents(all.subarray(0, end))
    if (this.#rest && this.#rest.length > LONGEST_EVENT) this.#giveRest(false)
  }

  /** What is no whole event, without the beginning of a secret if there is more to come. */
  #giveRest(last: boolean): void {
    const all = this.#rest
    if (!all) return
    const length = last ? all.length : all.length - this.#terms.secrets.begunAtEnd(all)
    this.#rest = length < all.length ? all.subarray(length) : undefined
    if (length === 0) return
    const bytes = all.subarray(0, length)
    const usage = this.#usageOf(bytes)
    this.#remember(usage)
    this.#give({ bytes: this.#terms.secrets.redact(bytes), ...usage })
  }

  /** Gemini's streams may be one JSON array, cut anywhere. */
  #usageOf(bytes: Buffer): Pick<Piece, 'usage' | 'usageMetadata'> {
    if (this.isEvents || !this.#isJson) return usageIn(bytes)
    this.#tail = Buffer.concat([this.#tail, bytes]).subarray(-LONGEST_USAGE)
    return usageIn(this.#tail)
  }

  #giveEvents(bytes: Buffer): void {
    if (this.#begun) {
      const failure = bytes.includes('"error"') ? failureIn(bytes) : undefined
      return this.#give(this.#pieceOf(bytes, failure && { error: failure.error }))
    }
    for (let from = 0; from < bytes.length;) {
      const to = endOfFirst(bytes, from)
      const event = bytes.subarray(from, to)
      const failure = failureIn(event)
      if (failure) return this.#fail(failure.status, failure.error)
      const type = typeOf(event)
      this.#give(this.#pieceOf(event, type === undefined ? undefined : { type }))
      from = to
    }
  }

  #pieceOf(bytes: Buffer, more: Pick<Piece, 'type' | 'error'> | undefined): Piece {
    const usage = usageIn(bytes)
    for (let at = bytes.indexOf(DATA); at >= 0; at = bytes.indexOf(DATA, at + DATA.length)) this.#events++
    this.#remember(usage)
    const shown = this.#terms.hideUsage ? withoutUsage(bytes) : bytes
    return { bytes: this.#terms.secrets.redact(shown), ...usage, ...more }
  }

  /** What is told later replaces what was told before, count by count. */
  #remember({ usage, usageMetadata }: Pick<Piece, 'usage' | 'usageMetadata'>): void {
    if (usage) this.#usage = { usage: { ...this.#usage.usage, ...usage } }
    if (usageMetadata) this.#usage = { usageMetadata }
  }

  #fail(status: number, error: object): void {
    this.#end({ error: this.#terms.failed(status, error) })
    this.#content.destroy()
  }

  #give(piece: Piece): void {
    if (this.#over) return
    if (this.#waiting) {
      this.#waiting.resolve({ done: false, value: piece })
      this.#waiting = undefined
      return
    }
    this.#ready.push(piece)
    this.#held += piece.bytes.length
    if (this.#held > MOST_WAITING) this.#content.pause()
  }

  #end(over: { error?: unknown }): void {
    if (this.#over) return
    clearTimeout(this.#silence)
    this.#terms.signal?.removeEventListener('abort', this.#giveUp)
    this.#giveRest(true)
    this.#over = over
    const whole = !('error' in over) && !this.#left
    this.#terms.over({ whole, usage: this.#usage, events: this.#events })
    const waiting = this.#waiting
    this.#waiting = undefined
    if (!waiting) return
    if ('error' in over) waiting.reject(over.error)
    else waiting.resolve(DONE)
  }
}

/** The first byte after the last whole event. */
function endOfEvents(bytes: Buffer): number {
  return Math.max(
    0,
    ...BLANK_LINES.map((line) => {
      const at = bytes.lastIndexOf(line)
      return at < 0 ? 0 : at + line.length
    }),
  )
}

function endOfFirst(bytes: Buffer, from: number): number {
  const ends = BLANK_LINES.map((line) => {
    const at = bytes.indexOf(line, from)
    return at < 0 ? bytes.length : at + line.length
  })
  return Math.min(...ends)
}

const dataOf = (event: string): string =>
  event
    .split(LINE_END)
    .filter((line) => line.startsWith('data:'))
    .map((line) => line.slice(5).trimStart())
    .join('\n')

function failureIn(events: Buffer): ReturnType<typeof failureOf> {
  if (!events.includes('"error"')) return undefined
  for (const event of events.toString().split(EVENT_END)) {
    const failure = failureOf(dataOf(event))
    if (failure) return failure
  }
  return undefined
}

/** `event: message_start`, or the type that the data name first. What has no data is no content: a comment. */
function typeOf(event: Buffer): string | undefined {
  const text = event.toString('latin1', 0, 300)
  if (!/^data:/m.test(text)) return 'ping'
  return /^event: ?(\S+)/m.exec(text)?.[1] ?? /^data: ?\{"type": ?"([\w.]+)"/m.exec(text)?.[1]
}

const USAGE = Buffer.from('"usage"')

/** Of a chat whose usage nobody asked for: the counts that chunks tell, and the chunk that only counts. */
function withoutUsage(events: Buffer): Buffer {
  if (!events.includes(USAGE)) return events
  const shown: Buffer[] = []
  for (let from = 0; from < events.length;) {
    const to = endOfFirst(events, from)
    const event = events.subarray(from, to)
    shown.push(event.includes(USAGE) ? eventWithoutUsage(event) : event)
    from = to
  }
  return Buffer.concat(shown)
}

const NO_USAGE = /,\s*"usage":\s*null(?=\s*[,}])|(?<=^data: ?\{)\s*"usage":\s*null\s*,/gm

function eventWithoutUsage(event: Buffer): Buffer {
  const text = event.toString()
  const chunk = parseObject(dataOf(text))
  if (!chunk || !('usage' in chunk)) return event
  const { usage, ...rest } = chunk as { usage: unknown; choices?: unknown }
  if (!isObject(usage)) return Buffer.from(text.replaceAll(NO_USAGE, ''))
  if (Array.isArray(rest.choices) && rest.choices.length === 0) return Buffer.alloc(0)
  // Some tell it beside the last content.
  return Buffer.from(text.replace(/^data:.*$/m, () => `data: ${JSON.stringify(rest)}`))
}
