// Faults of the Python library on which this one is based (DESIGN), one test for each.

import { expect, test } from 'vitest'
import { BucketRateLimiter, withLimiter } from 'llmiter'
import {
  departures,
  EMPTY,
  fate,
  leftovers,
  rateLimited,
  refusal,
  rig,
  seconds,
  steadyClock,
} from '../helpers.ts'

test('the place at the front of the queue is kept on retry', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 60, burst: 1 })
  const order: string[] = []
  let refusals = 0
  const calls = ['first', 'second', 'third'].map((name) =>
    limiter.run(() => {
      if (name === 'first' && refusals++ < 3) throw rateLimited(2000)
      order.push(name)
    }),
  )
  await clock.runAll()
  await Promise.all(calls)
  expect(order).toEqual(['first', 'second', 'third'])
})

test('a limiter that is created late stops no call', async () => {
  const clock = steadyClock()
  const { limiter: early } = rig({ requestsPerMinute: 60, burst: 1 }, clock)
  const times = departures(early, clock)
  const calls = Promise.all([1, 2, 3, 4].map(() => early.run(() => {})))
  await clock.advance(1500)
  const { limiter: late } = rig({ requestsPerMinute: 60, burst: 1, name: 'late' }, clock)
  const late2 = new BucketRateLimiter({ name: 'child', parent: early, requestsPerMinute: 1 })
  await late.run(() => {})
  await clock.runAll()
  await calls
  expect(times.map(seconds)).toEqual(['0.00', '1.00', '2.00', '3.00'])
  expect(late2.stats().issued).toBe(0)
})

test('a probe that throws does not pause for ever', async () => {
  let asked = 0
  const { clock, limiter } = rig({
    probe: () => {
      if (asked++ < 50) throw new Error('the probe is broken')
      return true
    },
  })
  let sent = 0
  const call = fate(limiter.run(() => (sent++ === 0 ? Promise.reject(rateLimited()) : 'in')))
  await clock.runAll()
  expect([asked, call.now]).toEqual([51, 'ok: in'])
})

test.each([119, 10, 0.5])('%d requests a minute are neither truncated nor raised', async (rate) => {
  const { clock, limiter } = rig({ requestsPerMinute: rate, burst: 1 })
  const times = departures(limiter, clock)
  for (let i = 0; i < 30 * rate; i++) fate(limiter.run(() => {}))
  await clock.advance(20 * 60_000)
  expect(times.length).toBeGreaterThan(20 * rate * 0.998 - 1)
  expect(times.length).toBeLessThanOrEqual(20 * rate + 1)
  limiter.stop()
})

test('after any number of refusals the caller gets the answer, never an unrelated error', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 6000 })
  const stuck: number[] = []
  limiter.on('stuck', ({ refusals }) => stuck.push(refusals))
  let sent = 0
  const call = fate(limiter.run(() => (sent++ < 45 ? Promise.reject(rateLimited()) : 'at last')))
  await clock.runAll()
  expect(call.now).toBe('ok: at last')
  expect(stuck).toEqual([10, 20, 30, 40])
})

test('an error of the function itself reaches the caller as it is', async () => {
  const { clock, limiter } = rig()
  for (const error of [
    new Error('mine'),
    { not: 'an error' },
    'a word',
    undefined,
    null,
    refusal(400),
    refusal(500),
  ]) {
    const thrown = await limiter.run(() => Promise.reject(error)).catch((reason: unknown) => reason)
    expect(thrown).toBe(error)
    const sync = await limiter
      .run(() => {
        throw error
      })
      .catch((reason: unknown) => reason)
    expect(sync).toBe(error)
  }
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
})

test('unused seconds carry over', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 60 })
  await Promise.all([1, 2, 3, 4, 5].map(() => limiter.run(() => {})))
  await clock.advance(60_000)
  expect(limiter.waitTime()).toBe(0)
  const again = [1, 2, 3, 4, 5].map(() => fate(limiter.run(() => 'at once')))
  await clock.advance(0)
  expect(again.map(({ now }) => now)).toEqual(Array(5).fill('ok: at once'))
  expect(limiter.waitTime()).toBeGreaterThan(900)
})

test('tokens, Retry-After, cancel and a bound of the queue exist', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 600, tokensPerMinute: 1000, queue: { max: 2 } })
  const ask = withLimiter((tokens: number) => ({ usage: { total_tokens: tokens } }), limiter, {
    cost: (tokens) => ({ tokens }),
  })
  await ask(900)
  const controller = new AbortController()
  const waiting = fate(limiter.run(() => 'waited', { cost: { tokens: 600 } }))
  const cancelled = fate(limiter.run(() => 'never', { signal: controller.signal, cost: { tokens: 600 } }))
  const tooMany = fate(limiter.run(() => 'never', { cost: { tokens: 1 } }))
  await clock.advance(0)
  expect(tooMany.now).toContain('queue.max is 2')
  controller.abort(new Error('no longer'))
  await clock.runAll()
  expect([waiting.now, cancelled.now]).toEqual(['ok: waited', 'error: no longer'])
  // 900 of 1000 are used. 600 more fit when the first have left the window, and not before.
  expect(seconds(clock.now())).toBe('60.05')
})

test('nothing is armed at construction, nothing while idle, one timer while somebody waits', async () => {
  const clock = steadyClock()
  const limiter = new BucketRateLimiter({
    name: 'idle',
    requestsPerMinute: 60,
    maxWaitMs: '1m',
    timeoutMs: '1m',
    clock,
  })
  expect(clock.pendingTimers).toBe(0)
  const calls = Promise.all(
    Array.from({ length: 20 }, () => limiter.run(() => clock.now(), { timeoutMs: 500 })),
  )
  for (let i = 0; i < 40; i++) {
    await clock.advance(500)
    expect(clock.pendingTimers).toBeLessThanOrEqual(1)
  }
  await calls
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
})

test('an idle limiter does not hold the process open, whatever ended before', async () => {
  const clock = steadyClock()
  const holding = new Set<object>()
  const setTimer = clock.setTimer.bind(clock)
  clock.setTimer = (fn: () => void, ms: number, keepAlive = true) => {
    const timer = {}
    if (keepAlive) holding.add(timer)
    const cancel = setTimer(() => {
      holding.delete(timer)
      fn()
    }, ms)
    return () => {
      holding.delete(timer)
      cancel()
    }
  }
  const { limiter } = rig({}, clock)
  const open = withLimiter(async () => new ReadableStream(), limiter)
  const stream = await open()
  expect(holding.size).toBe(0)
  const call = limiter.run(() => clock.sleep(10), { timeoutMs: '10m' })
  expect(holding.size).toBeGreaterThan(0)
  await clock.advance(10)
  await call
  expect(holding.size).toBe(0)
  await stream.cancel()
})
