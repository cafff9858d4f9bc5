// What the limiter learns about the provider's real limit, from headers and refusals, and never above the
// configured limit.

import { expect, test } from 'vitest'
import { BucketRateLimiter, type LimiterOptions, type Ticket } from 'llmiter'
import { TokenBucketProvider, VirtualClock } from 'llmiter/testing'
import { departures, fate, rateLimited, rig, steadyClock } from '../helpers.ts'

const headers = (limit: number, remaining: number, reset = '1s') => ({
  headers: {
    'x-ratelimit-limit-requests': String(limit),
    'x-ratelimit-remaining-requests': String(remaining),
    'x-ratelimit-reset-requests': reset,
  },
})

test('a header that names a lower limit is followed, and a higher one again, up to the configured', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 600, burst: 5 })
  const learned: number[] = []
  limiter.on(
    'learn',
    ({ of, perMinute }) => (expect(of).toBe('requests'), learned.push(Math.round(perMinute / 10) * 10)),
  )
  const told = () => limiter.stats().limits[0]!.learned
  const hear = (limit: number) => fate(limiter.run(() => headers(limit, limit - 1)))
  hear(300)
  await clock.advance(1000)
  expect(told()).toBeCloseTo(300)
  hear(300)
  await clock.advance(1000)
  hear(6000)
  await clock.advance(1000)
  expect(told()).toBeUndefined()
  expect(learned).toEqual([300, 600])
})

test('a limit that a header names keeps its burst', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 600, burst: 5 })
  await limiter.run(() => headers(500, 499))
  await clock.advance(60_000)
  const times = departures(limiter, clock)
  for (let i = 0; i < 5; i++) fate(limiter.run(() => {}))
  await clock.advance(0)
  expect(times).toHaveLength(5)
  await clock.runAll()
})

test('discover: a header may lift the limit above the configured one', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 60, discover: true, burst: 1 })
  await limiter.run(() => headers(6000, 5999))
  expect(limiter.stats().limits[0]!.learned).toBeCloseTo(6000)
  const times = departures(limiter, clock)
  for (let i = 0; i < 300; i++) fate(limiter.run(() => {}))
  await clock.advance(2500)
  expect(times.length).toBeGreaterThan(140)
  limiter.stop()
})

test('learn: false ignores headers, and refusals do not lower the rate', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 600, learn: false })
  await limiter.run(() => headers(10, 1))
  let sent = 0
  for (let i = 0; i < 400; i++)
    fate(limiter.run(() => (++sent % 3 ? Promise.reject(rateLimited(300)) : undefined)))
  await clock.advance(60_000)
  expect(limiter.stats().limits[0]!.learned).toBeUndefined()
  limiter.stop()
})

test('a provider that gives half of what was configured: the rate settles near it, refusals become rare', async () => {
  const clock = steadyClock(0.5)
  const provider = new TokenBucketProvider({ requestsPerMinute: 300, capacityMs: 1000, retryAfter: 'exact' })
  const { limiter } = rig({ requestsPerMinute: 600 }, clock)
  for (let i = 0; i < 3000; i++) {
    fate(
      limiter.run(async () => {
        const answer = provider.ask(clock.now())
        await clock.sleep(30)
        if (answer.kind === 'refused') throw rateLimited(answer.retryAfterMs)
      }),
    )
  }
  await clock.advance(120_000)
  const before = limiter.stats()
  await clock.advance(300_000)
  const after = limiter.stats()
  const goodput = (after.finished - before.finished) / 5
  const refused = after.refused - before.refused
  expect(goodput).toBeGreaterThan(300 * 0.9)
  expect(refused / (after.finished - before.finished)).toBeLessThan(0.03)
  expect(before.limits[0]!.learned).toBeLessThan(345)
  limiter.stop()
})

test('a single refusal in half a minute delays and does not cut', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 600 })
  let sent = 0
  for (let i = 0; i < 600; i++)
    fate(limiter.run(() => (++sent === 100 ? Promise.reject(rateLimited(500)) : undefined)))
  await clock.advance(61_000)
  expect(limiter.stats().limits[0]!.learned).toBeUndefined()
  expect(limiter.stats().waiting).toBe(0)
})

const eager = (options: Partial<LimiterOptions> = {}) =>
  rig({ requestsPerMinute: 60, burst: 1, pacing: 'eager', ...options })

