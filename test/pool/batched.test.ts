// Several embeddings in one request: which calls share a request, and what each caller gets.

import OpenAI from 'openai'
import { describe, expect, test } from 'vitest'
import { BucketRateLimiter } from 'llmiter'
import { type BatchedCall, type BatchedOptions, createPool, type PoolOptions } from 'llmiter/pool'
import { startHttpProvider, TokenBucketProvider } from 'llmiter/testing'
import { EMPTY, fate, leftovers, refusal } from '../helpers.ts'
import { type Key, poolOf } from './rig.ts'

interface Request {
  model: string
  input: string | string[]
  dimensions?: number
}

const list = (input: Request['input']) => (typeof input === 'string' ? [input] : input)
const texts = (count: number) => Array.from({ length: count }, (_, i) => `text ${i}`)

/** An embedding equals its text. A bad text fails the whole request, as with all providers. */
function rig(
  keys: Parameters<typeof poolOf>[0] = { a: {} },
  options: Omit<PoolOptions<Key>, 'targets'> = {},
  batch: BatchedOptions = {},
  ms = 100,
) {
  const { pool, clock, targets } = poolOf(keys, options)
  const sent: { at: number; texts: string[]; target: string }[] = []
  const embed = pool.batched(async ({ name }, { model, input }: Request, signal) => {
    const all = list(input)
    sent.push({ at: clock.now(), texts: all, target: name })
    await new Promise<void>((resolve, reject) => {
      clock.setTimer(resolve, ms)
      signal?.addEventListener('abort', () => reject(signal.reason as Error))
    })
    if (all.some((text) => text.startsWith('bad'))) throw refusal(400)
    const tokens = all.reduce((sum, text) => sum + text.length, 0)
    // In any order: each result has its number.
    const data = all.map((embedding, index) => ({ embedding, index })).reverse()
    return { model, data, usage: { prompt_tokens: tokens, total_tokens: tokens } }
  }, batch)
  const one = async (input: Request['input'], call?: BatchedCall) => {
    const { data } = await embed({ model: 'm', input }, call)
    return data.map(({ embedding }) => embedding).join()
  }
  return { pool, clock, targets, sent, embed, one, sizes: () => sent.map((request) => request.texts.length) }
}

