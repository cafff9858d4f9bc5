// `fetch` itself, limited: what it is to its caller stays what it was.

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import OpenAI from 'openai'
import { afterEach, beforeEach, describe, expect, expectTypeOf, test } from 'vitest'
import { BucketRateLimiter } from 'llmiter'
import { limitFetch } from 'llmiter/fetch'
import * as replies from './fixtures/openai.ts'
import { type Server, startServer } from './server.ts'
import { quickLimiter, soon, usedOf } from './stage.ts'
import { stories } from './stories.ts'

const body = JSON.stringify({
  model: 'gpt-5',
  messages: [{ role: 'user', content: 'What is the capital of France?' }],
})

class Refused extends Error {
  readonly status: number
  constructor(status: number) {
    super(`HTTP ${status}`)
    this.status = status
  }
}

async function post(fetch: typeof globalThis.fetch, call?: { signal?: AbortSignal }): Promise<Response> {
  const response = await fetch('/v1/chat/completions', { method: 'POST', body, ...call })
  if (!response.ok) throw new Refused(response.status)
  return response
}

interface Chunk {
  choices: { delta: { content?: string } }[]
  error?: { message: string }
}

async function* words(response: Response): AsyncGenerator<string> {
  let text = ''
  for await (const bytes of response.body!.pipeThrough(new TextDecoderStream())) {
    text += bytes
    const lines = text.split('\n\n')
    text = lines.pop()!
    for (const line of lines.filter((one) => one !== 'data: [DONE]')) {
      const { choices, error } = JSON.parse(line.slice(6)) as Chunk
      if (error) throw new Error(error.message)
      yield choices[0]?.delta.content ?? ''
    }
  }
}

stories<typeof globalThis.fetch>({
  name: 'fetch',
  client: (url) => (input, init) => fetch(new URL(String(input), url), init),
  limit: limitFetch,
  plain: async (client, call) =>
    ((await (await post(client, call)).json()) as { choices: { message: { content: string } }[] }).choices[0]!
      .message.content,
  stream: async (client, call) => words(await post(client, call)),
  abortError: DOMException as unknown as new () => Error,
  refusedError: Refused,
  isFetch: true,
  replies: { ...replies, plain: replies.chat, stream: replies.chatStream },
  used: { inputTokens: 9, outputTokens: 12 },
})

