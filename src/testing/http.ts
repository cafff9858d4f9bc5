/**
 * Decides how a model provider is put on the network: an HTTP server on loopback that speaks OpenAI's API.
 *
 * Between a model and a real SDK lie headers, bodies, streams and broken connections, and that is where limiters
 * fail. `node:http` is imported when a server is started, so that this entry also loads in a browser.
 */
import type { AddressInfo } from 'node:net'
import { systemClock } from '../scheduler/clock.ts'
import { OpenAiService } from './openai/service.ts'
import { callableOrNone, drawn, fields, positive, provider, text } from './check.ts'
import type { HttpProviderOptions, HttpRequestCounters } from './http-options.ts'

/** A provider that listens on loopback. */
export interface HttpProvider {
  /** What an SDK takes as its base URL: `http://127.0.0.1:49152/v1`. */
  readonly url: string
  /** The port it listens on. */
  readonly port: number
  /** What it has seen so far. */
  readonly requests: HttpRequestCounters
  /** Stops at once: open connections are cut. May be called again. */
  close(): Promise<void>
}

/**
 * Starts a provider on 127.0.0.1, on a free port. It needs Node, Deno or Bun; elsewhere it rejects with an error
 * that says so.
 *
 * Rejects with a `TypeError` that names an option that is wrong.
 *
 * It serves `POST /v1/chat/completions` and `/v1/responses`, plain and as a stream, `POST /v1/embeddings`, and
 * `GET /v1/models`, with OpenAI's headers (`x-ratelimit-*`, `retry-after`, `retry-after-ms`, `x-request-id`)
 * and error bodies. Answers depend on nothing but the request: a token is four characters, in and out, so that
 * a test can tell the usage beforehand.
 *
 * @example
 * const provider = await startHttpProvider({ model: new TokenBucketProvider({ requestsPerMinute: 60 }) })
 * const openai = new OpenAI({ apiKey: 'any', baseURL: provider.url, maxRetries: 0 })
 * await openai.responses.create({ model: 'gpt-5', input: 'What is the capital of France?' })
 * console.log(provider.requests.byStatus) // { '200': 1 }
 * await provider.close()
 */
export async function startHttpProvider(options: HttpProviderOptions): Promise<HttpProvider> {
  check(options)
  // The `catch` also lets bundlers for browsers go on without the module.
  const { createServer } = await import('node:http').catch((cause: unknown) => {
    throw new Error('startHttpProvider needs node:http, which this runtime does not have', { cause })
  })
  const service = new OpenAiService({ clock: systemClock, ...options })
  const server = createServer((request, response) => void service.serve(request, response))
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as AddressInfo
  let closed: Promise<void> | undefined
  return {
    url: `http://127.0.0.1:${port}/v1`,
    port,
    requests: service.counters,
    close: () =>
      (closed ??= new Promise((resolve) => {
        server.close(() => resolve())
        // Streams and hanging answers would else keep the server open for as long as they like.
        server.closeAllConnections()
      })),
  }
}

function check(options: HttpProviderOptions): void {
  const known = ['model', 'latencyMs', 'tokensPerSecond', 'answerTokens', 'chaos', 'clock']
  fields(options, 'startHttpProvider', known)
  const { model, latencyMs = 0, tokensPerSecond, answerTokens = 16, chaos, clock = systemClock } = options
  const byName = typeof model === 'object' && model !== null && !('ask' in model) ? Object.entries(model) : []
  for (const [name, one] of byName) provider(one, `model '${name}'`)
  if (byName.length === 0) provider(model, 'model')
  drawn(latencyMs, 'latencyMs')
  drawn(answerTokens, 'answerTokens')
  if (tokensPerSecond !== undefined) positive(tokensPerSecond, 'tokensPerSecond')
  callableOrNone(chaos, 'chaos')
  for (const method of ['now', 'wall', 'setTimer'] as const)
    if (typeof clock[method] !== 'function')
      throw new TypeError(`clock must have now(), wall() and setTimer(), got ${text(clock)}`)
}