describe('calls that come together', () => {
  test('go in one request, and each gets its own results in order', async () => {
    const { pool, clock, targets, sent, embed } = rig()
    const answers = Promise.all(
      [texts(1)[0]!, ['b', 'a'], ['z']].map((input) => embed({ model: 'm', input }, { tenant: 't' })),
    )
    await clock.runAll()
    expect(sent.map((request) => request.texts)).toEqual([['text 0', 'b', 'a', 'z']])
    expect((await answers).map(({ data }) => data)).toEqual([
      [{ embedding: 'text 0', index: 0 }],
      [
        { embedding: 'b', index: 0 },
        { embedding: 'a', index: 1 },
      ],
      [{ embedding: 'z', index: 0 }],
    ])
    expect((await answers).reduce((sum, { usage }) => sum + usage.total_tokens, 0)).toBe(9)
    expect(pool.stats().sharing).toMatchObject({ batched: 3 })
    expect(leftovers(targets[0]!.limiter, clock)).toEqual(EMPTY)
  })

  test('do not when anything but their inputs differs', async () => {
    const { clock, sent, embed, one } = rig()
    const calls: Promise<unknown>[] = [
      one('a'),
      embed({ model: 'other', input: 'b' }),
      embed({ model: 'm', input: 'c', dimensions: 8 }),
      one('d', { tenant: 't' }),
      one('e', { priority: 1 }),
      one('f', { user: { plan: 'pro' } }),
      one('g', { share: false }),
      one('h', { usage: () => undefined }),
      one('i', { maxWaitMs: 0 }),
      embed({ model: 'm', input: [1, 2, 3] as never }).catch(() => {}),
    ]
    await clock.runAll()
    await Promise.all(calls)
    expect(sent).toHaveLength(calls.length)
  })

  test('are as many as the provider takes: items and tokens', async () => {
    const many = rig({ a: {} }, {}, { maxItems: 4 })
    const all = Promise.all([...texts(9), ['x', 'y', 'z'], texts(7)].map((input) => many.one(input)))
    await many.clock.runAll()
    expect((await all).join()).toBe([...texts(9), 'x', 'y', 'z', ...texts(7).reverse()].join())
    // A call larger than a request is sent alone, and gets the provider's own answer.
    expect(many.sizes()).toEqual([4, 4, 4, 7])
    const long = rig({ a: {} }, {}, { maxTokens: 250 })
    const words = Promise.all(texts(5).map((text) => long.one(text.padEnd(400, ' words'))))
    await long.clock.runAll()
    await words
    expect(long.sizes()).toEqual([2, 2, 1])
  })

  test('are more, the scarcer tickets are', async () => {
    const { clock, sent, one, sizes } = rig({ a: { maxConcurrent: 1 } })
    const done: Promise<string>[] = []
    for (const text of texts(100)) {
      done.push(one(text))
      await clock.advance(10)
    }
    await clock.runAll()
    expect((await Promise.all(done)).join()).toBe(texts(100).join())
    // One every 10 ms, and a request takes 100 ms: this many share each request, except the first two.
    expect(sizes().slice(0, 2)).toEqual([1, 1])
    expect(sent.length).toBeLessThan(14)
    expect(Math.max(...sizes())).toBeGreaterThanOrEqual(9)
  })

  test('share neither a cached answer nor a place with those of other tenants', async () => {
    const { pool, clock, sent, one } = rig({ a: {} }, { cache: { maxBytes: 1e6, ttl: '1m' }, coalesce: true })
    const first = Promise.all([one('a'), one('a'), one('b'), one('a', { tenant: 't' })])
    await clock.runAll()
    await first
    expect(sent.map((request) => request.texts)).toEqual([['a', 'b'], ['a']])
    expect(await one('b')).toBe('b')
    expect(pool.stats().sharing).toMatchObject({ coalesced: 1, cached: 1, batched: 2 })
  })
})

describe('a caller that leaves', () => {
  test('before the request is sent takes its inputs along, in whatever place it waits', async () => {
    const { clock, targets, sent, one, pool } = rig({ a: { maxConcurrent: 1 } })
    const leave = new AbortController()
    const first = one('first')
    await clock.advance(5)
    const waits = [one('a'), fate(one('b', { signal: leave.signal })), one('c')] as const
    const late = fate(one('d', { maxWaitMs: 20 }))
    await clock.advance(10)
    leave.abort(new Error('left'))
    await clock.advance(20)
    expect(waits[1].now).toBe('error: left')
    expect(late.now).toMatch(/^error: no target had room within maxWaitMs/)
    await clock.runAll()
    expect(await Promise.all([first, waits[0], waits[2]])).toEqual(['first', 'a', 'c'])
    expect(sent.map((request) => request.texts)).toEqual([['first'], ['a', 'c']])
    expect(leftovers(targets[0]!.limiter, clock)).toEqual(EMPTY)
    expect(pool.stats().waiting).toBe(0)
  })

  test('while it is under way is told at once, and the others wait for it', async () => {
    const { clock, one, sent } = rig()
    const leave = new AbortController()
    const [gone, stays] = [fate(one('a', { signal: leave.signal })), fate(one('b'))]
    await clock.advance(50)
    leave.abort(new Error('left'))
    await clock.advance(0)
    expect([gone.now, stays.now]).toEqual(['error: left', 'pending'])
    await clock.runAll()
    expect(stays.now).toBe('ok: b')
    expect(sent).toHaveLength(1)
  })

  test('last of all ends the request', async () => {
    const { clock, targets, one, sent } = rig({ a: { maxConcurrent: 1 } })
    const leave = new AbortController()
    const { signal } = leave
    const all = [fate(one('a', { signal })), fate(one('b', { signal }))]
    await clock.advance(5)
    const next = [fate(one('c', { signal })), fate(one('d', { signal }))]
    await clock.advance(5)
    const collecting = fate(one('e', { signal }))
    leave.abort(new Error('all of us'))
    await clock.advance(0)
    expect([...all, ...next, collecting].map(({ now }) => now)).toEqual(
      Array<string>(5).fill('error: all of us'),
    )
    await clock.runAll()
    expect(sent).toHaveLength(1)
    expect(leftovers(targets[0]!.limiter, clock)).toEqual(EMPTY)
    await expect(one('f', { signal })).rejects.toThrow('all of us')
  })
})

