// Functions that are wrapped without a limiter share one, 300 requests a minute unless configured.

import { expect, test } from 'vitest'
import { configureDefaultLimiter, withLimiter } from 'llmiter'

test('one limiter for all, 300 a minute, always the same object', async () => {
  const limiter = configureDefaultLimiter()
  expect(limiter).toBe(configureDefaultLimiter({}))
  expect(limiter.stats()).toMatchObject({
    name: 'default',
    limits: [{ of: 'requests', amount: 300, perMs: 60_000 }],
  })
  const before = limiter.stats().issued
  const add = withLimiter((a: number, b: number) => a + b)
  const same = withLimiter((a: string) => a)
  expect([await add(1, 2), await same('a')]).toEqual([3, 'a'])
  expect(limiter.stats().issued).toBe(before + 2)
})

test('configured later, it holds for functions that are wrapped already', async () => {
  const ask = withLimiter(() => 'in')
  const limiter = configureDefaultLimiter({ requestsPerMinute: 1, maxWaitMs: 0 })
  await expect(ask()).rejects.toThrow('maxWaitMs')
  configureDefaultLimiter({ requestsPerMinute: 60_000 })
  await expect(ask()).resolves.toBe('in')
  expect(limiter.stats().limits[0]!.amount).toBe(60_000)
})

test('its name, parent and clock are not for changing', () => {
  for (const option of ['name', 'parent', 'clock']) {
    expect(() => configureDefaultLimiter({ [option]: 'x' } as never)).toThrow(option)
  }
})

test('it lives on globalThis under a registered symbol, so that two copies of the package share it', () => {
  const symbol = Symbol.for('llmiter.default')
  expect((globalThis as Record<symbol, unknown>)[symbol]).toBe(configureDefaultLimiter({}))
})
