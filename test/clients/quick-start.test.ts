// The first lines of the README against a provider on a bad day: every tenth answer is a 500, every seventh a 429.

import { limitersOf } from 'llmiter'
import { limitOpenAI } from 'llmiter/openai'
import OpenAI from 'openai'
import { expect, test } from 'vitest'
import * as openai from './fixtures/openai.ts'
import { startServer } from './server.ts'

test('100 calls, none lost; a used-up quota fails all calls immediately', async () => {
  const server = await startServer()
  let answers = 0
  server.replies(() => {
    answers++
    if (answers % 7 === 0) return openai.rate({ 'retry-after-ms': '20' })
    return answers % 10 === 0 ? { status: 500, headers: { 'retry-after-ms': '5' }, body: {} } : openai.chat()
  })
  const client = limitOpenAI(new OpenAI({ apiKey: 'any', baseURL: server.url, maxRetries: 5 }), {
    requestsPerSecond: 1000,
    tokensPerMinute: 20_000_000,
    maxConcurrent: 20,
    recovery: { minMs: 10, maxMs: 40 },
  })
  const ask = () =>
    client.chat.completions.create({ model: 'gpt-5', messages: [{ role: 'user', content: 'Hello' }] })
  const results = await Promise.allSettled(Array.from({ length: 100 }, ask))
  expect(results.filter(({ status }) => status === 'rejected')).toEqual([])

  server.replies(openai.quota())
  const before = server.seen.length
  const spent = await Promise.allSettled(Array.from({ length: 100 }, ask))
  expect(spent.every(({ status }) => status === 'rejected')).toBe(true)
  // Only those that were out already.
  expect(server.seen.length - before).toBeLessThanOrEqual(20)
  expect(limitersOf(client).limiters()[0]!.stats()).toMatchObject({ waiting: 0, inFlight: 0 })
  await server.close()
})
