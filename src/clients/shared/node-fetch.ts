// Converts answers of node-fetch, which old SDKs use. Their bodies are Node streams. The bodies that are read here
// are replaced by web streams, which those SDKs can read too.

import { type Fetch, renewed } from './attempt.ts'

/** Bodies that the SDK itself reads to the end. Other bodies (audio, files) go to the caller unchanged. */
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
