// Waits for the first content of a body that is a stream of server-sent events: until then another target can be tried
// without the caller's notice.

import { isFrame } from '../../lib/stream-frames.ts'

/** A single event that is longer than this is content, whatever it is. */
const LONGEST_FRAME = 100_000

/** Reads up to the first content, or to the end. Returns a body that gives all of it. Rejects if it breaks before. */
export async function firstEvents(body: ReadableStream<Uint8Array>): Promise<ReadableStream<Uint8Array>> {
  const reader = body.getReader()
  const seen: ReadableStreamReadResult<Uint8Array>[] = []
  const decoder = new TextDecoder()
  let text = ''
  for (let content = false; !content;) {
    const result = await reader.read()
    seen.push(result)
    if (result.done) break
    const lines = (text + decoder.decode(result.value, { stream: true })).split('\n')
    text = lines.pop()!
    content = text.length > LONGEST_FRAME || lines.some(hasContent)
  }
  return new ReadableStream(
    {
      async pull(controller) {
        const { done, value } = seen.shift() ?? (await reader.read())
        if (done) controller.close()
        else controller.enqueue(value)
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  )
}

function hasContent(line: string): boolean {
  if (!line.startsWith('data:')) return false
  try {
    return !isFrame(JSON.parse(line.slice(5)))
  } catch {
    return true // '[DONE]', or no JSON.
  }
}
