// Reads what a call asks for from the bytes of its body, without parsing them. Only a few top-level fields are
// searched for, and strings are skipped. So the body is passed on unchanged.

import { GatewayError } from './errors.ts'

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const COLON = 0x3a
const BLANK = 0x20
const OPEN = new Set([0x7b, 0x5b])
const CLOSE = new Set([0x7d, 0x5d])
const LETTER_T = 0x74
const MOST_DEPTH = 100

/** The position of a value in the body. */
interface Span {
  readonly start: number
  readonly end: number
}

export interface BodyShape {
  readonly model: string | undefined
  readonly stream: boolean
  readonly streamOptions: Span | undefined
  /** The position after the opening brace of the object. */
  readonly inside: number
}

const EMPTY: BodyShape = { model: undefined, stream: false, streamOptions: undefined, inside: -1 }
const WANTED = new Set(['model', 'stream', 'stream_options'])

/** Scans a JSON object once, and records the positions of the needed top-level values. */
class Scan {
  readonly found = new Map<string, Span>()
  readonly #bytes: Buffer
  #depth = 0
  #key: string | undefined
  #start = -1

  constructor(bytes: Buffer, from: number) {
    this.#bytes = bytes
    for (let i = from; i < bytes.length; i++) {
      const byte = bytes[i]!
      if (byte === QUOTE) i = this.#string(i)
      else if (OPEN.has(byte)) this.#open(i)
      else if (CLOSE.has(byte)) this.#close(i)
      else if (this.#depth === 1) this.#other(byte, i)
    }
  }

  /** Returns where the string ends. */
  #string(at: number): number {
    const end = stringEnd(this.#bytes, at)
    if (this.#depth === 1) {
      if (this.#key === undefined) this.#key = keyAt(this.#bytes, at, end)
      else if (this.#start < 0) this.#start = at
    }
    return end - 1
  }

  #open(at: number): void {
    if (this.#depth === 1 && this.#start < 0) this.#start = at
    if (++this.#depth > MOST_DEPTH)
      throw new GatewayError(400, 'too_deep', `the body is nested more than ${MOST_DEPTH} levels deep`)
  }

  #close(at: number): void {
    if (--this.#depth === 0) this.#endValue(at)
  }

  /** Handles everything between strings and nested values: a number or a word, a comma, a colon, white space. */
  #other(byte: number, at: number): void {
    if (byte === COMMA) this.#endValue(at)
    else if (this.#key !== undefined && this.#start < 0 && byte > BLANK && byte !== COLON) this.#start = at
  }

  #endValue(end: number): void {
    if (this.#key !== undefined && this.#start >= 0 && WANTED.has(this.#key))
      this.found.set(this.#key, { start: this.#start, end })
    this.#key = undefined
    this.#start = -1
  }
}

/** @throws GatewayError when values are nested too deep. */
export function shapeOf(bytes: Buffer): BodyShape {
  const brace = bytes.indexOf('{')
  // Other text before the brace means that it is not a JSON object.
  if (brace < 0 || /\S/.test(bytes.toString('latin1', 0, Math.min(brace, 100)))) return EMPTY
  const { found } = new Scan(bytes, brace)
  const stream = found.get('stream')
  return {
    model: modelAt(bytes, found.get('model')),
    stream: stream !== undefined && bytes[stream.start] === LETTER_T,
    streamOptions: found.get('stream_options'),
    inside: brace + 1,
  }
}

/** The position after a string that begins at `start`. */
function stringEnd(bytes: Buffer, start: number): number {
  const quote = bytes.indexOf(QUOTE, start + 1)
  if (quote < 0) return bytes.length
  if (bytes[quote - 1] !== BACKSLASH) return quote + 1
  // A string with one escaped quote usually has many. From here on, each byte is checked.
  for (let i = start + 1; i < bytes.length; i++) {
    if (bytes[i] === BACKSLASH) i++
    else if (bytes[i] === QUOTE) return i + 1
  }
  return bytes.length
}

const LONGEST_KEY = 100

function keyAt(bytes: Buffer, start: number, end: number): string {
  if (end - start > LONGEST_KEY) return ''
  const key = bytes.toString('latin1', start + 1, end - 1)
  return key.includes('\\') ? String(parsed(bytes, { start, end })) : key
}

function modelAt(bytes: Buffer, span: Span | undefined): string | undefined {
  if (!span || bytes[span.start] !== QUOTE) return undefined
  const model = parsed(bytes, span)
  return typeof model === 'string' ? model : undefined
}

function parsed(bytes: Buffer, { start, end }: Span): unknown {
  try {
    return JSON.parse(bytes.toString('utf8', start, end))
  } catch {
    return undefined
  }
}

/** The body that makes a stream report its usage at the end. Undefined if it already asks for that. */
export function askForUsage(bytes: Buffer, { streamOptions, inside }: BodyShape): Buffer | undefined {
  if (inside < 0) return undefined
  if (!streamOptions)
    return splice(bytes, { start: inside, end: inside }, '"stream_options":{"include_usage":true},')
  const said: unknown = parsed(bytes, streamOptions)
  if (said === undefined || (Object(said) as { include_usage?: unknown }).include_usage === true)
    return undefined
  return splice(bytes, streamOptions, JSON.stringify({ ...Object(said), include_usage: true }))
}

const splice = (bytes: Buffer, { start, end }: Span, text: string): Buffer =>
  Buffer.concat([bytes.subarray(0, start), Buffer.from(text), bytes.subarray(end)])