describe('a request that fails', () => {
  test('for one bad input is halved: that one gets the error, and all others their answers', async () => {
    const { pool, clock, one, sent, targets } = rig()
    const calls = texts(16).map((text, i) => fate(one(i === 5 ? 'bad' : text)))
    await clock.runAll()
    expect(calls.map(({ now }) => now)).toEqual(
      texts(16).map((text, i) => (i === 5 ? 'error: HTTP 400' : `ok: ${text}`)),
    )
    // 16 requests for the bad one, and two halves at each level.
    expect(sent).toHaveLength(9)
    expect(pool.stats().sharing!.batched).toBe(14)
    expect(leftovers(targets[0]!.limiter, clock)).toEqual(EMPTY)
  })

  test.each([401, 404])('for what has nothing to do with its inputs (%i) is not', async (status) => {
    const { pool, clock } = poolOf({ a: {} })
    let sent = 0
    const embed = pool.batched(() => {
      sent++
      throw refusal(status)
    })
    const calls = texts(8).map((input) => fate(embed({ input })))
    await clock.runAll()
    expect(new Set(calls.map(({ now }) => now)).size).toBe(1)
    expect(calls[0]!.now).toMatch(/^error/)
    expect(sent).toBe(1)
  })

  test('at one target is tried at the next as it is', async () => {
    const { pool, clock } = poolOf({ a: {}, b: { tier: 2 } })
    const log: string[] = []
    const embed = pool.batched(({ name }, { input }: Request) => {
      log.push(`${name} ${list(input).join()}`)
      if (name === 'a') throw refusal(500)
      return { data: list(input).map((embedding) => ({ embedding })) }
    })
    const calls = Promise.all(['x', 'y'].map((input) => embed({ model: 'm', input })))
    await clock.runAll()
    expect((await calls).map(({ data }) => data[0]!.embedding)).toEqual(['x', 'y'])
    expect(log).toEqual(['a x,y', 'b x,y'])
  })

  test.each([
    [
      'too few results',
      { data: [{ embedding: 1 }] },
      /3 inputs must hold 3 results in data or embeddings, got 1/,
    ],
    ['no results', { ok: true }, /must hold 3 results in data or embeddings, got {ok}/],
    ['a result twice', { data: [{ index: 0 }, { index: 0 }, { index: 2 }] }, /holds no result 1/],
  ])('by an answer with %s fails for all, and nobody gets what is another’s', async (_, answer, message) => {
    const { pool, clock } = poolOf({ a: {} })
    const embed = pool.batched(() => answer)
    const calls = texts(3).map((input) => fate(embed({ input })))
    await clock.runAll()
    for (const { now } of calls) expect(now).toMatch(message)
  })
})

