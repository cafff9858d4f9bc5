// A limiter for each model, or one for all: which limiter a call uses.

import { expect, test } from 'vitest'
import { BucketRateLimiter, perModel, type RateLimitedService, shared, withLimiter } from 'llmiter'
import { EMPTY, fate, leftovers, outOfQuota, rateLimited, steadyClock } from '../helpers.ts'

/** No limit. Only refusals cause waits. */
const free = { limits: [] }

test('perModel: a limiter for each, the same one each time', () => {
  const service = perModel({ a: { requestsPerMinute: 1 }, b: { requestsPerMinute: 2 } })
  expect(service.limiterFor('a')).toBe(service.limiterFor('a'))
  expect(service.limiterFor('a')).not.toBe(service.limiterFor('b'))
  expect(service.limiterFor('b')).toBeInstanceOf(BucketRateLimiter)
  expect(service.limiterFor('b').stats()).toMatchObject({ name: 'b', limits: [{ amount: 2 }] })
})

test('a family shares one limiter; a model listed by name has its own; the longest family wins', () => {
  const service = perModel({ 'gpt-5*': free, 'gpt-5-mini*': free, 'gpt-5-pro': free })
  expect(service.limiterFor('gpt-5')).toBe(service.limiterFor('gpt-5-2026-01-01'))
  expect(service.limiterFor('gpt-5-mini-x').name).toBe('gpt-5-mini*')
  expect(service.limiterFor('gpt-5-pro').name).toBe('gpt-5-pro')
  expect(service.limiterFor('gpt-5-pro-x').name).toBe('gpt-5*')
})

test('default: a limiter for each model that is not listed', () => {
  const service = perModel({ a: { requestsPerMinute: 1 }, default: { requestsPerMinute: 7 } })
  expect(service.limiterFor('x')).not.toBe(service.limiterFor('y'))
  expect(service.limiterFor('x')).toBe(service.limiterFor('x'))
  expect(service.limiterFor()).toBe(service.limiterFor())
  expect(service.limiterFor('x').stats().limits[0]!.amount).toBe(7)
})

test('an unknown model is an error that names the models that are known', async () => {
  const service = perModel({ 'gpt-5': free, 'gpt-5-mini': free }, { name: 'openai' })
  for (const model of ['gpt-4', undefined, '__proto__', 'constructor']) {
    expect(() => service.limiterFor(model)).toThrow(TypeError)
    expect(() => service.limiterFor(model)).toThrow(/'openai'.*gpt-5, gpt-5-mini/)
  }
  const ask = withLimiter((_: { model: string }) => 'in', service)
  await expect(ask({ model: 'gpt-4' })).rejects.toThrow(/'gpt-4'/)
  await expect(ask({ model: 'gpt-5' })).resolves.toBe('in')
})

test("one model's refusal or quota does not stop another", async () => {
  const clock = steadyClock()
  const service = perModel({ a: { ...free, clock }, b: { ...free, clock }, c: { ...free, clock } })
  const errors: Record<string, unknown[]> = { a: [rateLimited(60_000)], b: [outOfQuota()], c: [] }
  const ask = withLimiter(
    async (model: string) => {
      const error = errors[model]!.shift()
      if (error) throw error
      return model
    },
    service,
    { model: (model) => model },
  )
  const [a, b, c] = ['a', 'b', 'c'].map((model) => fate(ask(model)))
  await clock.advance(10)
  expect([a!.now, b!.now, c!.now]).toEqual(['pending', 'error: HTTP 429', 'ok: c'])
  await clock.runAll()
  expect(a!.now).toBe('ok: a')
})

test('an account above its models', async () => {
  const clock = steadyClock()
  const parent = new BucketRateLimiter({
    name: 'account',
    requestsPerMinute: 60,
    burst: 1,
    ramp: false,
    clock,
  })
  const service = perModel({ a: {}, default: {} }, { parent })
  const ask = withLimiter((_: { model: string }) => clock.now(), service)
  const calls = Promise.all(['a', 'b', 'a'].map((model) => ask({ model })))
  await clock.runAll()
  expect((await calls).map((at) => Math.round(at / 1000))).toEqual([0, 1, 2])
  expect(leftovers(parent, clock)).toEqual(EMPTY)
})

test('shared: one limiter for all models', async () => {
  const clock = steadyClock()
  const service = shared({ name: 'mistral', requestsPerMinute: 60, burst: 1, ramp: false, clock })
  expect(service.limiterFor('a')).toBe(service.limiterFor('b'))
  expect(service.limiterFor().name).toBe('mistral')
  const ask = withLimiter((_: { model: string }) => clock.now(), service)
  const calls = Promise.all([ask({ model: 'a' }), ask({ model: 'b' })])
  await clock.runAll()
  expect((await calls).map((at) => Math.round(at / 1000))).toEqual([0, 1])
})

test('a service of your own; one that gives no limiter is named', async () => {
  const clock = steadyClock()
  const limiter = new BucketRateLimiter({ name: 'mine', ...free, clock })
  const own: RateLimitedService = { name: 'own', limiterFor: () => limiter }
  await expect(withLimiter(() => 'in', own)()).resolves.toBe('in')
  const broken = { name: 'broken', limiterFor: () => undefined } as never
  await expect(withLimiter(() => 'in', broken)()).rejects.toThrow(
    /limiterFor\(\) of 'broken' must be a BucketRateLimiter/,
  )
})
