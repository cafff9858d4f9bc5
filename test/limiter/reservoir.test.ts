// Limits that no window refills: they are refilled manually or by the clock.

import { expect, test } from 'vitest'
import { BucketRateLimiter, explain } from 'llmiter'
import { memoryStore } from 'llmiter/testing'
import { departures, EMPTY, fate, leftovers, refusal, rig } from '../helpers.ts'

const manual = (amount: number) => rig({ limits: [{ of: 'requests', amount, refill: 'manual' }] })

test('the available amount goes immediately; the rest waits until a refill', async () => {
  const { clock, limiter } = manual(2)
  const went = departures(limiter, clock)
  const calls = [1, 2, 3, 4].map((i) => fate(limiter.run(() => i)))
  await clock.advance(36e6)
  expect(went).toEqual([0, 0])
  expect(limiter.available()).toBe(0)
  expect(limiter.waitTime()).toBe(Infinity)
  expect(clock.pendingTimers).toBeLessThanOrEqual(1)
  limiter.refill(1)
  await clock.advance(0)
  expect(went.length).toBe(3)
  limiter.refill(5)
  await clock.advance(0)
  expect([went.length, limiter.available()]).toEqual([4, 4])
  expect(calls.map(({ now }) => now)).toEqual(['ok: 1', 'ok: 2', 'ok: 3', 'ok: 4'])
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
})

test('a call that is heavier than what is left, or than there ever was, waits; it is not refused', async () => {
  const { clock, limiter } = manual(3)
  const heavy = fate(limiter.run(() => 'heavy', { cost: { requests: 5 } }))
  const light = fate(limiter.run(() => 'light'))
  await clock.advance(1000)
  expect([heavy.now, light.now]).toEqual(['pending', 'pending'])
  limiter.refill(2)
  await clock.advance(0)
  expect([heavy.now, light.now, limiter.available()]).toEqual(['ok: heavy', 'pending', 0])
  limiter.refill(-1)
  limiter.refill(2)
  await clock.advance(0)
  expect(light.now).toBe('ok: light')
})

test('nothing at first, its own dimension, and unused amounts are refunded', async () => {
  const { clock, limiter } = rig({ limits: [{ of: 'credits', amount: 0, refill: 'manual' }] })
  const call = { cost: { credits: 4 } }
  const first = fate(limiter.run(() => 'done', call))
  expect(limiter.available('credits')).toBe(0)
  expect(limiter.available('requests')).toBe(Infinity)
  limiter.refill(10, 'credits')
  await clock.advance(0)
  expect([first.now, limiter.available('credits')]).toEqual(['ok: done', 6])
  limiter.tryAcquire(call)!.release()
  limiter.tryAcquire(call)!.finish({ usage: { credits: 1 } })
  expect(limiter.available('credits')).toBe(5)
})

test.each([
  ['set', { every: '10s', to: 2 } as const, [0, 0, 0, 10, 10, 20, 20, 30]],
  ['added', { every: '10s', by: 1 } as const, [0, 0, 0, 10, 20, 30, 40, 50]],
  [
    'both',
    [
      { every: '10s', to: 1 },
      { every: '5s', by: 1 },
    ] as const,
    [0, 0, 0, 5, 10, 10, 15, 20],
  ],
])('by the clock, without a timer while nobody waits: %s', async (_, refill, seconds) => {
  const { clock, limiter } = rig({ limits: [{ of: 'requests', amount: 3, refill }] })
  const went = departures(limiter, clock)
  expect(clock.pendingTimers).toBe(0)
  const calls = Array.from({ length: 8 }, () => limiter.run(() => {}))
  await clock.runAll()
  await Promise.all(calls)
  expect(went.map((ms) => ms / 1000)).toEqual(seconds)
  expect(clock.pendingTimers).toBe(0)
})