test('a budget is charged what the request has used, once; what it cannot hold as one it may hold in parts', async () => {
  const budget = { tokens: 200, per: 'day' } as const
  const { pool, clock, one, sizes } = rig({ a: {} }, { budget })
  const calls = texts(2).map((text) =>
    fate(one(text.padEnd(20), { cost: { inputTokens: 20, outputTokens: 0 } })),
  )
  await clock.runAll()
  expect(sizes()).toEqual([2])
  expect(pool.stats().budgets[0]!.amounts[0]).toMatchObject({ used: 40, reserved: 0 })
  const more = texts(8).map((text) =>
    fate(one(text.padEnd(40), { cost: { inputTokens: 40, outputTokens: 0 } })),
  )
  await clock.runAll()
  expect(calls.map(({ now }) => now.slice(0, 2))).toEqual(['ok', 'ok'])
  expect(more.filter(({ now }) => now.startsWith('ok'))).toHaveLength(4)
  expect(more.filter(({ now }) => now.includes('tokens are used or reserved'))).toHaveLength(4)
  expect(pool.stats().budgets[0]!.amounts[0]).toMatchObject({ used: 200, reserved: 0 })
})

test('other names of the fields, and wrong options', async () => {
  const { pool, clock } = poolOf({ a: {} })
  const gemini = pool.batched((_, { contents }: { contents: string[] }) => ({
    embeddings: contents.map((values) => ({ values })),
  }))
  const calls = Promise.all([gemini({ contents: ['a'] }), gemini({ contents: ['b', 'c'] })])
  await clock.runAll()
  expect((await calls).map(({ embeddings }) => embeddings.length)).toEqual([1, 2])
  const make = (options: object) => () => pool.batched(() => ({}), options)
  expect(make({ maxItems: 0 })).toThrow(/maxItems must be a whole number of at least 1/)
  expect(make({ maxTokens: '5' })).toThrow(/maxTokens must be/)
  expect(make({ max: 5 })).toThrow(/batched has no option 'max'/)
  expect(() => pool.batched({} as never)).toThrow(/fn must be a function/)
  await expect(gemini('a' as never)).rejects.toThrow(/request must be an object/)
  await expect(gemini({ contents: ['a'] }, { maxWaitMs: -1 })).rejects.toThrow(/maxWaitMs/)
  await expect(gemini({ contents: ['a'] }, { signal: {} as never })).rejects.toThrow(/signal must be/)
})

test('with OpenAI’s SDK and two keys: few requests, every vector at its place, and a limit of tokens kept', async () => {
  const limits = { requestsPerMinute: 1200, tokensPerMinute: 6000 }
  const providers = [0, 1].map(() => new TokenBucketProvider({ ...limits, capacityMs: 1000 }))
  const servers = await Promise.all(providers.map((model) => startHttpProvider({ model })))
  const pool = createPool({
    targets: servers.map(({ url }, i) => ({
      name: `key ${i}`,
      // Configured too high, so the provider refuses what is too large for it.
      limiter: new BucketRateLimiter({ name: `key ${i}`, requestsPerMinute: 1200, ramp: false }),
      client: new OpenAI({ apiKey: 'any', baseURL: url, maxRetries: 0 }),
    })),
  })
  const embed = pool.batched(({ client }, request: OpenAI.EmbeddingCreateParams, signal) =>
    client.embeddings.create(request, { signal }),
  )
  const model = 'text-embedding-3-small'
  // 60 texts of 4 tokens exceed what a bucket of 100 tokens can ever hold.
  const answers = await Promise.all(
    Array.from({ length: 60 }, (_, i) => embed({ model, input: `text ${i}`.padEnd(16), dimensions: 4 })),
  )
  const direct = await new OpenAI({ apiKey: 'any', baseURL: servers[0]!.url }).embeddings.create({
    ...{ model, input: ['a'], dimensions: 4 },
  })
  for (const { data, usage } of answers) {
    expect(data).toHaveLength(1)
    expect(data[0]).toMatchObject({ index: 0, object: 'embedding' })
    expect(data[0]!.embedding).toHaveLength(direct.data[0]!.embedding.length)
    expect(usage).toEqual({ prompt_tokens: 4, total_tokens: 4 })
  }
  const admitted = servers.reduce((sum, { requests }) => sum + (requests.byStatus[200] ?? 0), 0)
  expect(admitted).toBeLessThan(10)
  expect(pool.stats().sharing!.batched).toBe(60)
  await Promise.all(servers.map((server) => server.close()))
})
