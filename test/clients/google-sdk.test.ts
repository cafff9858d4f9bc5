// What is particular to @google/genai: its parts, its charge, its refusals, and the hooks that the limiter rests on.

import { readFileSync } from 'node:fs'
import { Chat, GoogleGenAI, Models } from '@google/genai'
import { GoogleGenAI as GoogleGenAI2 } from 'genai-2'
import { afterEach, beforeEach, describe, expect, expectTypeOf, test } from 'vitest'
import { BucketRateLimiter } from 'llmiter'
import { googleService, limitGoogle } from 'llmiter/google'
import * as replies from './fixtures/google.ts'
import { type Server, startServer } from './server.ts'
import { quickLimiter, soon, usedOf } from './stage.ts'

const versions = [
  { name: '@google/genai 3', Client: GoogleGenAI, folder: '@google/genai' },
  { name: '@google/genai 2', Client: GoogleGenAI2 as unknown as typeof GoogleGenAI, folder: 'genai-2' },
]
const ask = { model: 'gemini-2.5-flash', contents: 'What is the capital of France?' }

describe.each(versions)('$name', ({ Client, folder }) => {
  let server: Server
  let limiter: BucketRateLimiter
  beforeEach(async () => {
    server = await startServer()
    limiter = quickLimiter()
  })
  afterEach(async () => {
    await soon(() => limiter.stats().inFlight === 0)
    await server.close()
  })

  test('each text of a batch of embeddings takes a request, unless told otherwise', async () => {
    const texts = Array.from({ length: 5 }, (_, i) => `text ${i}`)
    const taken: number[] = []
    for (const options of [{}, { countEmbeddings: 'per-call' as const }]) {
      server.replies(replies.embedding())
      const before = limiter.stats().limits[0]!.asked
      const client = limitGoogle(bareClient(), limiter, options)
      await client.models.embedContent({ model: 'gemini-embedding-001', contents: texts })
      taken.push(limiter.stats().limits[0]!.asked - before)
    }
    expect(taken).toEqual([5, 1])
    const wrong = { countEmbeddings: 'each' } as never
    expect(() => limitGoogle(bareClient(), limiter, wrong)).toThrow(/countEmbeddings must be 'per-text'/)
  })

  type HttpOptions = NonNullable<ConstructorParameters<typeof GoogleGenAI>[0]>['httpOptions']
  const bareClient = (httpOptions: HttpOptions = {}) =>
    new Client({ apiKey: 'any', httpOptions: { baseUrl: server.url, ...httpOptions } })

  test('its class, its type, its settings; the bare one stays bare', async () => {
    server.replies(replies.plain())
    const bare = bareClient({ headers: { 'x-team': 'blue' } })
    const client = limitGoogle(bare, limiter)
    expect(client).toBeInstanceOf(Client)
    expectTypeOf(limitGoogle(new GoogleGenAI({ apiKey: 'any' }), limiter)).toExtend<GoogleGenAI>()
    expect(client.vertexai).toBe(bare.vertexai)
    await client.models.generateContent(ask)
    expect(server.seen[0]!.headers).toMatchObject({ 'x-team': 'blue', 'x-goog-api-key': 'any' })
    await bare.models.generateContent(ask)
    expect(limiter.stats().issued).toBe(1)
  })

  test('a client of Vertex keeps its project, its place and its way to sign', async () => {
    server.replies(replies.plain())
    const bare = new Client({
      ...{ vertexai: true, project: 'p', location: 'europe-west4' },
      googleAuthOptions: {
        authClient: { getRequestHeaders: () => new Headers({ authorization: 'Bearer any' }) } as never,
      },
      httpOptions: { baseUrl: server.url },
    })
    const client = limitGoogle(bare, { models: { 'gemini-2.5*': { requestsPerMinute: 600 } } })
    expect((await client.models.generateContent(ask)).text).toBe('Paris.')
    expect(server.seen[0]).toMatchObject({
      path: '/v1beta1/projects/p/locations/europe-west4/publishers/google/models/gemini-2.5-flash:generateContent',
      headers: { authorization: 'Bearer any' },
    })
  })

  test('a chat, a stream of a chat, embeddings, an interaction; counting tokens is free', async () => {
    const client = limitGoogle(bareClient(), limiter)
    server.replies(replies.rate(), replies.plain(), replies.stream())
    const chat = client.chats.create({ model: 'gemini-2.5-flash' })
    expect((await chat.sendMessage({ message: 'Hello' })).text).toBe('Paris.')
    let text = ''
    for await (const chunk of await chat.sendMessageStream({ message: 'Again' })) text += chunk.text
    expect(text).toBe('Paris.')
    expect(chat.getHistory().filter(({ role }) => role === 'user')).toHaveLength(2)
    await soon(() => limiter.stats().inFlight === 0)
    expect([usedOf(limiter, 'requests'), usedOf(limiter, 'tokens')]).toEqual([3, 18])
    server.replies(replies.embedding())
    await client.models.embedContent({ model: 'gemini-embedding-001', contents: 'Hello' })
    expect(usedOf(limiter, 'requests')).toBe(4)
    const before = usedOf(limiter, 'tokens')
    server.replies(replies.rate(), replies.interaction())
    expect((await client.interactions.create({ model: 'gemini-2.5-flash', input: 'Hello' })).id).toBe('v1_1')
    await soon(() => limiter.stats().inFlight === 0)
    expect(usedOf(limiter, 'tokens') - before).toBe(9)
    expect(usedOf(limiter, 'requests')).toBe(6)
    server.replies(replies.tokens())
    expect((await client.models.countTokens(ask)).totalTokens).toBe(9)
    expect(usedOf(limiter, 'requests')).toBe(6)
  })

  test('a limiter for a family, and one for the model of a path', async () => {
    server.replies(replies.plain())
    const service = googleService({
      'gemini-2.5*': { requestsPerMinute: 600 },
      'tunedModels/mine': { requestsPerMinute: 600 },
    })
    const client = limitGoogle(bareClient(), service)
    await client.models.generateContent(ask)
    await client.models.generateContent({ ...ask, model: 'models/gemini-2.5-pro' })
    await client.models.generateContent({ ...ask, model: 'tunedModels/mine' })
    expect(service.limiters().map((one) => [one.name, one.stats().issued])).toEqual([
      ['gemini-2.5*', 2],
      ['tunedModels/mine', 1],
    ])
    await expect(client.models.generateContent({ ...ask, model: 'gemma' })).rejects.toThrow(
      "has no limits for the model 'gemma'",
    )
  })

  test('the input alone is charged, counted by the caller’s own counter if there is one', async () => {
    const small = new BucketRateLimiter({
      name: 'small',
      limits: [{ of: 'inputTokens', amount: 1000, per: '1d' }],
    })
    const client = limitGoogle(bareClient(), small, { countTokens: () => 400 })
    server.replies({ ...replies.plain(), delayMs: 50 })
    const config = { maxOutputTokens: 1_000_000 }
    const call = client.models.generateContent({ ...ask, config })
    await soon(() => server.seen.length === 1)
    expect(small.stats().limits[0]!.available).toBe(600)
    await call
    await soon(() => small.stats().limits[0]!.available === 991)
    const tooLong = limitGoogle(bareClient(), small, { countTokens: () => 1001 })
    await expect(tooLong.models.generateContent(ask)).rejects.toMatchObject({ code: 'REQUEST_TOO_LARGE' })
    expect(server.seen).toHaveLength(1)
  })

  test('RetryInfo is obeyed; the day’s quota waits for midnight in California, not for its RetryInfo', async () => {
    const client = limitGoogle(bareClient(), limiter)
    const waits: (number | undefined)[] = []
    limiter.on('refuse', ({ verdict }) => waits.push(verdict.waitMs))
    server.replies(replies.rate({ 'retry-after-ms': '120' }), replies.plain())
    await client.models.generateContent(ask)
    expect(server.seen[1]!.atMs - server.seen[0]!.atMs).toBeGreaterThan(115)
    server.replies(replies.quota())
    await expect(client.models.generateContent(ask)).rejects.toThrow(/PerDay/)
    expect(waits[0]).toBe(120)
    const hour = Number(
      new Date(Date.now() + waits[1]!)
        .toLocaleTimeString('en-GB', { timeZone: 'America/Los_Angeles' })
        .slice(0, 2),
    )
    expect(hour % 23).toBe(0)
  })

  test('a refusal as an event of the stream tells the limiter too', async () => {
    const client = limitGoogle(bareClient(), limiter)
    server.replies(replies.refusedMidwayAsEvent())
    const read = async () => {
      for await (const chunk of await client.models.generateContentStream(ask)) expect(chunk.text).toBe('Pa')
    }
    await expect(read()).rejects.toMatchObject({ status: 429 })
    await soon(() => limiter.stats().refused === 1)
  })

  const retryOptions = { attempts: 4, initialDelay: 0.01, jitter: 0 }

  test('its own retries: not for what waits in line, nor for what the line says', async () => {
    server.replies(replies.quota())
    const client = limitGoogle(bareClient({ retryOptions: { ...retryOptions, initialDelay: 5 } }), limiter)
    await expect(client.models.generateContent(ask)).rejects.toMatchObject({ status: 429 })
    await expect(client.models.generateContent(ask)).rejects.toMatchObject({ code: 'QUOTA_EXHAUSTED' })
    expect(server.seen).toHaveLength(1)
  })

  test('its own retries: aborted in line before a second try, and nothing is left behind', async () => {
    const one = quickLimiter({ maxConcurrent: 1 })
    server.replies(replies.broken(), { ...replies.plain(), delayMs: 200 })
    const client = limitGoogle(bareClient({ retryOptions }), one)
    const abort = new AbortController()
    const first = client.models.generateContent({ ...ask, config: { abortSignal: abort.signal } })
    await soon(() => server.seen.length === 1)
    const second = client.models.generateContent(ask)
    await soon(() => server.seen.length === 2)
    await soon(() => one.stats().waiting === 1)
    abort.abort(new Error('a reason of the caller'))
    await expect(first).rejects.toMatchObject({ name: 'AbortError' })
    expect((await second).text).toBe('Paris.')
    expect(one.stats()).toMatchObject({ waiting: 0, inFlight: 0 })
  })

  test('a fetch of the user’s own is used, and what Node’s is given stays', async () => {
    const system = globalThis.fetch
    const inits: (RequestInit | undefined)[] = []
    server.replies(replies.plain())
    const own: typeof fetch = (input, init) => {
      inits.push(init)
      return system(input, init)
    }
    await limitGoogle(bareClient({ fetch: own } as HttpOptions), limiter).models.generateContent(ask)
    expect(inits).toHaveLength(1)
    globalThis.fetch = own
    try {
      await limitGoogle(bareClient(), limiter).models.generateContent(ask)
    } finally {
      globalThis.fetch = system
    }
    // Without it undici gives up after five minutes without headers.
    expect(inits[1]).toHaveProperty('dispatcher')
  })

  test('asks by a call of one token whether the model accepts again, when it is told to', async () => {
    const service = googleService(
      { 'gemini-2.5*': { requestsPerMinute: 60_000 } },
      { probeWith: bareClient() },
    )
    const isProbe = ({ body }: Server['seen'][number]) =>
      (body as { generationConfig?: { maxOutputTokens?: number } }).generationConfig?.maxOutputTokens === 1
    server.replies(replies.rate(), replies.rate(), replies.plain())
    expect((await limitGoogle(bareClient(), service).models.generateContent(ask)).text).toBe('Paris.')
    expect(server.seen.map(isProbe)).toEqual([false, true, true, false])
  })

  test('checks the private hooks of the SDK', () => {
    const { version } = JSON.parse(
      readFileSync(new URL(`../../node_modules/${folder}/package.json`, import.meta.url), 'utf8'),
    ) as { version: string }
    const { apiClient } = bareClient() as unknown as {
      apiClient: Record<string, (...args: unknown[]) => unknown>
    }
    const hooks = ['apiCall', 'processStreamResponse', 'getFetch', 'unaryApiCall', 'streamApiCall']
    expect(
      hooks.map((name) => apiClient[name]?.length),
      `${folder} ${version}`,
    ).toEqual([6, 1, 0, 7, 7])
    // `apiCall` is given: url, init, retryOptions, timeout, abortSignal, fetch.
    expect(String(apiClient['apiCall'])).toMatch(
      /^async apiCall\(url, requestInit, retryOptions, timeout, abortSignal, fetchFn\)/,
    )
  })

  test('a client whose parts are unknown is refused', () => {
    expect(() => limitGoogle({ models: {} } as never, limiter)).toThrow(
      'limitGoogle needs a client of @google/genai 1.0 or later, got Object',
    )
    const older = bareClient() as unknown as { apiClient: { apiCall: unknown } }
    older.apiClient.apiCall = async (url: string) => fetch(url)
    expect(() => limitGoogle(older as never, limiter)).toThrow('1.0 or later, got GoogleGenAI')
    expect(() => limitGoogle(bareClient(), limiter, { fast: true } as never)).toThrow(
      "limitGoogle has no option 'fast'",
    )
  })
})

test('the parts of a limited client are those of the SDK', () => {
  const client = limitGoogle(new GoogleGenAI({ apiKey: 'any' }), quickLimiter())
  expect(client.models).toBeInstanceOf(Models)
  expect(client.chats.create({ model: 'x' })).toBeInstanceOf(Chat)
})
