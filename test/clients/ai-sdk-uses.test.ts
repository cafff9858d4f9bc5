// What is particular to the middleware of the `ai` SDK: its charges, its models left in mid-stream, the SDK's own tries,
// embeddings, and that both majors take it as their own.

import { readFileSync } from 'node:fs'
import { createAzure } from '@ai-sdk/azure'
import { createGoogleGenerativeAI } from '@ai-sdk/google'
import { createOpenAI } from '@ai-sdk/openai'
import {
  embed,
  generateText,
  type LanguageModelMiddleware,
  streamText,
  wrapEmbeddingModel,
  wrapLanguageModel,
} from 'ai'
import type { EmbeddingModelMiddleware, LanguageModelMiddleware as LanguageModelMiddleware6 } from 'ai-6'
import { afterEach, beforeEach, expect, expectTypeOf, test, vi } from 'vitest'
import { BucketRateLimiter, perModel } from 'llmiter'
import { limiterMiddleware } from 'llmiter/ai-sdk'
import * as google from './fixtures/google.ts'
import * as replies from './fixtures/openai.ts'
import { type Server, startServer } from './server.ts'
import { quickLimiter, soon, usedOf } from './stage.ts'

const prompt = 'What is the capital of France?'

let server: Server
let limiter: BucketRateLimiter
beforeEach(async () => {
  server = await startServer()
  server.replies(replies.chat())
  limiter = quickLimiter()
})
afterEach(async () => {
  await soon(() => limiter.stats().inFlight === 0)
  await server.close()
})

const bare = (model = 'gpt-5') => createOpenAI({ apiKey: 'any', baseURL: `${server.url}/v1` }).chat(model)
const limited = (model = 'gpt-5', middleware = limiterMiddleware(limiter)) =>
  wrapLanguageModel({ model: bare(model), middleware })

test('both majors take it for one of their own', () => {
  const middleware = limiterMiddleware(limiter)
  expectTypeOf(middleware).toExtend<LanguageModelMiddleware>()
  expectTypeOf(middleware).toExtend<LanguageModelMiddleware6>()
  expectTypeOf(middleware).toExtend<EmbeddingModelMiddleware>()
  expectTypeOf(limited()).toEqualTypeOf<ReturnType<typeof wrapLanguageModel>>()
  expect([limited().modelId, limited().provider]).toEqual(['gpt-5', 'openai.chat'])
})

test('one middleware, a limiter for each model', async () => {
  const service = perModel({ 'gpt-5*': { requestsPerMinute: 600 }, o4: { requestsPerMinute: 600 } })
  const middleware = limiterMiddleware(service)
  for (const model of ['gpt-5', 'gpt-5-mini', 'o4'])
    await generateText({ model: limited(model, middleware), prompt })
  expect(service.limiters().map((one) => [one.name, one.stats().issued])).toEqual([
    ['gpt-5*', 2],
    ['o4', 1],
  ])
})

test('the SDK’s own tries: each with a ticket; a quota is not tried again', async () => {
  server.replies({ ...replies.broken(), headers: { 'retry-after-ms': '5' } }, replies.rate(), replies.chat())
  expect((await generateText({ model: limited(), prompt, maxRetries: 1 })).text).toBe('Paris.')
  expect(server.seen).toHaveLength(3)
  expect(limiter.stats()).toMatchObject({ issued: 3, refused: 1 })
  server.replies(replies.quota())
  await expect(generateText({ model: limited(), prompt, maxRetries: 5 })).rejects.toMatchObject({
    ...{ statusCode: 429, isRetryable: false },
  })
  await expect(generateText({ model: limited(), prompt, maxRetries: 5 })).rejects.toMatchObject({
    code: 'QUOTA_EXHAUSTED',
  })
  expect(server.seen).toHaveLength(4)
})

test('a model’s stream that is left: its estimate stays, at once, and the server sees it go', async () => {
  server.replies(replies.chatStream({ frameMs: 30 }))
  const { stream } = await limited().doStream({
    prompt: [{ role: 'user', content: [{ type: 'text', text: prompt }] }],
  })
  for await (const part of stream as unknown as AsyncIterable<{ type: string }>)
    if (part.type === 'text-delta') break
  expect(limiter.stats().inFlight).toBe(0)
  await soon(() => server.seen[0]!.left)
  expect(usedOf(limiter, 'outputTokens')).toBeGreaterThan(12)
})

