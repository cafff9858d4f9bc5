// Libraries that take a `fetch`: LangChain.js and Cohere, as the README shows them.

import { ChatOpenAI } from '@langchain/openai'
import { CohereClientV2 } from 'cohere-ai'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { BucketRateLimiter } from 'llmiter'
import { limitFetch } from 'llmiter/fetch'
import * as replies from './fixtures/openai.ts'
import { type Server, startServer } from './server.ts'
import { quickLimiter, soon, usedOf } from './stage.ts'

const question = 'What is the capital of France?'
const slow = () => new BucketRateLimiter({ name: 'slow', requestsPerMinute: 200, burst: 1, ramp: false })

let server: Server
beforeEach(async () => {
  server = await startServer()
})
afterEach(() => server.close())

describe('LangChain.js', () => {
  const chatModel = (limiter: BucketRateLimiter, timeout = 3_600_000) =>
    new ChatOpenAI({
      ...{ model: 'gpt-5', apiKey: 'any', maxRetries: 0, timeout },
      configuration: { baseURL: `${server.url}/v1`, fetch: limitFetch(fetch, limiter) },
    })

  test('a call that is refused waits in line; its tokens are settled', async () => {
    const limiter = quickLimiter()
    server.replies(replies.rate({ 'retry-after-ms': '30' }), replies.rateSilent(), replies.chat())
    expect((await chatModel(limiter).invoke(question)).content).toBe('Paris.')
    await soon(() => limiter.stats().inFlight === 0)
    expect(limiter.stats()).toMatchObject({ issued: 3, refused: 2 })
    expect(usedOf(limiter, 'tokens')).toBe(21)
  })

  test('a stream, read and left', async () => {
    const limiter = quickLimiter()
    server.replies(replies.rate(), replies.chatStream())
    let text = ''
    for await (const { content } of await chatModel(limiter).stream(question)) text += content as string
    expect(text).toBe('Paris.')
    await soon(() => limiter.stats().inFlight === 0)
    expect(usedOf(limiter, 'tokens')).toBe(21)
    server.replies(replies.chatStream({ frameMs: 30 }))
    for await (const { content } of await chatModel(limiter).stream(question)) if (content) break
    await soon(() => limiter.stats().inFlight === 0)
  })

  test('a batch goes at the limiter’s pace', async () => {
    const limiter = quickLimiter({ maxConcurrent: 2 })
    server.replies({ ...replies.chat(), delayMs: 20 })
    const answers = await chatModel(limiter).batch(Array<string>(6).fill(question))
    expect(answers.map(({ content }) => content)).toEqual(Array(6).fill('Paris.'))
    expect(limiter.stats()).toMatchObject({ issued: 6, inFlight: 0 })
  })

  test('a quota is refused once: with retries off nothing goes round the line', async () => {
    server.replies(replies.quota())
    await expect(chatModel(quickLimiter()).invoke(question)).rejects.toMatchObject({
      code: 'insufficient_quota',
    })
    expect(server.seen).toHaveLength(1)
  })

  test('the wait is part of its timeout: give it a long one', async () => {
    server.replies(replies.chat())
    const both = async (timeout: number) => {
      const model = chatModel(slow(), timeout)
      const answers = await Promise.allSettled([model.invoke(question), model.invoke(question)])
      return answers.map(({ status }) => status)
    }
    expect(await both(100)).toEqual(['fulfilled', 'rejected'])
    expect(await both(3_600_000)).toEqual(['fulfilled', 'fulfilled'])
  })
})

describe('Cohere', () => {
  const usage = {
    billed_units: { input_tokens: 9, output_tokens: 12 },
    tokens: { input_tokens: 9, output_tokens: 12 },
  }
  const plain = {
    body: {
      id: '1',
      finish_reason: 'COMPLETE',
      message: { role: 'assistant', content: [{ type: 'text', text: 'Paris.' }] },
      usage,
    },
  }
  const rate = {
    status: 429,
    body: { message: 'You are using a Trial key, which is limited to 20 API calls / minute.' },
  }
  const client = (limiter: BucketRateLimiter, timeoutInSeconds = 3600) =>
    new CohereClientV2({
      ...{ token: 'any', baseUrl: server.url, maxRetries: 0, timeoutInSeconds },
      fetch: limitFetch(fetch, limiter),
    })
  const ask = { model: 'command-a-03-2025', messages: [{ role: 'user' as const, content: question }] }

  test('a call that is refused waits in line; its tokens are settled', async () => {
    const limiter = quickLimiter()
    server.replies(rate, plain)
    expect((await client(limiter).chat(ask)).message.content).toEqual([{ type: 'text', text: 'Paris.' }])
    await soon(() => limiter.stats().inFlight === 0)
    expect(limiter.stats()).toMatchObject({ issued: 2, refused: 1 })
    expect(usedOf(limiter, 'tokens')).toBe(21)
  })
})