test('the rules begin when the limiter is made, work while nobody looks, and add no more than max', async () => {
  const { clock, limiter } = rig({
    limits: [{ of: 'requests', amount: 0, refill: { every: '1m', by: 5, max: 12 } }],
  })
  await clock.advance(90_000)
  expect(limiter.available()).toBe(5)
  expect(limiter.waitTime({ requests: 6 })).toBe(30_000)
  expect(limiter.waitTime({ requests: 13 })).toBe(Infinity)
  await clock.advance(3_600_000)
  expect(limiter.available()).toBe(12)
  limiter.refill(3)
  await clock.advance(3_600_000)
  expect(limiter.available()).toBe(15)
})

test('depleted is told with each ticket that leaves nothing', async () => {
  const { clock, limiter } = manual(2)
  const told: unknown[] = []
  limiter.on('depleted', (event) => told.push([clock.now(), event]))
  const calls = [1, 2, 3].map(() => limiter.run(() => {}))
  await clock.advance(1000)
  limiter.refill(1)
  await Promise.all(calls)
  expect(told).toEqual([
    [0, { limiter: 'test', of: 'requests' }],
    [1000, { limiter: 'test', of: 'requests' }],
  ])
})

test('a refused call gets back what it took, but for its request', async () => {
  const { clock, limiter } = rig({
    limits: [
      { of: 'requests', amount: 5, refill: 'manual' },
      { of: 'credits', amount: 5, refill: 'manual' },
    ],
  })
  let tries = 0
  const call = fate(
    limiter.run(() => (++tries === 1 ? Promise.reject(refusal(429)) : 'ok'), { cost: { credits: 3 } }),
  )
  await clock.runAll()
  expect([call.now, limiter.available(), limiter.available('credits')]).toEqual(['ok: ok', 3, 2])
})

test('what is left stays over an update, and over a restart', async () => {
  const { clock, limiter } = manual(5)
  limiter.tryAcquire()!.finish()
  limiter.update({ limits: [{ of: 'requests', amount: 5, refill: { every: '1m', to: 9 } }] })
  expect(limiter.available()).toBe(4)
  const later = manual(5)
  later.limiter.restore(limiter.snapshot())
  expect(later.limiter.available()).toBe(4)
  await clock.advance(60_000)
  expect(limiter.available()).toBe(9)
})

test('is explained in words', async () => {
  const { clock, limiter } = manual(0)
  const call = fate(limiter.run(() => {}))
  await clock.advance(1)
  expect(explain(limiter).text).toContain('1 call waits for requests (0 until it is refilled)')
  limiter.clear()
  await clock.advance(0)
  expect(call.now).toContain('clear()')
})

test.each([
  [{ of: 'requests', amount: 1, refill: 'auto' }, "limits[0].refill must be 'manual', got 'auto'"],
  [
    { of: 'requests', amount: 1, refill: 'manual', per: '1m' },
    'limits[0] has a refill, so per means nothing',
  ],
  [{ of: 'requests', amount: -1, refill: 'manual' }, 'limits[0].amount must be a number of at least 0'],
  [{ of: 'requests', amount: 1, refill: { every: '1m' } }, 'limits[0].refill must have either to or by'],
  [
    { of: 'requests', amount: 1, refill: { every: 0, to: 1 } },
    'limits[0].refill.every must be a time above 0',
  ],
  [{ of: 'requests', amount: 1, refill: { every: 1, to: 1, max: 2 } }, 'max goes with by'],
  [{ of: 'requests', amount: 1 }, 'limits[0].per must be a time above 0'],
])('%j is wrong', (limit, message) => {
  expect(() => new BucketRateLimiter({ limits: [limit as never] })).toThrow(message)
})

test('there must be something to refill, and it cannot be shared', () => {
  const { limiter } = rig({ requestsPerMinute: 60 })
  expect(() => limiter.refill(1)).toThrow("'test' has no limit of 'requests' with a refill")
  expect(() => manual(1).limiter.refill(NaN)).toThrow('amount must be a finite number')
  const limits = [{ of: 'requests', amount: 1, refill: 'manual' }] as const
  expect(() => new BucketRateLimiter({ name: 'a', limits, store: memoryStore() })).toThrow(
    'a limit with a refill cannot be shared by a store',
  )
})
