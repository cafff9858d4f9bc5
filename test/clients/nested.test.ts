// Limited clients within calls of the same limiter, and within each other: one ticket for each request that is sent.

import { createOpenAI } from '@ai-sdk/openai'
import { generateText, streamText, wrapLanguageModel } from 'ai'
import OpenAI from 'openai'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type BucketRateLimiter, limitersOf, withLimiter } from 'llmiter'
import { limiterMiddleware } from 'llmiter/ai-sdk'
import { runAll } from 'llmiter/batch'
import { limitFetch } from 'llmiter/fetch'
import { limitOpenAI } from 'llmiter/openai'
import { each } from '../helpers.ts'
import * as replies from './fixtures/openai.ts'
import { type Server, startServer } from './server.ts'
import { quickLimiter, soon, usedOf } from './stage.ts'

let server: Server
let limiter: BucketRateLimiter
beforeEach(async () => {
  server = await startServer()
  server.replies(replies.chat())
  limiter = quickLimiter({ maxConcurrent: 2 })
})
afterEach(() => server.close())

const messages = [{ role: 'user' as const, content: 'What is the capital of France?' }]
const bare = (options: { fetch?: typeof fetch } = {}) =>
  new OpenAI({ apiKey: 'any', baseURL: `${server.url}/v1`, maxRetries: 0, ...options })
const ask = (client: OpenAI) => client.chat.completions.create({ model: 'gpt-5', messages })
const modelOf = (options: { fetch?: typeof fetch } = {}) =>
  wrapLanguageModel({
    model: createOpenAI({ apiKey: 'any', baseURL: `${server.url}/v1`, ...options }).chat('gpt-5'),
    middleware: limiterMiddleware(limiter),
  })
const times = (count: number, call: () => PromiseLike<unknown>) =>
  Promise.all(Array.from({ length: count }, call))

const nests: [string, () => Promise<unknown>][] = [
  [
    'runAll over a limited OpenAI client',
    () => {
      const client = limitOpenAI(bare(), limiter)
      const items = Array.from({ length: 40 }, (_, i) => i)
      return each(
        runAll(items, () => ask(client), { limiter }),
        (result) => {
          if (!result.ok) throw result.error
        },
      )
    },
  ],
  [
    'runAll with a limited client for its limiter',
    async () => {
      const client = limitOpenAI(bare(), limiter)
      const results = await runAll.toArray(Array(40), () => ask(client), { limiter: client })
      expect(results.filter(({ ok }) => !ok)).toEqual([])
    },
  ],
  [
    'runAll with a limited client, and no limiter of its own',
    async () => {
      const client = limitOpenAI(bare(), limiter)
      const results = await runAll.toArray(Array(40), () => ask(client))
      expect(results.filter(({ ok }) => !ok)).toEqual([])
    },
  ],
  [
    'withLimiter around a limited OpenAI client',
    () => {
      const client = limitOpenAI(bare(), limiter)
      return times(
        40,
        withLimiter(() => ask(client), limiter),
      )
    },
  ],
  [
    'run around a limited client, after an await',
    () => {
      const client = limitOpenAI(bare(), limiter)
      return times(40, () => limiter.run(async () => ask(await Promise.resolve(client))))
    },
  ],
  [
    'a limited client over a limited fetch',
    () => {
      const client = limitOpenAI(bare({ fetch: limitFetch(fetch, limiter) }), limiter)
      return times(40, () => ask(client))
    },
  ],
  [
    'a middleware of the AI SDK over a limited fetch',
    () => {
      const model = modelOf({ fetch: limitFetch(fetch, limiter) })
      return times(40, () => generateText({ model, prompt: 'Hello', maxRetries: 0 }))
    },
  ],
  [
    'run around all of these',
    () => {
      const model = modelOf({ fetch: limitFetch(fetch, limiter) })
      return times(40, () => limiter.run(() => generateText({ model, prompt: 'Hello', maxRetries: 0 })))
    },
  ],
]

test.each(nests)('%s', async (_, make) => {
  await make()
  expect(server.seen.length).toBe(40)
  expect(limiter.stats()).toMatchObject({ issued: 40, finished: 40, failed: 0, inFlight: 0, waiting: 0 })
  expect(usedOf(limiter, 'outputTokens')).toBe(40 * 12)
})

test.each(nests)('%s: a refusal is waited out once', async (_, make) => {
  server.replies(replies.rate({ 'retry-after-ms': '50' }), replies.chat())
  await make()
  expect(server.seen.length).toBe(41)
  expect(limiter.stats()).toMatchObject({ requests: 40, issued: 41, refused: 1, finished: 40, inFlight: 0 })
})

test('runAll over a client with limits by model: each item’s model is read, where it has one', async () => {
  const client = limitOpenAI(bare(), {
    models: { 'gpt-5': { requestsPerMinute: 60_000, maxConcurrent: 2 }, default: { requestsPerMinute: 1 } },
  })
  const named = await runAll.toArray(Array(20).fill({ model: 'gpt-5' }), () => ask(client), {
    limiter: client,
  })
  const unnamed = await runAll.toArray(Array(20).fill('Hello'), () => ask(client), { limiter: client })
  expect([...named, ...unnamed].filter(({ ok }) => !ok)).toEqual([])
  const { default: rest, 'gpt-5': own } = limitersOf(client).stats()
  expect([own!.issued, rest!.issued, server.seen.length]).toEqual([40, 0, 40])
})

test('a stream of a middleware over a limited fetch', async () => {
  server.replies(replies.chatStream())
  const model = modelOf({ fetch: limitFetch(fetch, limiter) })
  await times(6, async () => {
    const { textStream } = streamText({ model, prompt: 'Hello' })
    await each(textStream)
  })
  await soon(() => limiter.stats().inFlight === 0)
  expect(server.seen.length).toBe(6)
  expect(usedOf(limiter, 'outputTokens')).toBe(6 * 12)
})
