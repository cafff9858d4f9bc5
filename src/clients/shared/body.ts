// Reads what a response's body says of its usage, and whether it was refused on the way, as the bytes pass by.
//
// The bytes are not ours: they are looked at and handed on. So this keeps no more than it needs: of a stream of
// events the one that is under way, of a plain answer its beginning and its end, between which embeddings and
// images can be megabytes. What cannot be read says nothing.

import { mergeUsage, type Usage } from 'llmiter'

export interface BodyEvents {
  /** The provider has nothing more to say, though the body may not have ended yet. */
  done(usage: Usage | undefined): void
  /** It failed in the middle of its answer. */
  failed(error: unknown): void
}

const MOST_CHARS = 1_000_000
const ENDS = 100_000

/** Events that are worth parsing; a stream is mostly words of the answer. */
const TELLING =
  /"(usage|usageMetadata|x_groq)"\s*:\s*\{|"error"(?!\s*:\s*null)|"message_stop"|"response\.(completed|incomplete|failed)"/
const LAST = /^(message_stop|response\.(completed|incomplete|failed))$/
/** The usage of an answer that is too long to be parsed: it stands at its beginning or its end. */
const USAGE = /"(?:usage|usageMetadata)"\s*:\s*(\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\})/

export class BodyReader {
  readonly #decoder = new TextDecoder()
  readonly #events: BodyEvents
  readonly #streams: boolean
  #text = ''
  /** Of a value that is written over several lines, those that have come. */
  #open = ''
  #long = false
  #usage: Usage | undefined

  constructor(contentType: string, events: BodyEvents) {
    this.#streams = /event-stream|ndjson|jsonl/i.test(contentType)
    this.#events = events
  }

  /** Takes the next bytes, or `undefined` at the end. Returns the usage, as far as it is known. */
  read(chunk: unknown): Usage | undefined {
    if (chunk === undefined) this.#end()
    else if (chunk instanceof Uint8Array || typeof chunk === 'string') this.#add(chunk)
    return this.#usage
  }

  #add(chunk: Uint8Array | string): void {
    const added = typeof chunk === 'string' ? chunk : this.#decoder.decode(chunk, { stream: true })
    if (this.#streams) this.#lines(added)
    else {
      this.#text += added
      if (this.#text.length <= MOST_CHARS) return
      this.#long = true
      this.#text = this.#text.slice(0, ENDS) + this.#text.slice(-ENDS)
    }
  }

  /**
   * Searches only what is new: a long line that comes in small pieces must not be read again with each of them. A
   * `\r\n` that is cut in two gives an empty line more, which says nothing.
   */
  #lines(added: string): void {
    const lines = added.split(/\r\n|\n|\r/)
    const last = lines.pop()!
    for (const line of lines) {
      this.#line(this.#text + line)
      this.#text = ''
    }
    this.#text += last
    // The last line of what comes without a frame may be the last there is.
    if (this.#open && this.#text === '}') {
      this.#text = ''
      this.#line('}')
    }
    // A picture may be one line of megabytes, and says nothing that counts.
    if (this.#text.length > MOST_CHARS) this.#text = 'skipped'
  }

  #line(line: string): void {
    const data = line.startsWith('data:') ? line.slice(5).trim() : this.#bare(line)
    if (data === '[DONE]') this.#events.done(this.#usage)
    else if (TELLING.test(data)) this.#told(parse(data))
  }

  /** JSON without a frame: a line each, or, as Gemini writes an error in the middle of a stream, indented. */
  #bare(line: string): string {
    if (!this.#open && line !== '{') return line.startsWith('{') ? line : ''
    this.#open = this.#open.length > MOST_CHARS ? '' : this.#open + line
    if (line !== '}') return ''
    const whole = this.#open
    this.#open = ''
    return whole
  }

  #end(): void {
    const text = this.#text + this.#decoder.decode()
    this.#text = ''
    if (this.#streams) this.#line(text)
    else if (!this.#long) this.#told(parse(text))
    else this.#usage = mergeUsage(this.#usage, { usage: parse(USAGE.exec(text)?.[1] ?? '') })
  }

  #told(data: unknown): void {
    this.#usage = mergeUsage(this.#usage, data)
    const { type, object, error, response } = Object(data) as {
      type?: unknown
      object?: unknown
      error?: unknown
      response?: { error?: unknown }
    }
    if (error || type === 'error' || object === 'error' || response?.error) this.#events.failed(data)
    else if (LAST.test(String(type))) this.#events.done(this.#usage)
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
