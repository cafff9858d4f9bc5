// Passes a provider's answer on as it arrives. A limiter and a budget need to know its usage, whether it failed,
// and when its first content arrived. So each piece carries this information next to its bytes.

import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { isObject } from '../lib/validate.ts'
import { brokenBy, BrokenError } from './errors.ts'
import type { Headers } from './headers.ts'
import type { Secrets } from './secrets.ts'

/** Some bytes of an answer, and what they contain. */
export interface Piece {
  readonly bytes: Buffer
  /** The kind of the event, until the first content has arrived. */
  readonly type?: string
  /** The object that holds the provider's counts. */
  readonly usage?: object
  readonly usageMetadata?: object
  /** The provider's description of a failure. */
  readonly error?: unknown
}

/** A complete answer. */
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
 * The usage, from the last object of that name. Quotes inside strings are escaped, so only a property name
 * matches.
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

/** The object that follows a property name: `: { … }`. */
function objectAt(bytes: Buffer, from: number): object | undefined {
  const text = bytes.toString('latin1', from, from + LONGEST_USAGE)
  const begin = /^\s*:\s*\{/.exec(text)?.[0].length
  if (begin === undefined) return undefined
  let depth = 1
  let end = begin
  // Usage objects contain only numbers and names, so no string contains braces.
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

/** The status for a failure reported inside a stream, which has none. */
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

/** The failure that an event reports, or undefined. */
function failureOf(data: string): { status: number; error: object } | undefined {
  const found = data.includes('"error"') ? parseObject(data) : undefined
  if (!found) return undefined
  const { error, type } = found as { error?: unknown; type?: unknown }
  if (isObject(error)) return { status: statusIn(error), error: found }
  // OpenAI's Responses API reports it without nesting.
  return type === 'error' ? { status: statusIn(found), error: { error: found } } : undefined
}

const DATA = Buffer.from('data:')
/** Lines end with LF, CRLF or CR. */
const BLANK_LINES = ['\n\n', '\n\r\n', '\r\r'].map((line) => Buffer.from(line))
const LINE_END = /\r\n|\n|\r/
const EVENT_END = /(?:\r\n|\n|\r(?!\n)){2}/
/** A longer event is passed on in parts. */
const LONGEST_EVENT = 1_000_000
/** How many bytes may wait for a slow reader before reading from the provider pauses. */
const MOST_WAITING = 256 * 1024

/** How an event stream is changed, and how its failures are handled. */
export interface StreamTerms {
  /** Only the gateway asked for the usage, so it is removed from the stream. */
  readonly hideUsage: boolean
  /** Values that must not appear in it. */
  readonly secrets: Secrets
  /** Creates the error for a failure that an event reports before any content. */
  readonly failed: (status: number, error: object) => Error
  /** How long the provider may be silent, in ms. */
  readonly silenceMs: number | undefined
  readonly signal: AbortSignal | undefined
  /** Called when the stream has ended, failed, or was left. */
  readonly over: (stream: StreamEnd) => void
}

/** What is known about a stream when it is over. */
export interface StreamEnd {
  /** Whether it was read to its regular end. */
  readonly whole: boolean
  readonly usage: Pick<Piece, 'usage' | 'usageMetadata'>
  /** The number of events. Each holds about one token. */
  readonly events: number
}

type Next = IteratorResult<Piece, undefined>
const DONE: Next = Object.freeze({ done: true, value: undefined })

/** A stream of events, or any body too long to be buffered. Read it as an iterator. */
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

  /** `content`: the decoded body of the message. */
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

  /** The first content has arrived. From here on the reader handles failures, and events are combined. */
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

  /** The reader has left, so the provider's connection is closed immediately. */
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

  /** Passes on an incomplete event, except the beginning of a secret if more bytes follow. */
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

  /** Gemini's streams may be one JSON array, split anywhere. */
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

  /** Later counts replace earlier ones, each separately. */
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

/** The position after the last complete event. */
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

/**
 * The type of an event: `event: message_start`, or the type named first in its data. Events without data
 * (comments) are not content.
 */
function typeOf(event: Buffer): string | undefined {
  const text = event.toString('latin1', 0, 300)
  if (!/^data:/m.test(text)) return 'ping'
  return /^event: ?(\S+)/m.exec(text)?.[1] ?? /^data: ?\{"type": ?"([\w.]+)"/m.exec(text)?.[1]
}

const USAGE = Buffer.from('"usage"')

/**
 * Removes the usage from chunks of a chat whose client did not ask for it, and the chunk that contains only usage.
 */
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
  // Some providers report it in the last chunk with content.
  return Buffer.from(text.replace(/^data:.*$/m, () => `data: ${JSON.stringify(rest)}`))
}
