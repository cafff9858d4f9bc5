// Reads the usage and late refusals from the body of a response while its bytes pass through.
//
// The bytes are passed on unchanged. Only what is needed is kept: of an event stream the current event, and of a
// plain answer the beginning and the end. Between those, embeddings and images can be megabytes. What cannot be
// parsed is ignored.

import { mergeUsage, type Usage } from 'llmiter'

export interface BodyEvents {
  /** The provider has sent everything relevant, although the body may not have ended. */
  done(usage: Usage | undefined): void
  /** The call failed in the middle of its answer. */
  failed(error: unknown): void
}

const MOST_CHARS = 1_000_000
const ENDS = 100_000

/** Matches events worth parsing. Most events of a stream contain only text of the answer. */
const TELLING =
  /"(usage|usageMetadata|x_groq)"\s*:\s*\{|"error"(?!\s*:\s*null)|"message_stop"|"response\.(completed|incomplete|failed)"/
const LAST = /^(message_stop|response\.(completed|incomplete|failed))$/
/** Finds the usage in an answer that is too long to be parsed. It is at the beginning or the end. */
const USAGE = /"(?:usage|usageMetadata)"\s*:\s*(\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\})/

export class BodyReader {
  readonly #decoder = new TextDecoder()
  readonly #events: BodyEvents
  readonly #streams: boolean
  #text = ''
  /** The lines read so far of a value written over several lines. */
  #open = ''
  #long = false
  #usage: Usage | undefined

  constructor(contentType: string, events: BodyEvents) {
    this.#streams = /event-stream|ndjson|jsonl/i.test(contentType)
    this.#events = events
  }

  /** Takes the next bytes, or `undefined` at the end. Returns the usage known so far. */
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
   * Searches only the new bytes, because a long line in small pieces must not be searched again for each. A `\r\n`
   * that is split between chunks yields an extra empty line, which is ignored.
   */
  #lines(added: string): void {
    const lines = added.split(/\r\n|\n|\r/)
    const last = lines.pop()!
    for (const line of lines) {
      this.#line(this.#text + line)
      this.#text = ''
    }
    this.#text += last
    // Without event framing, this may be the last line.
    if (this.#open && this.#text === '}') {
      this.#text = ''
      this.#line('}')
    }
    // A picture may be one line of megabytes, and contains nothing relevant.
    if (this.#text.length > MOST_CHARS) this.#text = 'skipped'
  }

  #line(line: string): void {
    const data = line.startsWith('data:') ? line.slice(5).trim() : this.#bare(line)
    if (data === '[DONE]') this.#events.done(this.#usage)
    else if (TELLING.test(data)) this.#told(parse(data))
  }

  /** Parses JSON without event framing: one value per line, or indented, as Gemini writes an error in mid-stream. */
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
