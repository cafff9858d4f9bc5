// Names are for people: a limiter without one gets a number. Only if processes share limits by name is it
// required.

import { expect, test, vi } from 'vitest'
import { limitFetch } from 'llmiter/fetch'
import { memoryStore } from 'llmiter/testing'

test('the first limiter is the default one, the next are numbered', async () => {
  // Limiters created by other tests of this process do not count.
  vi.resetModules()
  const { BucketRateLimiter, shared, withLimiter } = await import('llmiter')
  const made = () => new BucketRateLimiter({ requestsPerMinute: 5 }).name
  expect([made(), made(), made()]).toEqual(['default', 'default-2', 'default-3'])
  expect(new BucketRateLimiter({ name: 'gpt-5', requestsPerMinute: 5 }).name).toBe('gpt-5')
  expect(shared({ requestsPerMinute: 5 }).name).toBe('default-4')
  expect(new BucketRateLimiter({ name: undefined as never, requestsPerMinute: 5 }).name).toBe('default-5')

  const limiter = new BucketRateLimiter({ requestsPerMinute: 5, queue: { max: 0 }, burst: 1 })
  const heard: string[] = []
  limiter.on('reject', ({ limiter }) => heard.push(limiter))
  await limiter.run(() => 1)
  await expect(limiter.run(() => 1)).rejects.toThrow("'default-6'")
  expect([limiter.stats().name, ...heard]).toEqual(['default-6', 'default-6'])

  const ask = withLimiter(function ask() {}, { requestsPerMinute: 5, queue: { max: 0 }, burst: 1 })
  await ask()
  await expect(ask()).rejects.toThrow("'ask'")
})

test('with a store the name is required, and the error says why', async () => {
  const { BucketRateLimiter, shared, withLimiter } = await import('llmiter')
  const options = { requestsPerMinute: 5, store: memoryStore() }
  const why = 'name is required with a store: limiters of one name share their limits'
  expect(() => new BucketRateLimiter(options)).toThrow(why)
  expect(() => shared(options)).toThrow(why)
  expect(() => withLimiter(function ask() {}, options)).toThrow(why)
  expect(() => limitFetch(fetch, options)).toThrow(why)
  expect(new BucketRateLimiter({ ...options, name: 'gpt-5' }).name).toBe('gpt-5')
})
