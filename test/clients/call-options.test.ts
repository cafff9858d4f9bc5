// Options for some calls of a limited client, and the way from a client to its limiters.

import Anthropic from '@anthropic-ai/sdk'
import { createOpenAI } from '@ai-sdk/openai'
import { GoogleGenAI } from '@google/genai'
import { GoogleGenerativeAI } from '@google/generative-ai'
import { Mistral } from '@mistralai/mistralai'
import { generateText, type LanguageModel, wrapLanguageModel } from 'ai'
import Groq from 'groq-sdk'
import { type BucketRateLimiter, limitersOf, WaitTimeoutError } from 'llmiter'
import { type LimiterMiddleware, limiterMiddleware } from 'llmiter/ai-sdk'
import { limitAnthropic } from 'llmiter/anthropic'
import { limitFetch } from 'llmiter/fetch'
import { limitGoogle } from 'llmiter/google'
import { limitGoogleGenerativeAI } from 'llmiter/google-generative-ai'
import { limitGroq } from 'llmiter/groq'
import { limitMistral } from 'llmiter/mistral'
import { type ClientCallOptions, type Limited, limitOpenAI } from 'llmiter/openai'
import OpenAI from 'openai'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import * as anthropic from './fixtures/anthropic.ts'
import * as google from './fixtures/google.ts'
import * as groq from './fixtures/groq.ts'
import * as mistral from './fixtures/mistral.ts'
import * as openai from './fixtures/openai.ts'
import { type Reply, type Server, startServer } from './server.ts'
import { quickLimiter } from './stage.ts'

let server: Server
beforeEach(async () => {
  server = await startServer()
})
afterEach(() => server.close())

/** A limited client, and one call with it. */
interface Kind<C extends object> {
  limit: (limiter: BucketRateLimiter) => Limited<C>
  ask: (client: C, prompt: string) => Promise<unknown>
  reply: Reply
}
const kind = <C extends object>(kind: Kind<C>): Kind<object> => kind as unknown as Kind<object>
const messages = (content: string) => [{ role: 'user' as const, content }]

const kinds: Record<string, Kind<object>> = {
  openai: kind({
    limit: (limiter) => limitOpenAI(new OpenAI({ apiKey: 'any', baseURL: server.url }), limiter),
    ask: (client: OpenAI, prompt) =>
      client.chat.completions.create({ model: 'gpt-5', messages: messages(prompt) }),
    reply: openai.chat(),
  }),
  anthropic: kind({
    limit: (limiter) => limitAnthropic(new Anthropic({ apiKey: 'any', baseURL: server.url }), limiter),
    ask: (client: Anthropic, prompt) =>
      client.messages.create({ ...{ model: 'm', max_tokens: 5 }, messages: messages(prompt) }),
    reply: anthropic.plain(),
  }),
  groq: kind({
    limit: (limiter) => limitGroq(new Groq({ apiKey: 'any', baseURL: server.url }), limiter),
    ask: (client: Groq, prompt) => client.chat.completions.create({ model: 'm', messages: messages(prompt) }),
    reply: groq.plain(),
  }),
  mistral: kind({
    limit: (limiter) => limitMistral(new Mistral({ apiKey: 'any', serverURL: server.url }), limiter),
    ask: (client: Mistral, prompt) => client.chat.complete({ model: 'm', messages: messages(prompt) }),
    reply: mistral.plain(),
  }),
  google: kind({
    limit: (limiter) =>
      limitGoogle(new GoogleGenAI({ apiKey: 'any', httpOptions: { baseUrl: server.url } }), limiter),
    ask: (client: GoogleGenAI, prompt) => client.models.generateContent({ model: 'm', contents: prompt }),
    reply: google.plain(),
  }),
  'google-generative-ai': kind({
    limit: (limiter) => limitGoogleGenerativeAI(new GoogleGenerativeAI('any'), limiter),
    ask: (client: GoogleGenerativeAI, prompt) =>
      client.getGenerativeModel({ model: 'm' }, { baseUrl: server.url }).generateContent(prompt),
    reply: google.plain(),
  }),
  fetch: kind({
    limit: (limiter) => limitFetch(fetch, limiter),
    ask: (send: typeof fetch, prompt) =>
      send(`${server.url}/v1/chat/completions`, { method: 'POST', body: JSON.stringify({ prompt }) }).then(
        (response) => response.text(),
      ),
    reply: openai.chat(),
  }),
  'ai-sdk': kind({
    limit: (limiter) => limiterMiddleware(limiter),
    ask: (middleware: LimiterMiddleware, prompt) =>
      generateText({
        model: wrapLanguageModel({
          model: createOpenAI({ apiKey: 'any', baseURL: server.url }).chat('gpt-5'),
          middleware,
        }),
        ...{ prompt, maxRetries: 0 },
      }),
    reply: openai.chat(),
  }),
}

