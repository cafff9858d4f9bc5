// The official Anthropic client, limited.

import { readFileSync } from 'node:fs'
import Anthropic, { type Middleware } from '@anthropic-ai/sdk'
import { afterEach, beforeEach, describe, expect, expectTypeOf, test } from 'vitest'
import type { BucketRateLimiter } from 'llmiter'
import { limitAnthropic } from 'llmiter/anthropic'
import { each } from '../helpers.ts'
import * as replies from './fixtures/anthropic.ts'
import { type Server, startServer } from './server.ts'
import { type Cast, quickLimiter, soon, usedOf } from './stage.ts'
import { stories } from './stories.ts'

const request = {
  model: 'claude-sonnet-5',
  max_tokens: 100,
  messages: [{ role: 'user' as const, content: 'What is the capital of France?' }],
}

async function* words(stream: AsyncIterable<Anthropic.RawMessageStreamEvent>): AsyncGenerator<string> {
  for await (const event of stream)
    if (event.type === 'content_block_delta' && event.delta.type === 'text_delta') yield event.delta.text
}

const cast: Cast<Anthropic> = {
  name: 'anthropic',
  client: (url, options) => new Anthropic({ apiKey: 'any', baseURL: url, logLevel: 'off', ...options }),
  limit: limitAnthropic,
  async plain(client, call) {
    const { content } = await client.messages.create(request, call)
    return content.map((block) => (block.type === 'text' ? block.text : '')).join('')
  },
  stream: async (client, call) => words(await client.messages.create({ ...request, stream: true }, call)),
  abortError: Anthropic.APIUserAbortError,
  refusedError: Anthropic.RateLimitError,
  replies,
  used: { inputTokens: 9, outputTokens: 12 },
}

stories(cast)

