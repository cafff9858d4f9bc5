/**
 * Serves a simulated model provider over HTTP, on loopback, with OpenAI's API.
 *
 * Headers, bodies, streams and broken connections lie between a model and a real SDK, and limiters often fail
 * there. `node:http` is imported when a server is started, so that this entry also loads in a browser.
 */
import type { AddressInfo } from 'node:net'
import { systemClock } from '../scheduler/clock.ts'
import { OpenAiService } from './openai/service.ts'
import { callableOrNone, drawn, fields, positive, provider, text } from './check.ts'
import type { HttpProviderOptions, HttpRequestCounters } from './http-options.ts'

/** A provider that listens on loopback. */
export interface HttpProvider {
  /** The base URL for an SDK: `http://127.0.0.1:49152/v1`. */
  readonly url: string
  /** The port it listens on. */
  readonly port: number
  /** The records of its requests so far. */
  readonly requests: HttpRequestCounters
  /** Stops immediately and closes open connections. May be called again. */
  close(): Promise<void>
}

/**
 * Starts a provider on a free port of 127.0.0.1. It needs Node, Deno or Bun. Elsewhere it rejects with an error
 * that says so.
 *
 * Rejects with a `TypeError` that names an invalid option.
 *
 * It serves `POST /v1/chat/completions` and `/v1/responses`, with and without streaming, `POST /v1/embeddings`,
 * and `GET /v1/models`, with OpenAI's headers (`x-ratelimit-*`, `retry-after`, `retry-after-ms`, `x-request-id`)
 * and error bodies. Answers depend only on the request. A token is four characters of input or output, so a test
 * can compute the usage in advance.
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
  // The `catch` also lets bundlers for browsers continue without the module.
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
        // Otherwise streams and hanging answers would keep the server open.
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
