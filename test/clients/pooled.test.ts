// The real SDKs over a pool: existing code runs on two keys, and takes one ticket for each request that is sent.

import Anthropic from '@anthropic-ai/sdk'
import Groq from 'groq-sdk'
import OpenAI from 'openai'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { BucketRateLimiter } from 'llmiter'
import { limitAnthropic } from 'llmiter/anthropic'
import { limitGroq } from 'llmiter/groq'
import { limitOpenAI } from 'llmiter/openai'
import { createPool, type PoolOptions } from 'llmiter/pool'
import { collect, each, fate } from '../helpers.ts'
import * as replies from './fixtures/openai.ts'
import { type Reply, type Server, startServer } from './server.ts'

let servers: Record<'a' | 'b', Server>
beforeEach(async () => {
  servers = { a: await startServer(), b: await startServer() }
  for (const server of Object.values(servers)) server.replies(replies.chat())
})
afterEach(() => Promise.all(Object.values(servers).map((server) => server.close())))

const messages = [{ role: 'user' as const, content: 'What is the capital of France?' }]
const ask = (client: OpenAI, options = {}) =>
  client.chat.completions.create({ model: 'gpt-5', messages }, options)

function twoKeys(options: Partial<PoolOptions> = {}, models: { a?: string; b?: string } = {}) {
  const targets = (['a', 'b'] as const).map((name) => ({
    name,
    limiter: new BucketRateLimiter({ name, ramp: false, maxConcurrent: 2 }),
    client: new OpenAI({ apiKey: `key-${name}`, baseURL: `${servers[name].url}/v1`, logLevel: 'off' }),
    ...(models[name] && { model: models[name] }),
  }))
  const pool = createPool({ ...options, targets })
  return { pool, targets, openai: limitOpenAI(pool) }
}
const issued = ({ targets }: ReturnType<typeof twoKeys>) =>
  targets.map(({ limiter }) => limiter.stats().issued)
const sent = () => [servers.a.seen.length, servers.b.seen.length]