test('eager spends what the headers prove is left, less what is in flight, at three times the rate', async () => {
  const { clock, limiter } = eager()
  const first = await limiter.acquire()
  first.finish(headers(60, 20))
  const tickets: Ticket[] = []
  // The bucket itself adds one a second.
  for (let i = 0; i < 140; i++) {
    const ticket = limiter.tryAcquire()
    if (ticket) tickets.push(ticket)
    await clock.advance(50)
  }
  expect(tickets.length).toBeGreaterThanOrEqual(19)
  expect(tickets.length).toBeLessThanOrEqual(22)
  // A late answer says nothing about the other calls, so it proves nothing more.
  tickets[0]!.finish(headers(60, 19))
  expect(limiter.tryAcquire()).toBeUndefined()
})

test('smooth does not', async () => {
  const { limiter } = rig({ requestsPerMinute: 60, burst: 1 })
  const first = await limiter.acquire()
  first.finish(headers(60, 20))
  expect(limiter.tryAcquire()).toBeUndefined()
})

test('eager: a provider that counts by the second too is found out by two refusals', async () => {
  const clock = new VirtualClock()
  const limiter = new BucketRateLimiter({ name: 'm', requestsPerMinute: 500, pacing: 'eager', clock })
  const accepted: number[] = []
  let refused = 0
  const call = async () => {
    await clock.sleep(50)
    const now = clock.now()
    if (accepted.filter((at) => at > now - 1000).length >= 500 / 60 + 1) {
      refused++
      await clock.sleep(50)
      throw rateLimited(1000)
    }
    accepted.push(now)
    await clock.sleep(750)
    return headers(500, 500 - accepted.length)
  }
  const all = Promise.all(Array.from({ length: 60 }, () => limiter.run(call)))
  await clock.runAll()
  await all
  expect(refused).toBeLessThanOrEqual(2)
  expect(clock.now()).toBeLessThan(12_000)
})

test('eager subtracts tokens in flight as tokens', async () => {
  const { limiter } = rig({ tokensPerMinute: 100_000, pacing: 'eager' })
  const cost = { tokens: 4000 }
  const tickets = await Promise.all([1, 2, 3, 4, 5].map(() => limiter.acquire({ cost })))
  tickets[0]!.finish({
    headers: { 'x-ratelimit-limit-tokens': '100000', 'x-ratelimit-remaining-tokens': '20000' },
  })
  expect(
    Array.from({ length: 9 }, () => limiter.tryAcquire({ cost })).filter(Boolean).length,
  ).toBeLessThanOrEqual(1)
})

test('eager until the first sign of refusal, then it paces', async () => {
  const { clock, limiter } = eager()
  ;(await limiter.acquire()).finish(headers(60, 59))
  let sent = 0
  const refused = fate(limiter.run(() => (sent++ === 0 ? Promise.reject(rateLimited(1000)) : 'in')))
  await clock.advance(5000)
  expect(refused.now).toBe('ok: in')
  let free = 0
  while (limiter.tryAcquire()) free++
  expect(free).toBeLessThan(6)
})

test('an empty quota in a header is not tried before its reset', async () => {
  const { clock, limiter } = rig({ requestsPerDay: 1000 })
  await limiter.run(() => ({
    headers: {
      'x-ratelimit-limit-requests': '1000',
      'x-ratelimit-remaining-requests': '0',
      'x-ratelimit-reset-requests': '24h0m0s',
    },
  }))
  const call = fate(limiter.run(() => clock.now()))
  await clock.advance(1000)
  expect(call.now).toBe('pending')
  limiter.stop()
})

test('headers that name the same limit again do not undo what refusals have shown: somebody else uses the key', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 600 }, steadyClock())
  const provider = new TokenBucketProvider({ requestsPerMinute: 600, capacityMs: 1000, retryAfter: 'none' })
  const other = (): void => {
    provider.ask(clock.now())
    clock.setTimer(other, 200)
  }
  other()
  let [admitted, refused] = [0, 0]
  const again = (): void =>
    void limiter
      .run(async () => {
        await clock.sleep(20)
        if (provider.ask(clock.now()).kind === 'admitted') return (admitted++, headers(600, 100))
        refused++
        throw Object.assign(rateLimited(), headers(600, 0))
      })
      .then(again, () => {})
  for (let i = 0; i < 50; i++) again()
  await clock.advance(600_000)
  limiter.stop()
  expect(admitted).toBeGreaterThan(0.85 * 3000)
  expect(refused).toBeLessThan(30)
})
