import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import OpenAI from 'openai'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  classify,
  headersOf,
  mergeUsage,
  readLimits,
  readUsage,
  type Usage,
} from '../../src/responses/index.ts'
import { openaiNoMoney, openaiTokens, openaiTooLarge } from './bodies.ts'

interface Reply {
  status?: number
  headers?: Record<string, string>
  body?: string
  does?: 'hang' | 'reset'
}

let server: Server
let openai: OpenAI
let reply: Reply

beforeAll(async () => {
  server = createServer((request, response) => {
    request.resume().on('end', () => {
      if (reply.does === 'reset') request.socket.destroy()
      if (reply.does) return
      response.writeHead(reply.status ?? 200, { 'content-type': 'application/json', ...reply.headers })
      response.end(reply.body)
    })
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})
beforeEach(() => {
  const { port } = server.address() as AddressInfo
  openai = new OpenAI({ apiKey: 'none', baseURL: `http://127.0.0.1:${port}`, maxRetries: 0 })
})

const messages = [{ role: 'user' as const, content: 'Hello' }]
const ask = (signal?: AbortSignal) =>
  openai.chat.completions.create({ model: 'gpt-5', messages }, signal ? { signal } : {})
const askStream = () => openai.chat.completions.create({ model: 'gpt-5', messages, stream: true })
const failure = (call: PromiseLike<unknown>) =>
  call.then(
    () => expect.unreachable(),
    (error: unknown) => error,
  )

test('a refusal by tokens tells the limit, the window, the wait and what other limits have left', async () => {
  reply = {
    status: 429,
    headers: {
      'retry-after-ms': '1600',
      'x-ratelimit-limit-requests': '500',
      'x-ratelimit-remaining-requests': '499',
      'x-ratelimit-reset-requests': '120ms',
    },
    body: JSON.stringify(openaiTokens),
  }
  const error = await failure(ask())
  expect(error).toBeInstanceOf(OpenAI.RateLimitError)
  expect(classify({ error }, Date.now())).toEqual({
    kind: 'rate',
    of: 'tokens',
    limit: 200_000,
    perMs: 60_000,
    waitMs: 1600,
    status: 429,
    reason: '429 rate_limit_exceeded: tokens per min',
  })
  expect(readLimits(headersOf(error), Date.now())).toEqual([
    { of: 'requests', perMs: 60_000, limit: 500, remaining: 499, resetMs: 120 },
  ])
})

test.each([
  ['quota', 429, openaiNoMoney],
  ['oversize', 429, openaiTooLarge],
  ['overload', 503, {}],
  ['transient', 500, {}],
])('%s', async (kind, status, body) => {
  reply = { status, body: JSON.stringify(body) }
  expect(classify({ error: await failure(ask()) }, Date.now())?.kind).toBe(kind)
})

test('a bad key is the caller’s own business', async () => {
  reply = { status: 401, body: '{"error":{"code":"invalid_api_key","type":"invalid_request_error"}}' }
  expect(classify({ error: await failure(ask()) }, Date.now())).toBeUndefined()
})

test('a refusal in the middle of a stream has no status, only a code', async () => {
  reply = {
    headers: { 'content-type': 'text/event-stream' },
    body: `data: {"choices":[]}\n\ndata: ${JSON.stringify(openaiTokens)}\n\n`,
  }
  const read = async () => {
    for await (const chunk of await askStream()) expect(chunk).toEqual({ choices: [] })
  }
  const error = await failure(read())
  expect(error).toMatchObject({ status: undefined, code: 'rate_limit_exceeded' })
  expect(classify({ error }, Date.now())).toMatchObject({ kind: 'rate', of: 'tokens', waitMs: 1574 })
})

test('a connection that breaks or hangs is transient', async () => {
  openai = openai.withOptions({ timeout: 200 })
  for (const does of ['reset', 'hang'] as const) {
    reply = { does }
    const error = await failure(ask())
    expect(error).toBeInstanceOf(OpenAI.APIConnectionError)
    expect(classify({ error }, Date.now())?.kind).toBe('transient')
  }
})

test('an abort is neither', async () => {
  reply = { does: 'hang' }
  const error = await failure(ask(AbortSignal.abort()))
  expect(error).toBeInstanceOf(OpenAI.APIUserAbortError)
  expect(classify({ error }, Date.now())).toBeUndefined()
})

test('usage is read from the result and over the stream', async () => {
  const usage = { prompt_tokens: 5, completion_tokens: 7, total_tokens: 12 }
  reply = { body: JSON.stringify({ choices: [], usage }) }
  expect(readUsage(await ask())).toEqual({ inputTokens: 5, outputTokens: 7, tokens: 12 })
  reply = {
    headers: { 'content-type': 'text/event-stream' },
    body: `data: {"choices":[{}],"usage":null}\n\ndata: ${JSON.stringify({ choices: [], usage })}\n\ndata: [DONE]\n\n`,
  }
  let merged: Usage | undefined
  for await (const chunk of await askStream()) merged = mergeUsage(merged, chunk)
  expect(merged).toEqual({ inputTokens: 5, outputTokens: 7, tokens: 12 })
})
