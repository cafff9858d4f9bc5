// Old SDKs bring node-fetch along, whose answers have streams of Node for bodies. What is read here, and by those SDKs,
// is as well a stream of the web.

import { type Fetch, renewed } from './attempt.ts'

/** What is read to its end by the SDK itself. Anything else (sound, files) goes to its caller as it is. */
const READ_BY_SDK = /json|event-stream/i

export const withWebBody =
  (fetch: Fetch): Fetch =>
  async (input, init) => {
    const response = await fetch(input, init)
    const { body, ok, headers } = response as Omit<Response, 'body'> & { body: object | null }
    if (!body || 'getReader' in body || !(Symbol.asyncIterator in body)) return response
    if (ok && !READ_BY_SDK.test(headers.get('content-type') ?? '')) return response
    return renewed(response, streamOf(body as AsyncIterable<Uint8Array>))
  }

function streamOf(chunks: AsyncIterable<Uint8Array>): ReadableStream<Uint8Array> {
  const iterator = chunks[Symbol.asyncIterator]()
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await iterator.next()
      if (done) controller.close()
      else controller.enqueue(value)
    },
    async cancel() {
      await iterator.return?.()
    },
  })
}
