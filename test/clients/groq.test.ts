// The official Groq client, limited. It has the core of OpenAI's, of an earlier make.

import { readFileSync } from 'node:fs'
import Groq from 'groq-sdk'
import { expect, expectTypeOf, test } from 'vitest'
import { limitGroq } from 'llmiter/groq'
import * as replies from './fixtures/groq.ts'
import { startServer } from './server.ts'
import { type Cast, quickLimiter, soon, usedOf } from './stage.ts'
import { stories } from './stories.ts'

const model = 'llama-3.3-70b-versatile'
const messages = [{ role: 'user' as const, content: 'What is the capital of France?' }]

async function* words(stream: AsyncIterable<Groq.Chat.ChatCompletionChunk>): AsyncGenerator<string> {
  for await (const { choices } of stream) yield choices[0]?.delta.content ?? ''
}

const cast: Cast<Groq> = {
  name: 'groq',
  client: (url, options) => new Groq({ apiKey: 'any', baseURL: url, logLevel: 'off', ...options }),
  limit: limitGroq,
  plain: async (client, call) =>
    (await client.chat.completions.create({ model, messages }, call)).choices[0]?.message.content ?? '',
  stream: async (client, call) =>
    words(await client.chat.completions.create({ model, messages, stream: true }, call)),
  abortError: Groq.APIUserAbortError,
  refusedError: Groq.RateLimitError,
  replies,
  used: { inputTokens: 5, outputTokens: 12 },
}

stories(cast)

test('groq: its class, its type, its headers, what it charges', async () => {
  const server = await startServer()
  const limiter = quickLimiter()
  const bare = cast.client(server.url)
  const client = limitGroq(bare, limiter)
  expect(client).toBeInstanceOf(Groq)
  expectTypeOf(client).toExtend<typeof bare>()
  server.replies(replies.plain())
  const { data, response } = await client.chat.completions
    .create({ model, messages, max_tokens: 4000 })
    .withResponse()
  expect([data.usage?.total_tokens, response.headers.get('x-groq-region')]).toEqual([21, 'fra'])
  await soon(() => limiter.stats().inFlight === 0)
  // Input and output, less what was cached; `max_tokens` is not charged.
  expect(usedOf(limiter, 'tokens')).toBe(17)
  // Requests are by the day.
  expect(limiter.stats().told?.map(({ of, perMs, limit }) => [of, perMs, limit])).toEqual([
    ['requests', 86_400_000, 500_000],
    ['tokens', 60_000, 60_000_000],
  ])
  server.replies({ body: { object: 'list', data: [] } })
  await client.models.list()
  expect(usedOf(limiter, 'requests')).toBe(1)
  await client.withOptions({ maxRetries: 0 }).chat.completions.create({ model, messages })
  expect(usedOf(limiter, 'requests')).toBe(2)
  await server.close()
})

test('groq: checks the private hooks of the SDK', () => {
  const { version } = JSON.parse(
    readFileSync(new URL('../../node_modules/groq-sdk/package.json', import.meta.url), 'utf8'),
  ) as { version: string }
  const core = Groq.prototype as unknown as Record<string, unknown>
  expect([typeof core.makeRequest, typeof core.withOptions], `groq-sdk ${version}`).toEqual([
    'function',
    'function',
  ])
})