/** The prompts in the order in which they arrived. */
const arrived = () => server.seen.map(({ body }) => /(first|job|chat)/.exec(JSON.stringify(body))?.[1])

describe.each(Object.keys(kinds))('%s', (name) => {
  const { limit, ask, reply } = kinds[name]!

  test('a view of the client goes first, and shares the limiter', async () => {
    server.replies({ ...reply, delayMs: 20 })
    const limiter = quickLimiter({ maxConcurrent: 1 })
    const client = limit(limiter)
    const chat = client.withLimiterOptions({ priority: 1, tenant: 'people' })
    expect(chat.constructor).toBe(client.constructor)
    await Promise.all([ask(client, 'first'), ask(client, 'job'), ask(client, 'job'), ask(chat, 'chat')])
    expect(arrived()).toEqual(['first', 'chat', 'job', 'job'])
    expect(limiter.stats().finished).toBe(4)
  })

  test('it waits as long as it may, whatever the others do', async () => {
    server.replies({ ...reply, delayMs: 100 })
    const client = limit(quickLimiter({ maxConcurrent: 1 }))
    const busy = ask(client, 'first')
    const error = await ask(client.withLimiterOptions({ maxWaitMs: 5 }), 'chat').catch(
      (error: unknown) => error,
    )
    const chain = [error, (error as Error).cause]
    expect(chain.some((one) => one instanceof WaitTimeoutError)).toBe(true)
    await busy
    expect(arrived()).toEqual(['first'])
  })

  test('from the client to its limiters', async () => {
    server.replies(reply)
    const limiter = quickLimiter()
    const client = limit(limiter)
    const group = limitersOf(client.withLimiterOptions({ priority: 1 }))
    let finished = 0
    const off = group.on('finish', () => finished++)
    await ask(client, 'first')
    await group.drain()
    off()
    await ask(client, 'first')
    await group.drain()
    expect(finished).toBe(1)
    expect(group.limiters()).toEqual([limiter])
    expect(group.stats()['quick']!.finished).toBe(2)
    group.stop('over')
    await expect(ask(client, 'first')).rejects.toThrow()
    expect(server.seen).toHaveLength(2)
  })

  test.each<[object, string]>([
    [{ prio: 1 }, 'prio'],
    [{ tenant: 5 }, 'tenant'],
  ])('invalid options are reported immediately: %j', (options, word) => {
    const client = limit(quickLimiter())
    expect(() => client.withLimiterOptions(options as ClientCallOptions)).toThrow(word)
  })
})

test('the AI SDK has them for each call', async () => {
  server.replies({ ...openai.chat(), delayMs: 20 })
  const middleware = limiterMiddleware(quickLimiter({ maxConcurrent: 1 }))
  const model: LanguageModel = wrapLanguageModel({
    model: createOpenAI({ apiKey: 'any', baseURL: server.url }).chat('gpt-5'),
    middleware,
  })
  const say = (prompt: string, llmiter: ClientCallOptions = {}) =>
    generateText({ model, prompt, maxRetries: 0, providerOptions: { llmiter: { ...llmiter } as never } })
  await Promise.all([say('first'), say('job'), say('chat', { priority: 1 })])
  expect(arrived()).toEqual(['first', 'chat', 'job'])
  await expect(say('first', { prio: 1 } as ClientCallOptions)).rejects.toThrow(/prio/)
})

test('limits by model: later limiters are heard too', async () => {
  server.replies(openai.chat())
  const client = limitOpenAI(new OpenAI({ apiKey: 'any', baseURL: server.url }), {
    models: { default: { requestsPerMinute: 60_000 } },
  })
  const group = limitersOf(client)
  const names: string[] = []
  group.on('finish', ({ limiter }) => names.push(limiter))
  await client.chat.completions.create({ model: 'gpt-9', messages: messages('first') })
  await group.drain()
  expect(names).toEqual(['gpt-9'])
  expect(Object.keys(group.stats())).toEqual(['default', 'gpt-9'])
})

test('a service may be an instance of a class', async () => {
  server.replies(openai.chat())
  const limiter = quickLimiter()
  class Service {
    readonly name = 'mine'
    limiterFor() {
      return limiter
    }
  }
  const bare = new OpenAI({ apiKey: 'any', baseURL: server.url })
  const client = limitOpenAI(bare, new Service()).withLimiterOptions({ priority: 1 })
  await client.chat.completions.create({ model: 'gpt-9', messages: messages('first') })
  expect(limitersOf(client).limiters()).toEqual([limiter])
})

test('a client without a limiter has none', () => {
  expect(() => limitersOf(new OpenAI({ apiKey: 'any' }))).toThrow(/needs a limited client/)
  expect(() => limitersOf(undefined as never)).toThrow(/got undefined/)
})
