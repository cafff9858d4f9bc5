// SDKs without a common place for their requests, over a pool: Google's, Mistral's and the AI SDK.

import { createOpenAI } from '@ai-sdk/openai'
import { GoogleGenAI } from '@google/genai'
import { Mistral } from '@mistralai/mistralai'
import { generateText, type LanguageModel, streamText } from 'ai'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { BucketRateLimiter } from 'llmiter'
import { poolModel } from 'llmiter/ai-sdk'
import { limitGoogle } from 'llmiter/google'
import { limitMistral } from 'llmiter/mistral'
import { createPool, type PoolOptions } from 'llmiter/pool'
import * as google from './fixtures/google.ts'
import * as mistral from './fixtures/mistral.ts'
import * as openai from './fixtures/openai.ts'
import { type Reply, type Server, startServer } from './server.ts'

let servers: Record<'a' | 'b', Server>
beforeEach(async () => {
  servers = { a: await startServer(), b: await startServer() }
})
afterEach(() => Promise.all(Object.values(servers).map((server) => server.close())))
const sent = () => [servers.a.seen.length, servers.b.seen.length]

function poolOf<C>(client: (url: string, key: string) => C, options: Partial<PoolOptions> = {}) {
  const targets = (['a', 'b'] as const).map((name) => ({
    name,
    limiter: new BucketRateLimiter({ name, ramp: false, maxConcurrent: 2 }),
    client: client(servers[name].url, `key-${name}`),
  }))
  return { pool: createPool({ ...options, targets }), targets }
}

const prompt = 'What is the capital of France?'
const messages = [{ role: 'user' as const, content: prompt }]

interface Actor {
  ask(signal?: AbortSignal): Promise<string>
  stream(): Promise<string>
}

const casts: Record<
  string,
  {
    plain: () => Reply
    stream: () => Reply
    keyOf(seen: Server['seen'][number]): unknown
    over(options?: Partial<PoolOptions>): ReturnType<typeof poolOf> & Actor
  }
> = {
  '@google/genai': {
    plain: google.plain,
    stream: google.stream,
    keyOf: ({ headers }) => headers['x-goog-api-key'],
    over(options) {
      const keys = poolOf((baseUrl, apiKey) => new GoogleGenAI({ apiKey, httpOptions: { baseUrl } }), options)
      const client = limitGoogle(keys.pool)
      expect(client).toBeInstanceOf(GoogleGenAI)
      const asked = { model: 'gemini-2.5-flash', contents: prompt }
      return {
        ...keys,
        ask: async (abortSignal) =>
          (await client.models.generateContent({ ...asked, ...(abortSignal && { config: { abortSignal } }) }))
            .text ?? '',
        async stream() {
          let all = ''
          for await (const { text } of await client.models.generateContentStream(asked)) all += text ?? ''
          return all
        },
      }
    },
  },
  '@mistralai/mistralai': {
    plain: mistral.plain,
    stream: mistral.stream,
    keyOf: ({ headers }) => String(headers.authorization).replace('Bearer ', ''),
    over(options) {
      const keys = poolOf((serverURL, apiKey) => new Mistral({ apiKey, serverURL }), options)
      const client = limitMistral(keys.pool)
      expect(client).toBeInstanceOf(Mistral)
      const asked = { model: 'mistral-small-latest', messages }
      return {
        ...keys,
        ask: async (signal) =>
          (await client.chat.complete(asked, signal && { signal })).choices[0]?.message?.content as string,
        async stream() {
          let all = ''
          for await (const { data } of await client.chat.stream(asked))
            all += (data.choices[0]?.delta.content as string | undefined) ?? ''
          return all
        },
      }
    },
  },
  ai: {
    plain: openai.chat,
    stream: openai.chatStream,
    keyOf: ({ headers }) => String(headers.authorization).replace('Bearer ', ''),
    over(options) {
      const keys = poolOf(
        (url, apiKey) => createOpenAI({ apiKey, baseURL: `${url}/v1` }).chat('gpt-5'),
        options,
      )
      const model = poolModel(keys.pool) as LanguageModel
      return {
        ...keys,
        ask: async (abortSignal) =>
          (await generateText({ model, prompt, maxRetries: 0, ...(abortSignal && { abortSignal }) })).text,
        stream: async () => streamText({ model, prompt, maxRetries: 0 }).text,
      }
    },
  },
}

describe.each(Object.entries(casts))('%s over a pool', (_, { plain, stream, keyOf, over }) => {
  test('uses both keys, each with its own credentials, and takes one ticket a call', async () => {
    for (const server of Object.values(servers)) server.replies(plain())
    const { ask, targets } = over()
    const answers = await Promise.all(Array.from({ length: 12 }, () => ask()))
    expect(answers.every((text) => text.length > 0)).toBe(true)
    expect(Math.min(...sent())).toBeGreaterThan(2)
    expect(sent().reduce((a, b) => a + b)).toBe(12)
    expect(targets.map(({ limiter }) => limiter.stats().issued)).toEqual(sent())
    for (const name of ['a', 'b'] as const)
      expect(servers[name].seen.every((seen) => keyOf(seen) === `key-${name}`)).toBe(true)
    for (const { limiter } of targets) expect(limiter.stats()).toMatchObject({ inFlight: 0, waiting: 0 })
  })

  test('a call that one key refuses, or that finds it broken, goes to the other', async () => {
    servers.b.replies(plain())
    for (const status of [429, 500]) {
      servers.a.replies({ status, headers: { 'retry-after': '30' }, body: { error: { message: 'no' } } })
      const { ask } = over({ strategy: { fallback: ['a', 'b'] }, waitUpTo: 0 })
      expect(await ask()).toBeTruthy()
    }
    expect(sent()).toEqual([2, 2])
  })

  test('a stream is the SDK’s own, and holds its ticket until it is read', async () => {
    for (const server of Object.values(servers)) server.replies(stream())
    const keys = over()
    expect(await keys.stream()).toBeTruthy()
    await expect.poll(() => keys.targets.map(({ limiter }) => limiter.stats().inFlight)).toEqual([0, 0])
    expect(sent().reduce((a, b) => a + b)).toBe(1)
  })

  test('a call that is given up in line is not sent', async () => {
    for (const server of Object.values(servers)) server.replies(plain())
    const { ask, pool, targets } = over()
    for (const { limiter } of targets) limiter.pause()
    const leave = new AbortController()
    const asked = ask(leave.signal)
    await expect.poll(() => pool.stats().waiting).toBe(1)
    leave.abort()
    await expect(asked).rejects.toThrow()
    expect(sent()).toEqual([0, 0])
  })
})
