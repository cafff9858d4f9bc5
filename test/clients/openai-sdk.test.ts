// What else the OpenAI client does of its own: it renews tokens, asks again for a body that does not come, streams up.

import { getEventListeners } from 'node:events'
import type OpenAI from 'openai'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { limitOpenAI } from 'llmiter/openai'
import * as replies from './fixtures/openai.ts'
import { versions } from './openai-versions.ts'
import { named, type Server, startServer } from './server.ts'
import { collect } from '../helpers.ts'
import { outcome, quickLimiter, soon, usedOf } from './stage.ts'

const ask = (client: OpenAI) => client.chat.completions.create({ model: 'gpt-5', messages })

const messages = [{ role: 'user' as const, content: 'What is the capital of France?' }]

let server: Server
beforeEach(async () => {
  server = await startServer()
  server.replies(replies.chat())
})
afterEach(() => server.close())

describe.each(versions)('$name', ({ name, Client }) => {
  const bareClient = (more: object = {}) =>
    new Client({ apiKey: 'any', baseURL: `${server.url}/v1`, logLevel: 'off', ...more })

  test('a token that is refused is renewed, though only one call may be out', async () => {
    let tokens = 0
    const local = (url: string | URL | Request, init?: RequestInit) =>
      String(url).startsWith('https://auth.openai.com')
        ? Promise.resolve(Response.json({ access_token: `token-${tokens++}`, expires_in: 3600 }))
        : fetch(url, init)
    const bare = bareClient({
      apiKey: undefined,
      fetch: local,
      workloadIdentity: {
        ...{ clientId: 'c', identityProviderId: 'i', serviceAccountId: 's' },
        provider: { tokenType: 'jwt', getToken: () => Promise.resolve('subject') },
      },
    })
    const limiter = quickLimiter({ maxConcurrent: 1 })
    server.replies(replies.badKey(), replies.chat())
    await ask(limitOpenAI(bare, limiter))
    expect(server.seen.map(({ headers }) => headers.authorization)).toEqual([
      'Bearer token-0',
      'Bearer token-1',
    ])
    expect(usedOf(limiter, 'requests')).toBe(2)
  })

  test.runIf(name === 'openai 7')('a body that does not come is asked for again, with a ticket', async () => {
    const limiter = quickLimiter({ maxConcurrent: 1 })
    server.replies({ body: '{"id":', then: 'hang' }, replies.chat())
    await ask(limitOpenAI(bareClient({ timeout: 200, maxRetries: 1 }), limiter))
    expect(usedOf(limiter, 'requests')).toBe(2)
    await soon(() => limiter.stats().inFlight === 0)
  })

  test('maxRetries of a call is obeyed, and a refusal waits all the same', async () => {
    const client = limitOpenAI(bareClient(), quickLimiter())
    const once = () => client.chat.completions.create({ model: 'gpt-5', messages }, { maxRetries: 0 })
    server.replies(replies.rateSilent(), replies.chat())
    await once()
    server.replies(replies.broken())
    await expect(once()).rejects.toThrow(Client.InternalServerError)
    expect(server.seen).toHaveLength(3)
  })

  test('the error of a final refusal has the provider’s own headers', async () => {
    server.replies({ ...replies.quota(), headers: { 'x-should-retry': 'true' } }, replies.quota())
    for (const expected of ['true', null]) {
      const error = await ask(limitOpenAI(bareClient(), quickLimiter())).catch((thrown: unknown) => thrown)
      expect((error as { headers: Headers }).headers.get('x-should-retry')).toBe(expected)
    }
  })

  test('a body that streams up is sent once', async () => {
    const limiter = quickLimiter()
    const client = limitOpenAI(bareClient(), limiter)
    server.replies(replies.rate({ 'retry-after': '5' }))
    const body = new Blob(['{}']).stream()
    await expect(client.post('/responses', { body })).rejects.toThrow(Client.RateLimitError)
    expect(server.seen).toHaveLength(1)
    expect(limiter.stats()).toMatchObject({ refused: 1, gate: 'closed', parked: 0, inFlight: 0 })
  })

  test('the options of a request are left as they were', async () => {
    const options = {
      method: 'post' as const,
      path: '/chat/completions',
      body: { model: 'gpt-5', messages },
    }
    const before = { ...options }
    await limitOpenAI(bareClient(), quickLimiter()).request(options)
    expect(options).toEqual(before)
    expect(Object.keys(options)).toEqual(Object.keys(before))
  })

  test('a background response is free of its ticket at once', async () => {
    const limiter = quickLimiter()
    const queued = { ...(replies.responses().body as object), status: 'queued', usage: null, output: [] }
    server.replies({ body: queued })
    await limitOpenAI(bareClient(), limiter).responses.create({
      model: 'gpt-5',
      input: 'x',
      background: true,
    })
    await soon(() => limiter.stats().inFlight === 0)
  })

  test('a gateway that answers 200 and means 429: the answer as it is, and the gate closes', async () => {
    const limiter = quickLimiter()
    const body = {
      error: {
        code: 429,
        message: 'Provider returned error',
        metadata: {
          raw: 'Rate limit exceeded',
          provider_name: 'Some',
          headers: { 'X-RateLimit-Limit': '20' },
        },
      },
    }
    server.replies({ body })
    expect(await ask(limitOpenAI(bareClient(), limiter))).toMatchObject(body)
    await soon(() => limiter.stats().inFlight === 0)
    expect(limiter.stats()).toMatchObject({ refused: 1, gate: 'closed' })
  })

  test('a stream whose controller is aborted before it is read', async () => {
    const limiter = quickLimiter()
    server.replies(replies.chatStream({ frameMs: 20 }))
    const client = limitOpenAI(bareClient(), limiter)
    const stream = await client.chat.completions.create({ model: 'gpt-5', messages, stream: true })
    expect(limiter.stats().inFlight).toBe(1)
    stream.controller.abort()
    expect(limiter.stats().inFlight).toBe(0)
  })

  test('a stream whose signal is aborted before it is read', async () => {
    const limiter = quickLimiter()
    const abort = new AbortController()
    server.replies(replies.chatStream({ frameMs: 20 }))
    const client = limitOpenAI(bareClient(), limiter)
    await client.chat.completions.create({ model: 'gpt-5', messages, stream: true }, { signal: abort.signal })
    abort.abort()
    expect(limiter.stats().inFlight).toBe(0)
  })

  test('repeated refusals do not add listeners to the caller’s signal, about which Node would warn', async () => {
    const abort = new AbortController()
    server.replies(...Array.from({ length: 25 }, replies.rateSilent), replies.chatStream({ frameMs: 20 }))
    const client = limitOpenAI(bareClient(), quickLimiter({ recovery: { minMs: 1, maxMs: 2 } }))
    const stream = await client.chat.completions.create(
      { model: 'gpt-5', messages, stream: true },
      { signal: abort.signal },
    )
    expect(server.seen).toHaveLength(26)
    expect(getEventListeners(abort.signal, 'abort').length).toBeLessThan(10)
    const all = outcome(collect(stream))
    abort.abort()
    await all
    await soon(() => server.seen.at(-1)!.left === true)
  })

  const refusal = (replies.rate().body as { error: object }).error
  const failed = { id: 'r', status: 'failed', error: refusal, usage: null }
  test.each<[string, { type: string }]>([
    ['response.failed', { type: 'response.failed', ...{ response: failed } }],
    ['error', { ...refusal, type: 'error' }],
  ])(
    'the Responses API is refused in mid-stream by %s: the caller sees what it saw, the gate closes',
    async (_, event) => {
      const limiter = quickLimiter()
      const read = async (client: OpenAI) => {
        server.replies({
          headers: replies.headers(),
          frames: [...replies.responsesStream().frames!.slice(0, 4), ...named(event)],
        })
        return outcome(client.responses.create({ model: 'gpt-5', input: 'x', stream: true }).then(collect))
      }
      expect(await read(limitOpenAI(bareClient(), limiter))).toEqual(await read(bareClient()))
      expect(limiter.stats()).toMatchObject({ refused: 1, gate: 'closed', inFlight: 0 })
    },
  )
})
