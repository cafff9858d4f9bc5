// The limited client is still itself: each helper gives what the bare one gives, and every request has its ticket.

import { readFileSync } from 'node:fs'
import type OpenAI from 'openai'
import type { AzureOpenAI } from 'openai'
import { afterEach, beforeEach, describe, expect, expectTypeOf, test } from 'vitest'
import type { BucketRateLimiter } from 'llmiter'
import { limitOpenAI } from 'llmiter/openai'
import * as replies from './fixtures/openai.ts'
import { question, uses } from './openai-uses.ts'
import { versions } from './openai-versions.ts'
import { type Server, startServer } from './server.ts'
import { quickLimiter, soon, usedOf } from './stage.ts'

describe.each(versions)('$name', ({ Client, folder }) => {
  let server: Server
  let limiter: BucketRateLimiter
  let bare: OpenAI
  beforeEach(async () => {
    server = await startServer()
    limiter = quickLimiter()
    bare = new Client({ apiKey: 'any', baseURL: `${server.url}/v1`, logLevel: 'off' })
  })
  afterEach(() => server.close())

  test.each(uses)('%s', async (_, answers, use, calls) => {
    const client = limitOpenAI(bare, limiter, { otherCalls: 'requests' })
    const free = quickLimiter()
    server.replies(...answers)
    const expected = await use(bare)
    const requests = server.seen.length
    server.replies(...answers)
    expect(await use(client)).toEqual(expected)
    await soon(() => limiter.stats().inFlight === 0)
    expect(server.seen).toHaveLength(2 * requests)
    expect(usedOf(limiter, 'requests')).toBe(requests)
    server.replies(...answers)
    await use(limitOpenAI(bare, free))
    expect(usedOf(free, 'requests')).toBe(calls)
    // What is sent is the same, too.
    const sent = server.seen.map(({ path, body }) => [path, body.text === undefined ? body : 'a form'])
    expect(sent.slice(requests, 2 * requests)).toEqual(sent.slice(0, requests))
  })

  test('is an instance of its class, with its type, and the bare client stays bare', async () => {
    const client = limitOpenAI(bare, limiter)
    expect(client).toBeInstanceOf(Client)
    expect(client.constructor).toBe(Client)
    expectTypeOf(client).toExtend<typeof bare>()
    expectTypeOf(limitOpenAI<AzureOpenAI>).returns.toExtend<AzureOpenAI>()
    expectTypeOf(client.responses.create).toEqualTypeOf(bare.responses.create)
    expect(Object.keys(client)).toEqual(Object.keys(bare))
    server.replies(replies.chat())
    await bare.chat.completions.create(question)
    expect(client.maxRetries).toBe(2)
  })

  test('checks the private hooks of the SDK', () => {
    const { version } = JSON.parse(
      readFileSync(new URL(`../../node_modules/${folder}/package.json`, import.meta.url), 'utf8'),
    ) as { version: string }
    const core = Client.prototype as unknown as Record<string, unknown>
    const hooks = Object.fromEntries(
      ['makeRequest', 'retryRequest', 'fetchWithTimeout', 'withOptions'].map((name) => [
        name,
        typeof core[name],
      ]),
    )
    expect(hooks, `openai ${version}`).toEqual({
      makeRequest: 'function',
      retryRequest: 'function',
      fetchWithTimeout: 'function',
      withOptions: 'function',
    })
  })

  test('a client that is none of ours is refused, and its key is not told', () => {
    const odd = { apiKey: 'sk-secret', baseURL: 'http://localhost', withOptions: () => odd }
    expect(() => limitOpenAI(odd as unknown as OpenAI, limiter)).toThrow(
      'limitOpenAI needs a client of openai 4 or later, got Object',
    )
  })

  test('stays limited after withOptions, with what was changed', async () => {
    const client = limitOpenAI(bare, limiter)
    client.baseURL = `${server.url}/v2`
    const other = client
      .withOptions({ maxRetries: 0, defaultHeaders: { 'x-mine': '1' } })
      .withOptions({ timeout: 5000 })
    expect(other).toBeInstanceOf(Client)
    server.replies(replies.rateSilent(), replies.chat())
    await other.chat.completions.create(question)
    expect(server.seen).toHaveLength(2)
    expect(server.seen[1]).toMatchObject({ path: '/v2/chat/completions', headers: { 'x-mine': '1' } })
    expect(usedOf(limiter, 'requests')).toBe(2)
    expect([other.maxRetries, other.timeout]).toEqual([0, 5000])
  })

  test('another fetch by withOptions is limited, and sees no mark of ours', async () => {
    const inits: RequestInit[] = []
    const own = (input: string | URL | Request, init: RequestInit = {}) => {
      inits.push(init)
      return fetch(input, init)
    }
    server.replies(replies.chat())
    await limitOpenAI(bare, limiter).withOptions({ fetch: own }).chat.completions.create(question)
    expect(usedOf(limiter, 'requests')).toBe(1)
    expect(Object.getOwnPropertySymbols(inits[0])).toEqual([])
  })

  test('a request that reaches fetch by another way waits for its ticket there', async () => {
    const client = limitOpenAI(bare, limiter) as unknown as { fetch: typeof fetch; baseURL: string }
    server.replies(replies.chat())
    const response = await client.fetch(`${client.baseURL}/chat/completions`, {
      method: 'POST',
      body: JSON.stringify(question),
    })
    await response.json()
    await client.fetch(`${client.baseURL}/elsewhere`, { method: 'POST', body: '{}' })
    expect(usedOf(limiter, 'requests')).toBe(1)
  })
})
