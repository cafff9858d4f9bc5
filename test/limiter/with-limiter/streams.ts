// Streams of every kind that a function may return, each with the numbers 1, 2, 3, or broken off after 2.

import { Readable } from 'node:stream'
import { withLimiter } from 'llmiter'
import { leftovers, rig } from '../../helpers.ts'

/** Like the streams of the openai and anthropic SDKs, whose `tee` and `toReadableStream` use `iterator`. */
export class SdkStream<T> {
  readonly iterator: () => AsyncIterator<T>
  constructor(iterator: () => AsyncIterator<T>) {
    this.iterator = iterator
  }
  [Symbol.asyncIterator]() {
    return this.iterator()
  }
  tee(): [SdkStream<T>, SdkStream<T>] {
    const source = this.iterator()
    const queues: Promise<IteratorResult<T>>[][] = [[], []]
    const side = (queue: Promise<IteratorResult<T>>[]) =>
      new SdkStream<T>(() => ({
        next: () => {
          if (queue.length === 0) {
            const result = source.next()
            for (const other of queues) other.push(result)
          }
          return queue.shift()!
        },
      }))
    return [side(queues[0]!), side(queues[1]!)]
  }
  toReadableStream(): ReadableStream<T> {
    const iterator = this[Symbol.asyncIterator]()
    return new ReadableStream<T>({
      pull: async (controller) => {
        const { done, value } = await iterator.next()
        if (done) controller.close()
        else controller.enqueue(value)
      },
      cancel: async () => void (await iterator.return?.()),
    })
  }
}
export class OwnStream extends ReadableStream<unknown> {}

export async function* numbers(fails = false) {
  yield 1
  yield 2
  if (fails) throw new Error('broken off')
  yield 3
}
export const source = (fails = false, type?: 'bytes') => {
  let n = 0
  return {
    ...(type && { type }),
    pull: (controller: ReadableStreamDefaultController) => {
      if (++n === 3 && fails) controller.error(new Error('broken off'))
      else if (n === 4) controller.close()
      else controller.enqueue(type ? new Uint8Array([n]) : n)
    },
  }
}

export type Made = AsyncIterable<unknown>
export const kinds: [string, (fails?: boolean) => Made][] = [
  ['an async generator', (fails) => numbers(fails)],
  ['an async iterable', (fails) => ({ [Symbol.asyncIterator]: () => numbers(fails) })],
  ['a stream of an SDK', (fails) => new SdkStream(() => numbers(fails))],
  ['a ReadableStream', (fails) => new ReadableStream(source(fails))],
  ['a ReadableStream of bytes', (fails) => new ReadableStream(source(fails, 'bytes') as never)],
  ['a subclass of ReadableStream', (fails) => new OwnStream(source(fails))],
  ['a Readable of Node', (fails) => Readable.from(numbers(fails))],
]

export async function opened(make: (fails?: boolean) => Made, fails = false) {
  const { clock, limiter } = rig({ maxConcurrent: 1 })
  const original = make(fails)
  const stream = await withLimiter(async () => original, limiter)()
  return { clock, limiter, original, stream, left: () => leftovers(limiter, clock) }
}
export const settled = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