test('a stream that is left is read on by the SDK; aborted, it ends', async () => {
  server.replies(replies.chatStream({ frameMs: 30 }))
  const abort = new AbortController()
  const { textStream } = streamText({ model: limited(), prompt, abortSignal: abort.signal })
  for await (const word of textStream) if (word) break
  expect(limiter.stats().inFlight).toBe(1)
  abort.abort()
  await soon(() => limiter.stats().inFlight === 0)
  await soon(() => server.seen[0]!.left)
})

test('each provider’s own charge', async () => {
  const settings = { apiKey: 'any', baseURL: server.url }
  const charged = async (model: Parameters<typeof wrapLanguageModel>[0]['model']) => {
    const own = quickLimiter()
    const wrapped = wrapLanguageModel({ model, middleware: limiterMiddleware(own) })
    await generateText({ model: wrapped, prompt, maxOutputTokens: 4000 })
    return usedOf(own, 'tokens')
  }
  expect(await charged(bare())).toBe(4000)
  const azure = await charged(createAzure(settings).chat('mine'))
  expect(azure).toBeGreaterThan(4000)
  server.replies(google.plain())
  expect(await charged(createGoogleGenerativeAI(settings)('gemini-2.5-flash'))).toBe(9)
})

test('embeddings', async () => {
  server.replies(replies.rate(), replies.embeddings())
  const model = wrapEmbeddingModel({
    model: createOpenAI({ apiKey: 'any', baseURL: `${server.url}/v1` }).embeddingModel(
      'text-embedding-3-small',
    ),
    middleware: limiterMiddleware(limiter),
  })
  expect((await embed({ model, value: 'Hello' })).embedding).toEqual([0.1, 0.2])
  expect(limiter.stats()).toMatchObject({ issued: 2, refused: 1 })
  expect(usedOf(limiter, 'inputTokens')).toBe(5)
})

test('the SDK’s timeout is that of the whole call, its line included: give it a long one', async () => {
  const slow = () => new BucketRateLimiter({ name: 'slow', requestsPerMinute: 200, burst: 1, ramp: false })
  const both = async (timeout: number) => {
    const model = limited('gpt-5', limiterMiddleware(slow()))
    const call = () => generateText({ model, prompt, timeout, maxRetries: 0 })
    return (await Promise.allSettled([call(), call()])).map(({ status }) => status)
  }
  expect(await both(100)).toEqual(['fulfilled', 'rejected'])
  expect(await both(3_600_000)).toEqual(['fulfilled', 'fulfilled'])
})

test('the assumption about the SDK: the middleware runs inside its retry loop', () => {
  const { version } = JSON.parse(
    readFileSync(new URL('../../node_modules/ai/package.json', import.meta.url), 'utf8'),
  ) as { version: string }
  const called: string[] = []
  const model = wrapLanguageModel({
    model: bare(),
    middleware: {
      wrapGenerate: ({ doGenerate, params, model }) => {
        called.push(`${model.provider} ${model.modelId} ${Object.keys(params).includes('abortSignal')}`)
        return doGenerate()
      },
    },
  })
  return generateText({ model, prompt }).then(() =>
    expect(called, `ai ${version}`).toEqual(['openai.chat gpt-5 true']),
  )
})

test('what the provider throws before it sends takes nothing of the limit', async () => {
  vi.stubEnv('OPENAI_API_KEY', undefined)
  const model = wrapLanguageModel({
    model: createOpenAI({ baseURL: server.url }).chat('gpt-5'),
    middleware: limiterMiddleware(limiter),
  })
  await expect(generateText({ model, prompt })).rejects.toMatchObject({ name: 'AI_LoadAPIKeyError' })
  vi.unstubAllEnvs()
  expect([usedOf(limiter, 'requests'), usedOf(limiter, 'tokens')]).toEqual([0, 0])
})

test('wrong options are named', () => {
  expect(() => limiterMiddleware(5 as never)).toThrow('limits must be { models }, a BucketRateLimiter')
  expect(() => limiterMiddleware(limiter, { fast: 1 } as never)).toThrow(
    "limiterMiddleware has no option 'fast'",
  )
})
