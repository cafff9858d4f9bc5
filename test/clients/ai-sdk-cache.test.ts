// What the AI SDK's providers tell of their caches, and what of it counts against a limit.

import { createAnthropic } from '@ai-sdk/anthropic'
import { createGroq } from '@ai-sdk/groq'
import { createOpenAI } from '@ai-sdk/openai'
import { generateText, type LanguageModel, streamText, wrapLanguageModel } from 'ai'
import { limiterMiddleware } from 'llmiter/ai-sdk'
import { expect, test } from 'vitest'
import * as anthropic from './fixtures/anthropic.ts'
import * as openai from './fixtures/openai.ts'
import { type Reply, sse, startServer } from './server.ts'
import { quickLimiter, usedOf } from './stage.ts'

type Model = Parameters<typeof wrapLanguageModel>[0]['model']

const usage = {
  prompt_tokens: 1009,
  completion_tokens: 12,
  total_tokens: 1021,
  prompt_tokens_details: { cached_tokens: 1000 },
}
const chunk = { id: 'c', object: 'chat.completion.chunk', created: 1, model: 'm' }
const cachedChat = (): Reply => ({ body: { ...(openai.chat().body as object), usage } })
const cachedStream = (): Reply => ({
  frames: sse(
    { ...chunk, choices: [{ index: 0, delta: { content: 'Paris.' }, finish_reason: 'stop' }] },
    { ...chunk, choices: [], usage },
    '[DONE]',
  ),
})
const cachedGroqStream = (): Reply => ({
  frames: sse(
    {
      ...chunk,
      choices: [{ index: 0, delta: { content: 'Paris.' }, finish_reason: 'stop' }],
      x_groq: { usage },
    },
    '[DONE]',
  ),
})

const providers: [
  name: string,
  model: (url: string) => Model,
  plain: () => Reply,
  stream: () => Reply,
  inputTokens: number,
][] = [
  [
    'anthropic: reads are free, writes are input',
    (url) => createAnthropic({ apiKey: 'any', baseURL: `${url}/v1` })('claude-sonnet-5') as Model,
    ...([anthropic.plain, anthropic.stream, 9] as const),
  ],
  [
    'groq: what is cached is free',
    (url) => createGroq({ apiKey: 'any', baseURL: `${url}/v1` })('llama-3.3-70b-versatile') as Model,
    ...([cachedChat, cachedGroqStream, 9] as const),
  ],
  [
    'openai: what is cached counts',
    (url) => createOpenAI({ apiKey: 'any', baseURL: `${url}/v1` }).chat('gpt-5') as Model,
    ...([cachedChat, cachedStream, 1009] as const),
  ],
]

test.each(providers)('%s', async (_name, create, plain, stream, inputTokens) => {
  const server = await startServer()
  const limiter = quickLimiter()
  const model = wrapLanguageModel({ model: create(server.url), middleware: limiterMiddleware(limiter) })
  const call = { model: model as LanguageModel, prompt: 'What is the capital of France?', maxRetries: 0 }

  server.replies(plain())
  await generateText(call)
  expect(usedOf(limiter, 'inputTokens')).toBe(inputTokens)

  server.replies(stream())
  await streamText(call).consumeStream()
  expect(usedOf(limiter, 'inputTokens')).toBe(2 * inputTokens)
  expect(limiter.stats().inFlight).toBe(0)
  await server.close()
})
