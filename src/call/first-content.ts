// Waits for the first content of a stream. Until then a failure can be retried without the caller noticing.

import { replayStream } from '../lib/replay-stream.ts'
import { isFrame } from '../lib/stream-frames.ts'

type Iterate = () => AsyncIterator<unknown>
type Readable = Record<PropertyKey, unknown>

/**
 * Waits until the stream has delivered its first content or ended. Returns a stream that delivers all of it.
 * Rejects with the stream's error if it fails before that. Streams that cannot be iterated are returned unchanged.
 */
export async function firstContent(value: object): Promise<object> {
  if (typeof ReadableStream === 'function' && value instanceof ReadableStream) return firstOfWeb(value)
  const stream = value as Readable
  // Node streams can also be read by events, and no event may be missed.
  if (typeof stream.on === 'function' || typeof stream[Symbol.asyncIterator] !== 'function') return value
  const iterator = (stream[Symbol.asyncIterator] as Iterate).call(stream)
  const seen = await ahead(() => iterator.next())
  const next = iterator.next.bind(iterator)
  const replay = () => {
    const first = seen.shift()
    return first ? Promise.resolve(first) : next()
  }
  if ((iterator as unknown) === value) {
    iterator.next = replay
    return value
  }
  // SDK streams also use `iterator` for `tee` and `toReadableStream`.
  const name = typeof stream.iterator === 'function' ? 'iterator' : Symbol.asyncIterator
  Object.defineProperty(stream, name, {
    configurable: true,
    writable: true,
    value: () => {
      const again: AsyncIterableIterator<unknown> = {
        next: replay,
        return: (result) =>
          iterator.return?.(result) ?? Promise.resolve({ done: true, value: result as unknown }),
        [Symbol.asyncIterator]: () => again,
      }
      return again
    },
  })
  return value
}

async function ahead(next: () => Promise<IteratorResult<unknown>>): Promise<IteratorResult<unknown>[]> {
  const seen: IteratorResult<unknown>[] = []
  for (;;) {
    const result = await next()
    seen.push(result)
    if (result.done || !isFrame(result.value)) return seen
  }
}

async function firstOfWeb(source: ReadableStream): Promise<ReadableStream> {
  const reader = source.getReader()
  return replayStream(await ahead(() => reader.read() as Promise<IteratorResult<unknown>>), reader)
}
