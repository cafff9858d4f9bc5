// The types of wrapped functions. `tsc` checks them. Running this file only shows that it runs.

import { BucketRateLimiter, perModel, withLimiter } from 'llmiter'
import OpenAI from 'openai'
import { expect, expectTypeOf, test } from 'vitest'

const limiter = new BucketRateLimiter({ name: 'types', requestsPerMinute: 1e6 })

test('arguments stay as they were declared, whatever the callbacks name', async () => {
  const post = (body: string, signal?: AbortSignal) => Promise.resolve(`${body}${signal?.aborted ?? ''}`)
  const chat = withLimiter(post, limiter, { priority: 1, signal: (_, signal) => signal })
  expectTypeOf(chat).parameters.toEqualTypeOf<Parameters<typeof post>>()
  expectTypeOf(chat).returns.toEqualTypeOf<Promise<string>>()
  expect(await chat('hello')).toBe('hello')
  const sum = withLimiter(
    (first: number, ...rest: number[]) => rest.reduce((a, b) => a + b, first),
    limiter,
    {
      tenant: (first) => `${first}`,
    },
  )
  expectTypeOf(sum).parameters.toEqualTypeOf<[first: number, ...rest: number[]]>()
  expect(await sum(1, 2, 3)).toBe(6)
})

test('the usage of a stream is asked of each chunk, of anything else of the result', () => {
  const openai = new OpenAI({ apiKey: 'none' })
  const input = { model: 'gpt-5', input: 'hi' }
  const stream = withLimiter(() => openai.responses.create({ ...input, stream: true }), limiter, {
    usage: (chunk) => (chunk.type === 'response.completed' ? { tokens: 1 } : undefined),
  })
  expectTypeOf(stream).returns.resolves.toHaveProperty('tee')
  const plain = withLimiter(() => openai.responses.create(input), limiter, {
    usage: (result) => ({ tokens: result.usage?.total_tokens ?? 0 }),
  })
  expectTypeOf(plain).returns.resolves.toHaveProperty('output_text')
})

test('`this` is passed on, and asked for', async () => {
  const counter = {
    by: 2,
    times: withLimiter(function (this: { by: number }, n: number) {
      return n * this.by
    }, limiter),
  }
  expect(await counter.times(21)).toBe(42)
})

test('a misspelt dimension of a cost is named, and so is what there is', async () => {
  const paints = new BucketRateLimiter({ name: 'paints', limits: [{ of: 'images', amount: 5, per: '1m' }] })
  await expect(paints.run(() => 1, { cost: { image: 1 } })).rejects.toThrow(/'image'.*images/)
  expect(
    () => new BucketRateLimiter({ name: 'x', limits: [{ of: 'request', amount: 5, per: '1m' }] }),
  ).toThrow(/'requests'/)
})

test('the limits of a model are checked at once, and named', () => {
  expect(() => perModel({ 'gpt-5': 500 as never })).toThrow(/'gpt-5'.*500/)
  expect(() => perModel({ default: { requestsPerMinute: -1 } })).toThrow(/requestsPerMinute.*-1/)
  expect(
    perModel({ a: { limits: [] }, default: { limits: [] } })
      .limiters()
      .map(({ name }) => name),
  ).toEqual(['a', 'default'])
})
