// Waits for the first content of a body that is a stream of server-sent events. Until then, another target can be
// tried without the caller noticing.

import { replayStream } from '../../lib/replay-stream.ts'
import { isFrame } from '../../lib/stream-frames.ts'
import { BodyReader } from './body.ts'

/** A single event longer than this counts as content. */
const LONGEST_FRAME = 100_000

/** The beginning of a stream, up to its first content or its end. */
export interface FirstEvents {
  /** The whole stream from its beginning. */
  readonly body: ReadableStream<Uint8Array>
  /** The stream reported, before any content, that the call failed. */
  readonly failure?: unknown
}

/** Reads up to the first content or to the end. Rejects if the connection breaks before that. */
export async function firstEvents(body: ReadableStream<Uint8Array>): Promise<FirstEvents> {
  const reader = body.getReader()
  let failure: unknown
  const watch = new BodyReader('text/event-stream', { done() {}, failed: (error) => (failure = error) })
  const decides = (line: string) => {
    watch.read(`${line}\n`)
    return failure !== undefined || hasContent(line)
  }
  const seen: ReadableStreamReadResult<Uint8Array>[] = []
  const decoder = new TextDecoder()
  let text = ''
  for (let decided = false; !decided;) {
    const result = await reader.read()
    seen.push(result)
    if (result.done) break
    const lines = (text + decoder.decode(result.value, { stream: true })).split('\n')
    text = lines.pop()!
    decided = text.length > LONGEST_FRAME || lines.some(decides)
  }
  // Nothing else follows, and the rest may never be read, so the ticket must not be held for it.
  if (failure !== undefined) await reader.cancel()
  return { body: replayStream(seen, reader), failure }
}

function hasContent(line: string): boolean {
  if (!line.startsWith('data:')) return false
  try {
    return !isFrame(JSON.parse(line.slice(5)))
  } catch {
    return true // '[DONE]', or not JSON.
  }
}