describe('fetch', () => {
  let server: Server
  beforeEach(async () => {
    server = await startServer()
  })
  afterEach(() => server.close())

  const limiter = quickLimiter()
  const limited = limitFetch(fetch, limiter)

  test('has the type of the bare one', () => {
    expectTypeOf(limited).toExtend<typeof fetch>()
  })

  test('takes a Request, as often as it is refused', async () => {
    server.replies(replies.rateSilent(), replies.rateSilent(), replies.chat())
    const request = new Request(`${server.url}/v1/chat/completions`, { method: 'POST', body })
    const response = await limited(request)
    expect(response.status).toBe(200)
    await response.json()
    expect(server.seen.map(({ body }) => body.model)).toEqual(['gpt-5', 'gpt-5', 'gpt-5'])
  })

  test('gives a Response with all it had', async () => {
    server.replies({ ...replies.chat(), status: 201 })
    const response = await limited(`${server.url}/v1/responses`, { method: 'POST', body })
    expect(response).toBeInstanceOf(Response)
    expect(response).toMatchObject({ status: 201, statusText: 'Created', ok: true, redirected: false })
    expect(response.url).toBe(`${server.url}/v1/responses`)
    expect(response.headers.get('openai-version')).toBe('2020-10-01')
    expect(await response.clone().json()).toEqual(await response.json())
  })

  test('a refusal that waiting does not help can be read', async () => {
    server.replies(replies.oversize())
    const response = await limited(`${server.url}/v1/responses`, { method: 'POST', body })
    expect(response.status).toBe(429)
    expect(await response.json()).toEqual(replies.oversize().body)
  })

  test('a body that streams is sent once: its refusal reaches the caller, and the limiter', async () => {
    const own = quickLimiter()
    server.replies(replies.rate({ 'retry-after': '5' }))
    const stream = new Blob([body]).stream()
    const response = await limitFetch(fetch, own)(`${server.url}/v1/responses`, {
      method: 'POST',
      body: stream,
      duplex: 'half',
    } as RequestInit)
    expect(response.status).toBe(429)
    expect(own.stats()).toMatchObject({ refused: 1, gate: 'closed', inFlight: 0, parked: 0 })
  })

  test.each([
    ['/v1beta/models/gemini-3-flash:generateContent', {}, 'gemini-3-flash'],
    ['/openai/deployments/my%20gpt/chat/completions?api-version=1', {}, 'my gpt'],
    ['/model/anthropic.claude-v2/invoke', {}, 'anthropic.claude-v2'],
    ['/v1/chat/completions', { model: 'gpt-5' }, 'gpt-5'],
  ])('finds the model of %s', async (path, request, model) => {
    server.replies(replies.chat())
    const byModel = limitFetch(fetch, { models: { [model]: { requestsPerMinute: 60 } } })
    expect((await byModel(server.url + path, { method: 'POST', body: JSON.stringify(request) })).status).toBe(
      200,
    )
    await expect(
      byModel(server.url + path.replaceAll('g', 'h'), { method: 'POST', body: '{"model":"x"}' }),
    ).rejects.toThrow('has no limits for the model')
  })

  test('what generates nothing is free, or takes a request', async () => {
    server.replies(replies.models())
    const [free, counted] = [quickLimiter(), quickLimiter()]
    const calls: [string, RequestInit][] = [
      ['/v1/models', {}],
      ['/v1/files', { method: 'POST', body: new FormData() }],
      ['/v1/batches', { method: 'POST', body: '{}' }],
      ['/v1/messages/count_tokens', { method: 'POST', body }],
      ['/v1beta/models/gemini-3-flash:countTokens', { method: 'POST', body }],
    ]
    for (const [path, init] of calls) {
      await (await limitFetch(fetch, free)(server.url + path, init)).text()
      await (await limitFetch(fetch, counted, { otherCalls: 'requests' })(server.url + path, init)).text()
    }
    expect(usedOf(free, 'requests')).toBe(0)
    expect(usedOf(counted, 'requests')).toBe(calls.length)
    expect(usedOf(counted, 'tokens')).toBe(0)
  })

  test('a body that nobody reads gives its ticket back when it is collected', async () => {
    setFlagsFromString('--expose-gc')
    const gc = runInNewContext('gc') as () => void
    const own = quickLimiter()
    server.replies(replies.chat())
    await limitFetch(fetch, own)(`${server.url}/v1/responses`, { method: 'POST', body })
    expect(own.stats().inFlight).toBe(1)
    await soon(() => {
      gc()
      return own.stats().inFlight === 0
    })
  })

  test('under an SDK the wait counts against its timeout: raise that, and turn its retries off', async () => {
    server.replies(replies.chat())
    const slow = () => new BucketRateLimiter({ name: 'slow', requestsPerMinute: 40, burst: 1, ramp: false })
    const ask = async (timeout: number) => {
      const openai = new OpenAI({
        ...{ apiKey: 'any', baseURL: `${server.url}/v1`, logLevel: 'off' },
        ...{ fetch: limitFetch(fetch, slow()), timeout, maxRetries: 0 },
      })
      const call = () => openai.chat.completions.create({ model: 'gpt-5', messages: [] })
      return Promise.allSettled([call(), call()])
    }
    const [short, long] = await Promise.all([ask(1000), ask(3_600_000)])
    expect(short.map(({ status }) => status)).toEqual(['fulfilled', 'rejected'])
    expect(long.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled'])
  })

  test.each<[unknown[], string]>([
    [[undefined, limiter], 'fetch must be a function, got undefined'],
    [[fetch, undefined], 'limits must be { models }, a BucketRateLimiter, a RateLimitedService or options'],
    [[fetch, { models: { a: {} }, limiter }], "'limiter' cannot be given next to models, only parent can"],
    [
      [fetch, { models: 5 }],
      "models must be like { 'gpt-5': { requestsPerMinute: 500 }, default: … }, got 5",
    ],
    [[fetch, { models: {} }], 'models must be like'],
    [[fetch, {}], "'limitFetch' has no limit; known: requestsPerMinute, tokensPerMinute"],
    [[fetch, {}], "Limits by model: { models: { 'gpt-5': { … } } }"],
    [[fetch, { 'gpt-5': { requestsPerMinute: 5 } }], "has no option 'gpt-5'"],
    [[fetch, { 'gpt-5': { requestsPerMinute: 5 } }], "Limits by model: { models: { 'gpt-5': { … } } }"],
    [[fetch, { models: { a: {} } }], "limits of the model 'a': 'a' has no limit"],
    [
      [fetch, { models: { a: { requestsPerMinute: 0 } } }],
      "limits of the model 'a': requestsPerMinute must be a number above 0, got 0",
    ],

    [
      [fetch, limiter, { other: 1 }],
      "limitFetch has no option 'other' (did you mean 'otherCalls'?); known: countTokens, tenant",
    ],
    [[fetch, limiter, { otherCalls: 'none' }], "otherCalls must be 'free' or 'requests', got 'none'"],
    [[fetch, limiter, { countTokens: 5 }], 'countTokens must be a function, got 5'],
  ])('%#: wrong options are named', (args, message) => {
    expect(() => (limitFetch as (...args: unknown[]) => unknown)(...args)).toThrow(message)
  })
})