describe('a client over a pool', () => {
  test('uses both keys, each with its own credentials, and takes one ticket a call', async () => {
    const keys = twoKeys()
    expect(keys.openai).toBeInstanceOf(OpenAI)
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask(keys.openai)))
    expect(answers.map(({ choices }) => choices[0]!.message.content)).toEqual(
      Array.from({ length: 20 }, () => expect.any(String) as string),
    )
    expect(Math.min(...sent())).toBeGreaterThan(3)
    expect(sent().reduce((a, b) => a + b)).toBe(20)
    expect(issued(keys)).toEqual(sent())
    expect(servers.a.seen.every(({ headers }) => headers.authorization === 'Bearer key-a')).toBe(true)
    expect(servers.b.seen.every(({ headers }) => headers.authorization === 'Bearer key-b')).toBe(true)
    for (const { limiter } of keys.targets) expect(limiter.stats()).toMatchObject({ inFlight: 0, waiting: 0 })
  })

  const faults: [string, Reply, string][] = [
    [
      'refused',
      { status: 429, headers: { 'retry-after': '30' }, body: { error: { message: 'Rate limit reached' } } },
      'gated',
    ],
    ['broken', { status: 500, body: { error: { message: 'oops' } } }, 'ready'],
    ['not accepted', { status: 401, body: { error: { message: 'Incorrect API key' } } }, 'dead'],
    [
      'out of quota',
      {
        status: 429,
        body: { error: { code: 'insufficient_quota', message: 'You exceeded your current quota' } },
      },
      'spent',
    ],
  ]
  test.each(faults)('a call that one key has %s goes to the other', async (_, reply, state) => {
    servers.a.replies(reply)
    const { pool, openai } = twoKeys({ strategy: { fallback: ['a', 'b'] }, waitUpTo: 0 })
    const { choices } = await ask(openai)
    expect(choices[0]!.message.content).toBeTruthy()
    expect(sent()).toEqual([1, 1])
    expect(pool.stats().targets[0]!.state.state).toBe(state)
  })

  test('an error of the caller is the SDK’s own', async () => {
    for (const server of Object.values(servers))
      server.replies({ status: 400, body: { error: { message: 'no' } } })
    await expect(ask(twoKeys().openai)).rejects.toBeInstanceOf(OpenAI.BadRequestError)
    expect(sent().reduce((a, b) => a + b)).toBe(1)
  })

  test('a stream holds its ticket until it is read, and settles the budget', async () => {
    for (const server of Object.values(servers)) server.replies(replies.chatStream({ frameMs: 20 }))
    const { pool, targets, openai } = twoKeys({ budget: { tokens: 100_000, per: 'day' } })
    const stream = await openai.chat.completions.create({
      model: 'gpt-5',
      messages,
      stream: true,
      max_tokens: 100,
      stream_options: { include_usage: true },
    })
    const out = () => targets.reduce((sum, { limiter }) => sum + limiter.stats().inFlight, 0)
    expect(out()).toBe(1)
    expect(pool.stats().budgets[0]!.amounts[0]).toMatchObject({ used: 0 })
    let text = ''
    for await (const { choices } of stream) text += choices[0]?.delta.content ?? ''
    expect(text).toBeTruthy()
    expect(out()).toBe(0)
    await Promise.resolve()
    expect(pool.stats().budgets[0]!.amounts[0]).toMatchObject({ used: 21, reserved: 0 })
    await ask(openai)
    await Promise.resolve()
    expect(pool.stats().budgets[0]!.amounts[0]!.reserved).toBe(0)
  })

  test('an abort is the SDK’s own, in line and in flight', async () => {
    const { pool, targets, openai } = twoKeys({ budget: { requests: 100, per: 'day' } })
    for (const server of Object.values(servers)) server.replies({ then: 'hang', frames: [] })
    const leave = new AbortController()
    const calls = Array.from({ length: 6 }, () => fate(ask(openai, { signal: leave.signal })))
    while (sent().reduce((a, b) => a + b) < 4) await new Promise((resolve) => setTimeout(resolve, 5))
    leave.abort()
    while (calls.some(({ now }) => now === 'pending')) await new Promise((resolve) => setTimeout(resolve, 5))
    for (const { error } of calls) expect(error).toBeInstanceOf(OpenAI.APIUserAbortError)
    for (const { limiter } of targets) expect(limiter.stats()).toMatchObject({ inFlight: 0, waiting: 0 })
    expect(sent().reduce((a, b) => a + b)).toBe(4)
    expect(pool.stats().budgets[0]!.amounts[0]).toMatchObject({ used: 4, reserved: 0 })
  })

  const streams: [string, Reply, (openai: OpenAI) => Promise<AsyncIterable<unknown>>][] = [
    [
      'chat',
      replies.chatStream(),
      (openai) => openai.chat.completions.create({ model: 'gpt-5', messages, stream: true }),
    ],
    [
      'a response',
      replies.responsesStream(),
      (openai) => openai.responses.create({ model: 'gpt-5', input: 'x', stream: true }),
    ],
  ]
  test.each(streams)(
    '%s whose stream breaks before its first content is tried elsewhere',
    async (_, reply, start) => {
      const budget = { tokens: 100_000, per: 'day' } as const
      const { pool, targets, openai } = twoKeys({ strategy: { fallback: ['a', 'b'] }, waitUpTo: 0, budget })
      servers.a.replies({ ...reply, frames: reply.frames!.slice(0, 1), frameMs: 5, then: 'cut' })
      servers.b.replies(reply)
      expect(await collect(await start(openai))).toEqual(await collect(await start(targets[1]!.client)))
      expect(sent()).toEqual([1, 2])
      expect(pool.stats().targets.map(({ answered, failed }) => [answered, failed])).toEqual([
        [0, 1],
        [1, 0],
      ])
      expect(pool.stats().budgets[0]!.amounts[0]!.reserved).toBe(0)
      for (const { limiter } of targets) expect(limiter.stats()).toMatchObject({ inFlight: 0, waiting: 0 })
    },
  )

  const failed = (type: string) =>
    `data: ${JSON.stringify({ type: 'error', error: { type, message: 'x' } })}\n\n`

  test.each(streams)('%s whose stream begins with an error is tried elsewhere', async (_, reply, start) => {
    const { targets, openai } = twoKeys({ strategy: { fallback: ['a', 'b'] }, waitUpTo: 0 })
    servers.a.replies({ ...reply, frames: [failed('overloaded_error')], then: 'hang' })
    servers.b.replies(reply)
    expect(await collect(await start(openai))).toEqual(await collect(await start(targets[1]!.client)))
    expect(sent()).toEqual([1, 2])
    for (const { limiter } of targets) expect(limiter.stats()).toMatchObject({ inFlight: 0, waiting: 0 })
  })

  test.each(streams)(
    '%s that is refused in its first event everywhere throws what its SDK makes of it',
    async (_, reply, start) => {
      const { targets, openai } = twoKeys({ strategy: { fallback: ['a', 'b'] }, waitUpTo: 0, maxAttempts: 2 })
      for (const server of [servers.a, servers.b])
        server.replies({ ...reply, frames: [failed('server_error')] })
      const alone: unknown = await start(targets[1]!.client)
        .then(each)
        .catch((error: unknown) => error)
      const pooled: unknown = await start(openai)
        .then(each)
        .catch((error: unknown) => error)
      expect(Object(pooled)).toBeInstanceOf(Error)
      expect(String(pooled)).toBe(String(alone))
      for (const { limiter } of targets) expect(limiter.stats()).toMatchObject({ inFlight: 0, waiting: 0 })
    },
  )

  test.each(streams)('%s whose stream breaks after that is an error', async (_, reply, start) => {
    const { targets, openai } = twoKeys({ strategy: { fallback: ['a', 'b'] }, waitUpTo: 0 })
    const content = reply.frames!.findIndex((frame) => frame.includes('"Pa'))
    servers.a.replies({ ...reply, frames: reply.frames!.slice(0, content + 1), frameMs: 5, then: 'cut' })
    const stream = await start(openai)
    await expect(each(stream)).rejects.toThrow()
    expect(sent()).toEqual([1, 0])
    for (const { limiter } of targets) expect(limiter.stats()).toMatchObject({ inFlight: 0, waiting: 0 })
  })

  test('stays with one target when it is told to; lists stay with the first', async () => {
    const { openai } = twoKeys()
    const pinned = openai.withLimiterOptions({ target: 'b', tenant: 'x' })
    await Promise.all([ask(pinned), ask(pinned.withOptions({ timeout: 5000 })), ask(pinned)])
    expect(sent()).toEqual([0, 3])
    servers.a.replies({ body: { object: 'list', data: [] } })
    await openai.models.list()
    expect(sent()).toEqual([1, 3])
    expect(() => openai.withLimiterOptions({ targets: 'b' } as never)).toThrow(/no option 'targets'/)
  })

  test('asks each target for its own model', async () => {
    const { openai } = twoKeys({}, { b: 'other-model' })
    await ask(openai.withLimiterOptions({ target: 'b' }))
    await ask(openai.withLimiterOptions({ target: 'a' }))
    expect([servers.a, servers.b].map(({ seen }) => seen[0]!.body.model)).toEqual(['gpt-5', 'other-model'])
  })

  test('a target without a client is refused', () => {
    const limiter = new BucketRateLimiter({ name: 'a', limits: [] })
    expect(() => limitOpenAI(createPool({ targets: [{ name: 'a', limiter }] }) as never)).toThrow(
      'targets: a has no client',
    )
  })
})

