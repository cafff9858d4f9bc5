// The deprecated SDK of Gemini, limited.

import { readFileSync } from 'node:fs'
import {
  ChatSession,
  GenerativeModel,
  GoogleGenerativeAI,
  GoogleGenerativeAIAbortError,
  GoogleGenerativeAIFetchError,
} from '@google/generative-ai'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { limitGoogleGenerativeAI } from 'llmiter/google-generative-ai'
import * as replies from './fixtures/google.ts'
import { startServer } from './server.ts'
import { type Cast, outcome, quickLimiter, read, soon, usedOf } from './stage.ts'
import { stories } from './stories.ts'

const question = 'What is the capital of France?'

/** A client with the address of the server, and the server's record of its calls. */
interface Actor {
  client: GoogleGenerativeAI
  baseUrl: string
  timeout: number | undefined
}

const modelOf = ({ client, baseUrl, timeout }: Actor, customHeaders?: Record<string, string>) =>
  client.getGenerativeModel(
    { model: 'gemini-2.5-flash' },
    { baseUrl, ...(timeout && { timeout }), ...(customHeaders && { customHeaders }) },
  )

const cast: Cast<Actor> = {
  name: '@google/generative-ai',
  client: (baseUrl, { timeout } = {}) => ({ client: new GoogleGenerativeAI('any'), baseUrl, timeout }),
  limit: (actor, limits, options) => ({
    ...actor,
    client: limitGoogleGenerativeAI(actor.client, limits, options),
  }),
  plain: async (actor, { signal, headers } = {}) =>
    (await modelOf(actor, headers).generateContent(question, signal && { signal })).response.text(),
  stream: async (actor, { signal } = {}) => {
    const { stream, response } = await modelOf(actor).generateContentStream(question, signal && { signal })
    // The original SDK leaves this promise without a rejection handler.
    response.catch(() => {})
    return (async function* () {
      for await (const chunk of stream) yield chunk.text()
    })()
  },
  abortError: GoogleGenerativeAIAbortError,
  refusedError: GoogleGenerativeAIFetchError,
  replies,
  lacks: ['retries', 'output', 'headers', 'leaving', 'midway'],
  timedOut: /aborted/,
  used: { inputTokens: 9, outputTokens: 12 },
}

stories(cast)

describe('@google/generative-ai', () => {
  const stage = async () => {
    const server = await startServer()
    const limiter = quickLimiter()
    const bare = cast.client(server.url)
    const actor = cast.limit(bare, limiter)
    return { server, limiter, bare, actor, model: modelOf(actor) }
  }

  test('its classes, its types', async () => {
    const { server, bare, actor, model } = await stage()
    expect(actor.client).toBeInstanceOf(GoogleGenerativeAI)
    expectTypeOf(limitGoogleGenerativeAI(bare.client, quickLimiter())).toExtend<GoogleGenerativeAI>()
    expect(actor.client.apiKey).toBe('any')
    expect(model).toBeInstanceOf(GenerativeModel)
    expect(model.startChat()).toBeInstanceOf(ChatSession)
    expect(() => actor.client.getGenerativeModel({ model: '' })).toThrow('Must provide a model name')
    await server.close()
  })

  test('a chat: its messages in turn, whatever is refused, and its history', async () => {
    const { server, limiter, model } = await stage()
    const chat = model.startChat({ history: [{ role: 'user', parts: [{ text: 'Hello' }] }] })
    server.replies(replies.rate(), replies.plain(), replies.stream(), replies.plain())
    const [first, second, third] = await Promise.all([
      chat.sendMessage('one'),
      chat.sendMessageStream('two'),
      chat.sendMessage('three'),
    ])
    expect([first.response.text(), (await second.response).text(), third.response.text()]).toEqual(
      Array(3).fill('Paris.'),
    )
    const said = (await chat.getHistory()).map(({ parts }) => parts.map(({ text }) => text).join(''))
    expect(said).toEqual(['Hello', 'one', 'Paris.', 'two', 'Paris.', 'three', 'Paris.'])
    await soon(() => limiter.stats().inFlight === 0)
    expect(limiter.stats()).toMatchObject({ issued: 4, refused: 1 })
    expect(usedOf(limiter, 'tokens')).toBe(27)
    server.replies(replies.oversize(), replies.plain())
    await expect(chat.sendMessage('too long')).rejects.toThrow(GoogleGenerativeAIFetchError)
    expect((await chat.sendMessage('again')).response.text()).toBe('Paris.')
    await server.close()
  })

  test('a stream that is left is read on by the SDK: its ticket comes back when that is done', async () => {
    const { server, limiter, model } = await stage()
    server.replies(replies.stream({ frameMs: 30 }))
    const { stream, response } = await model.generateContentStream(question)
    for await (const chunk of stream) if (chunk.text()) break
    expect(limiter.stats().inFlight).toBe(1)
    expect((await response).text()).toBe('Paris.')
    await soon(() => limiter.stats().inFlight === 0)
    expect(usedOf(limiter, 'inputTokens')).toBe(9)
    await server.close()
  })

  test('a stream that is cut', async () => {
    const { server, limiter, bare, actor } = await stage()
    server.replies({ ...replies.stream({ then: 'cut' }), frames: replies.stream().frames!.slice(0, 1) })
    const expected = await outcome(cast.stream(bare).then(read))
    expect(await outcome(cast.stream(actor).then(read))).toEqual(expected)
    await soon(() => limiter.stats().inFlight === 0)
    await server.close()
  })

  test('embeddings are calls; counting tokens is free', async () => {
    const { server, limiter, model } = await stage()
    server.replies(replies.embedding())
    await model.embedContent('Hello')
    await model.batchEmbedContents({
      requests: [{ content: { role: 'user', parts: [{ text: 'Hello' }] } }],
    })
    server.replies(replies.tokens())
    expect((await model.countTokens('Hello')).totalTokens).toBe(9)
    expect(usedOf(limiter, 'requests')).toBe(2)
    await server.close()
  })

  test('the assumption about the SDK: plain promises, and a queue of its own for chats', () => {
    const { version } = JSON.parse(
      readFileSync(new URL('../../node_modules/@google/generative-ai/package.json', import.meta.url), 'utf8'),
    ) as { version: string }
    const chat = new GoogleGenerativeAI('any').getGenerativeModel({ model: 'x' }).startChat()
    expect(Object.keys(chat), `@google/generative-ai ${version}`).toContain('_history')
  })

  test.each<[unknown[], string]>([
    [[{}, quickLimiter()], 'limitGoogleGenerativeAI needs a GoogleGenerativeAI, got Object'],
    [[undefined, quickLimiter()], 'limitGoogleGenerativeAI needs a GoogleGenerativeAI, got Object'],
    [[new GoogleGenerativeAI('any'), 5], 'limits must be { models }, a BucketRateLimiter'],
    [[new GoogleGenerativeAI('any'), quickLimiter(), { x: 1 }], "limitGoogleGenerativeAI has no option 'x'"],
  ])('%#: wrong arguments are named', (args, message) => {
    expect(() => (limitGoogleGenerativeAI as (...args: unknown[]) => unknown)(...args)).toThrow(message)
  })
})