describe('anthropic', () => {
  let server: Server
  let limiter: BucketRateLimiter
  let bare: Anthropic
  let client: Anthropic
  beforeEach(async () => {
    server = await startServer()
    limiter = quickLimiter()
    bare = cast.client(server.url)
    client = limitAnthropic(bare, limiter)
    server.replies(replies.plain())
  })
  afterEach(async () => {
    await soon(() => limiter.stats().inFlight === 0)
    await server.close()
  })

  test('is an instance of its class, with its type', () => {
    expect(client).toBeInstanceOf(Anthropic)
    expect(client.constructor).toBe(Anthropic)
    expectTypeOf(client).toEqualTypeOf(bare)
    expectTypeOf(client.messages.create).toEqualTypeOf(bare.messages.create)
    expect(Object.keys(client)).toEqual(Object.keys(bare))
  })

  test('checks the private hooks of the SDK', () => {
    const { version } = JSON.parse(
      readFileSync(new URL('../../node_modules/@anthropic-ai/sdk/package.json', import.meta.url), 'utf8'),
    ) as { version: string }
    const core = Anthropic.prototype as unknown as Record<string, unknown>
    expect([typeof core.makeRequest, typeof core.withOptions], `@anthropic-ai/sdk ${version}`).toEqual([
      'function',
      'function',
    ])
  })

  test('withResponse', async () => {
    const { data, response, request_id } = await client.messages.create(request).withResponse()
    expect([data.id, response.status, request_id]).toEqual(['msg_01', 200, 'req_011C'])
    expect(server.seen).toHaveLength(1)
  })

  test('messages.stream, its events and its final message; refused before, too', async () => {
    server.replies(replies.rateSilent(), replies.stream())
    const stream = client.messages.stream(request)
    let text = ''
    stream.on('text', (word) => (text += word))
    const { usage } = await stream.finalMessage()
    expect([text, usage.output_tokens]).toEqual(['Paris.', 12])
    await soon(() => limiter.stats().inFlight === 0)
    expect(usedOf(limiter, 'outputTokens')).toBe(12)
  })

  test('messages.stream, aborted in line and in flight', async () => {
    const narrow = quickLimiter({ maxConcurrent: 1 })
    const narrowed = limitAnthropic(bare, narrow)
    server.replies(replies.stream({ frameMs: 50 }))
    const [first, second] = [narrowed.messages.stream(request), narrowed.messages.stream(request)]
    await soon(() => narrow.stats().inFlight === 1 && narrow.stats().waiting === 1)
    await soon(() => server.seen.length === 1)
    second.abort()
    await expect(second.finalMessage()).rejects.toThrow(Anthropic.APIUserAbortError)
    first.abort()
    await expect(first.finalMessage()).rejects.toThrow(Anthropic.APIUserAbortError)
    await soon(() => narrow.stats().inFlight === 0)
    expect(server.seen).toHaveLength(1)
  })

  test('beta.messages.toolRunner: each turn is a call', async () => {
    const tool = { type: 'tool_use', id: 'tu_1', name: 'look', input: {} }
    server.replies(
      { ...replies.plain(), body: replies.message({ content: [tool], stop_reason: 'tool_use' }) },
      replies.plain(),
    )
    const runner = client.beta.messages.toolRunner({
      ...request,
      tools: [
        {
          type: 'custom',
          name: 'look',
          description: '',
          input_schema: { type: 'object' },
          run: () => 'seen',
          parse: (input: unknown) => input,
        },
      ],
    })
    expect((await runner.runUntilDone()).stop_reason).toBe('end_turn')
    await soon(() => limiter.stats().inFlight === 0)
    expect(usedOf(limiter, 'requests')).toBe(2)
  })

  test('counting tokens, batches and models generate nothing', async () => {
    const counted = limitAnthropic(bare, limiter, { otherCalls: 'requests' })
    const use = async (one: Anthropic) => {
      server.replies({ body: { input_tokens: 5 } })
      await one.messages.countTokens({ model: request.model, messages: request.messages })
      server.replies({ body: { id: 'b', type: 'message_batch' } })
      await one.messages.batches.create({ requests: [{ custom_id: 'a', params: request }] })
      server.replies({
        body: { data: [{ id: 'claude-sonnet-5' }], has_more: false, first_id: 'a', last_id: 'b' },
      })
      await each(one.models.list())
    }
    await use(client)
    expect(usedOf(limiter, 'requests')).toBe(0)
    await use(counted)
    expect([usedOf(limiter, 'requests'), usedOf(limiter, 'tokens')]).toEqual([3, 0])
  })

  test('max_tokens is not charged, the cache only where it is written', async () => {
    await client.messages.create({ ...request, max_tokens: 4000 })
    await soon(() => limiter.stats().inFlight === 0)
    expect(['tokens', 'inputTokens', 'outputTokens'].map((of) => usedOf(limiter, of))).toEqual([21, 9, 12])
  })

  test('the headers of each limit are told', async () => {
    await client.messages.create(request)
    await soon(() => limiter.stats().inFlight === 0)
    expect(limiter.stats().told?.map(({ of, limit, remaining }) => [of, limit, remaining])).toEqual([
      ['requests', 60_000, 59_999],
      ['inputTokens', 30_000_000, 29_999_000],
      ['outputTokens', 8_000_000, 7_999_000],
    ])
    // RFC 3339, the time of full refill on the server's clock, in whole seconds.
    expect(limiter.stats().told![0]!.resetsInMs).toBeLessThanOrEqual(2000)
  })

  describe('middleware of the user', () => {
    test('sees what it always saw, and withOptions may replace it', async () => {
      const seen: string[] = []
      const spy =
        (name: string): Middleware =>
        async (sent, next, { options }) => {
          seen.push(`${name} ${options?.path} ${Object.keys(sent).join()}`)
          return next(sent)
        }
      await bare.withOptions({ middleware: [spy('a')] }).messages.create(request)
      await limitAnthropic(bare.withOptions({ middleware: [spy('a')] }), limiter).messages.create(request)
      expect(seen[1]).toBe(seen[0])
      await client.withOptions({ middleware: [spy('b')] }).messages.create(request)
      expect(seen[2]).toContain('b /v1/messages')
      expect(usedOf(limiter, 'requests')).toBe(2)
    })

    test('one that sends twice takes a ticket for each', async () => {
      const twice: Middleware = async (sent, next) => {
        await (await next(sent)).text()
        return next(sent)
      }
      await client.messages.create(request, { middleware: [twice] })
      expect(server.seen).toHaveLength(2)
      await soon(() => limiter.stats().inFlight === 0)
      expect(usedOf(limiter, 'requests')).toBe(2)
    })

    test('one that answers by itself takes none', async () => {
      const cached: Middleware = () => Promise.resolve(Response.json(replies.message()))
      expect((await client.messages.create(request, { middleware: [cached] })).id).toBe('msg_01')
      expect([server.seen.length, usedOf(limiter, 'requests'), limiter.stats().inFlight]).toEqual([0, 0, 0])
    })

    test('one that throws is heard, and takes none', async () => {
      const oops = new Error('oops')
      const throwing: Middleware = () => Promise.reject(oops)
      await expect(client.messages.create(request, { middleware: [throwing] })).rejects.toBe(oops)
      expect([usedOf(limiter, 'requests'), limiter.stats().inFlight]).toEqual([0, 0])
    })
  })
})