test('Anthropic and Groq are pooled likewise', async () => {
  const message = {
    id: 'm',
    type: 'message',
    role: 'assistant',
    model: 'c',
    content: [{ type: 'text', text: 'Paris' }],
    stop_reason: 'end_turn',
    usage: { input_tokens: 9, output_tokens: 1 },
  }
  const limiters = ['a', 'b'].map((name) => new BucketRateLimiter({ name, ramp: false, maxConcurrent: 1 }))
  const clients = <C>(make: (baseURL: string) => C) =>
    createPool({
      targets: (['a', 'b'] as const).map((name, i) => ({
        name,
        limiter: limiters[i]!,
        client: make(servers[name].url),
      })),
    })
  for (const server of Object.values(servers)) server.replies({ body: message })
  const anthropic = limitAnthropic(clients((baseURL) => new Anthropic({ apiKey: 'any', baseURL })))
  await Promise.all(
    Array.from({ length: 6 }, () => anthropic.messages.create({ model: 'c', max_tokens: 9, messages })),
  )
  expect(sent().reduce((a, b) => a + b)).toBe(6)
  expect(Math.min(...sent())).toBeGreaterThan(0)
  for (const server of Object.values(servers)) server.replies(replies.chat())
  const groq = limitGroq(clients((baseURL) => new Groq({ apiKey: 'any', baseURL })))
  await Promise.all(Array.from({ length: 6 }, () => groq.chat.completions.create({ model: 'c', messages })))
  expect(sent().reduce((a, b) => a + b)).toBe(12)
})
