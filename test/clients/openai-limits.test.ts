// What a call is held against: its model's limit, or the account's, and what its provider charges.

import { getEventListeners } from 'node:events'
import type OpenAI from 'openai'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { BucketRateLimiter, type LimiterOptions, perModel } from 'llmiter'
import { fireworksService, limitOpenAI, openaiService, type OpenAIOptions } from 'llmiter/openai'
import * as replies from './fixtures/openai.ts'
import { versions } from './openai-versions.ts'
import { type Seen, type Server, startServer } from './server.ts'
import { outcome, quickLimiter, soon, usedOf } from './stage.ts'

const messages = [{ role: 'user' as const, content: 'What is the capital of France?' }]
const quick: Omit<LimiterOptions, 'name'> = {
  requestsPerMinute: 60_000,
  ramp: false,
  recovery: { minMs: 20, maxMs: 60 },
}

let server: Server
beforeEach(async () => {
  server = await startServer()
  server.replies(replies.chat())
})
afterEach(() => server.close())

describe.each(versions)('$name', ({ Client }) => {
  const bareClient = (more: object = {}) =>
    new Client({ apiKey: 'any', baseURL: `${server.url}/v1`, logLevel: 'off', ...more })
  const ask = (client: OpenAI, more: object = {}) =>
    client.chat.completions.create({ model: 'gpt-5', messages, ...more }) as Promise<OpenAI.ChatCompletion>

  /** The tokens that a call has taken of the minute in the end. */
  async function charged(more: object, options: OpenAIOptions = {}, client = bareClient()): Promise<number> {
    const limiter = quickLimiter()
    await ask(limitOpenAI(client, limiter, options), more)
    await soon(() => limiter.stats().inFlight === 0)
    return usedOf(limiter, 'tokens')
  }

  test('OpenAI charges the maximum at the start, without a refund', async () => {
    const openai = { charge: 'openai' } as const
    expect(await charged({ max_completion_tokens: 500 }, openai)).toBe(500)
    const estimate = await charged({}, openai)
    expect(estimate).toBeGreaterThan(5)
    expect(estimate).toBeLessThan(60)
    expect(await charged({ max_tokens: 1 }, openai)).toBeGreaterThanOrEqual(estimate)
    expect(await charged({}, { ...openai, countTokens: () => 42 })).toBe(42)
  })

  test('others, including unknown providers, charge actual usage', async () => {
    expect(await charged({ max_completion_tokens: 500 }, { charge: 'usage' })).toBe(21)
    expect(await charged({ max_completion_tokens: 500 })).toBe(21)
  })

  test('Azure charges the prompt and the most that is allowed', async () => {
    const options: OpenAIOptions = { charge: 'azure', countTokens: () => 10 }
    expect(await charged({ max_tokens: 100 }, options)).toBe(110)
    expect(await charged({ max_tokens: 100, best_of: 3 }, options)).toBe(310)
    expect(await charged({}, options)).toBe(21)
  })

  test.each([
    ['https://api.openai.com/v1', 500],
    ['https://api.mistral.ai/v1', 21],
    ['https://api.groq.com/openai/v1', 21],
    ['https://api.fireworks.ai/inference/v1', 21],
    ['https://api.together.xyz/v1', 21],
    ['https://openrouter.ai/api/v1', 21],
    ['https://generativelanguage.googleapis.com/v1beta/openai', 21],
  ])('%s: the charging rule follows from the base URL', async (baseURL, tokens) => {
    const local = (url: string | URL | Request, init?: RequestInit) =>
      fetch(String(url).replace(/^https:..[^/]+/, server.url), init)
    expect(await charged({ max_tokens: 500 }, {}, bareClient({ baseURL, fetch: local }))).toBe(tokens)
    expect(server.seen[0]!.path).toBe(`${new URL(baseURL).pathname}/chat/completions`)
  })

  test('more than the limit can ever hold is refused before it is sent', async () => {
    const client = limitOpenAI(bareClient(), { ...quick, tokensPerMinute: 1000 }, { charge: 'openai' })
    await expect(ask(client, { max_tokens: 1001 })).rejects.toMatchObject({ code: 'REQUEST_TOO_LARGE' })
    expect(server.seen).toHaveLength(0)
    // An estimate is no reason to refuse.
    await ask(client, { messages: [{ role: 'user', content: 'word '.repeat(5000) }] })
  })

  test('an embedding, a stream without usage, a form: usage that is not reported stays as estimated', async () => {
    const limiter = quickLimiter()
    const client = limitOpenAI(bareClient(), limiter, { charge: 'usage' })
    server.replies(replies.embeddings())
    await client.embeddings.create({ model: 'e', input: 'What is the capital of France?' })
    await soon(() => limiter.stats().inFlight === 0)
    expect(usedOf(limiter, 'inputTokens')).toBe(5)
    const { frames } = replies.chatStream()
    server.replies(replies.chatStream({ frames: frames!.filter((frame) => !frame.includes('total_tokens')) }))
    const stream = await client.chat.completions.create({ model: 'gpt-5', messages, stream: true })
    for await (const chunk of stream) expect(chunk.id).toBeDefined()
    await soon(() => limiter.stats().inFlight === 0)
    expect(usedOf(limiter, 'inputTokens')).toBeGreaterThan(9)
  })

  test('each model has its limiter, a family shares one, and a refusal holds one only', async () => {
    const models = perModel({ 'gpt-5': quick, 'gpt-5-mini*': quick, default: quick })
    const client = limitOpenAI(bareClient(), models)
    for (const model of ['gpt-5', 'gpt-5-mini', 'gpt-5-mini-2026-01-01', 'o9']) await ask(client, { model })
    const issued = () =>
      models.limiters().map(({ name, ...limiter }) => [name, models.limiterFor(name).stats().issued, limiter])
    expect(issued().map(([name, count]) => [name, count])).toEqual([
      ['gpt-5', 1],
      ['gpt-5-mini*', 2],
      ['default', 0],
      ['o9', 1],
    ])
    server.replies(({ body }) =>
      body.model === 'gpt-5' ? replies.rate({ 'retry-after': '5' }) : replies.chat(),
    )
    const abort = new AbortController()
    const held = client.chat.completions.create({ model: 'gpt-5', messages }, { signal: abort.signal })
    await soon(() => models.limiterFor('gpt-5').stats().gate === 'closed')
    await ask(client, { model: 'o9' })
    abort.abort()
    await expect(held).rejects.toThrow(Client.APIUserAbortError)
  })

  test('limits by model within the account’s', async () => {
    const parent = quickLimiter()
    const client = limitOpenAI(bareClient(), { models: { 'gpt-5': quick }, parent })
    await ask(client)
    await soon(() => parent.stats().inFlight === 0)
    expect([usedOf(parent, 'requests'), usedOf(parent, 'inputTokens')]).toEqual([1, 9])
  })

  test('a service that can say whether it is blocked is asked, and no call is the probe', async () => {
    const asked: boolean[] = []
    const limiter = new BucketRateLimiter({ name: 'asked', ...quick })
    const isBlocked = () => {
      asked.push(asked.length < 2)
      return asked.length < 3
    }
    const client = limitOpenAI(bareClient(), { name: 'service', limiterFor: () => limiter, isBlocked })
    server.replies(replies.rateSilent(), replies.chat())
    await ask(client)
    expect(asked).toEqual([true, true, false])
    expect(server.seen).toHaveLength(2)
  })

  describe('the services', () => {
    const isProbe = ({ body }: Seen) => body.max_completion_tokens === 1

    test('OpenAI: a limiter a model, asked by one token of the model that was refused', async () => {
      const service = openaiService({ 'gpt-5*': quick, default: quick }, { probeWith: bareClient() })
      const client = limitOpenAI(bareClient(), service)
      let blocked = 3
      server.replies(({ body }) =>
        body.model !== 'gpt-5-mini' || blocked-- <= 0 ? replies.chat() : replies.rateSilent(),
      )
      await Promise.all([ask(client, { model: 'gpt-5-mini' }), ask(client, { model: 'o9' })])
      expect(server.seen.filter((seen) => isProbe(seen) && seen.body.model === 'gpt-5-mini')).toHaveLength(3)
      expect(server.seen.filter((seen) => !isProbe(seen) && seen.body.model === 'gpt-5-mini')).toHaveLength(2)
      expect(server.seen.filter(({ body }) => body.model === 'o9')).toHaveLength(1)
      expect(service.limiters().map(({ name }) => name)).toEqual(['gpt-5*', 'default', 'o9'])
    })

    test('a probe that is answered by "bad request" was let in', async () => {
      const service = openaiService({ default: quick }, { probeWith: bareClient() })
      let refused = false
      server.replies((seen) => {
        if (isProbe(seen)) return replies.badKey()
        return refused ? replies.chat() : ((refused = true), replies.rateSilent())
      })
      await ask(limitOpenAI(bareClient(), service))
      expect(server.seen.map(isProbe)).toEqual([false, true, false])
    })

    test('Fireworks: one for the account', async () => {
      const service = fireworksService(quick, { probeWith: bareClient(), model: 'small' })
      const client = limitOpenAI(bareClient(), service)
      expect(service.limiterFor('a')).toBe(service.limiterFor('b'))
      server.replies(replies.rateSilent(), replies.chat())
      await ask(client, { model: 'a' })
      expect(server.seen.map(({ body }) => body.model)).toEqual(['a', 'small', 'a'])
      const plain = limitOpenAI(bareClient(), fireworksService(quick))
      server.replies(replies.rateSilent(), replies.chat())
      await ask(plain, { model: 'b' })
      expect(server.seen.slice(3).map(({ body }) => body.model)).toEqual(['b', 'b'])
    })
  })

  test('tenants take turns', async () => {
    const limiter = quickLimiter({ maxConcurrent: 1 })
    const tenant = (request: unknown) => (request as { user?: string }).user
    const client = limitOpenAI(bareClient(), limiter, { tenant })
    await Promise.all(['a', 'a', 'a', 'a', 'b'].map((user) => ask(client, { user })))
    const order = server.seen.map(({ body }) => body.user)
    expect(order.indexOf('b')).toBeLessThan(3)
  })

  test('one signal for many calls in line has one listener of ours', async () => {
    const client = limitOpenAI(bareClient(), quickLimiter({ maxConcurrent: 1 }))
    server.replies({ then: 'hang' })
    const abort = new AbortController()
    const calls = Array.from({ length: 50 }, () =>
      outcome(client.chat.completions.create({ model: 'gpt-5', messages }, { signal: abort.signal })),
    )
    await soon(() => server.seen.length === 1)
    // One for those in line, one of the SDK's own for the call that is out.
    expect(getEventListeners(abort.signal, 'abort').length).toBeLessThanOrEqual(2)
    abort.abort()
    for (const result of await Promise.all(calls))
      expect(result).toMatchObject({ thrown: Client.APIUserAbortError })
  })
})
