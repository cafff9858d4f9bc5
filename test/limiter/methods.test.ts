// acquire and tickets, tryAcquire, waitTime, update, pause, drain, stats, snapshot.

import { expect, test } from 'vitest'
import { BucketRateLimiter, type Ticket } from 'llmiter'
import { departures, EMPTY, fate, leftovers, outOfQuota, rateLimited, refusal, rig } from '../helpers.ts'

test('a ticket is given back once; what comes later does nothing', async () => {
  const { clock, limiter } = rig({ maxConcurrent: 2 })
  const ticket = await limiter.acquire()
  expect(limiter.stats().inFlight).toBe(1)
  for (const end of [
    () => ticket.finish(),
    () => ticket.finish(),
    () => ticket.release(),
    () => ticket[Symbol.dispose](),
  ]) {
    end()
    expect(limiter.stats()).toMatchObject({ inFlight: 0, finished: 1 })
  }
  await expect(ticket.refuse(rateLimited(1))).rejects.toThrow()
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
})

test('using gives it back, also when the block throws', async () => {
  const { clock, limiter } = rig()
  const block = async () => {
    using ticket = await limiter.acquire()
    expect(ticket).toBeDefined()
    throw new Error('mine')
  }
  await expect(block()).rejects.toThrow('mine')
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
})

test('refuse: waits at the front for a new ticket; the old one has ended', async () => {
  const { clock, limiter } = rig({ maxConcurrent: 1 })
  const first = await limiter.acquire()
  const order: string[] = []
  const again = first.refuse(rateLimited(1000)).then((ticket) => (order.push('again'), ticket))
  const twice = fate(first.refuse(rateLimited(1000)))
  const other = limiter.acquire().then((ticket) => (order.push('other'), ticket))
  await clock.advance(2000)
  const second: Ticket = await again
  expect(twice.now).toContain('error')
  first.finish()
  first[Symbol.dispose]()
  expect([order, limiter.stats().inFlight]).toEqual([['again'], 1])
  second.finish()
  ;(await other).finish()
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
})

test('refuse rejects with a refusal that waiting cannot resolve', async () => {
  const { clock, limiter } = rig()
  for (const error of [refusal(400), refusal(500), new Error('mine'), outOfQuota()]) {
    await clock.advance(60_000)
    const ticket = await limiter.acquire()
    await expect(ticket.refuse(error)).rejects.toBe(error)
  }
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
})

test('tryAcquire: a ticket or nothing; it never overtakes and disturbs nobody', async () => {
  const { clock, limiter } = rig({
    requestsPerMinute: 60,
    tokensPerMinute: 1000,
    burst: 2,
    queue: { max: 1, onFull: 'evict-lowest' },
  })
  limiter.tryAcquire({ cost: { tokens: 600 } })!.finish()
  const rejected: unknown[] = []
  limiter.on('reject', (event) => rejected.push(event))
  const waiting = fate(limiter.run(() => 'waited', { cost: { tokens: 900 }, tenant: 'a' }))
  for (const call of [{}, { priority: 9 }, { tenant: 'b' }, { cost: { tokens: 0 }, priority: 9 }]) {
    expect(limiter.tryAcquire(call)).toBeUndefined()
  }
  expect([waiting.now, rejected.length, limiter.stats().rejected]).toEqual(['pending', 0, 0])
  await clock.runAll()
  expect(waiting.now).toBe('ok: waited')
})

test('waitTime: 0 when a call would go at once, and close to what it will be', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 60, burst: 2 })
  expect(limiter.waitTime()).toBe(0)
  await Promise.all([limiter.run(() => {}), limiter.run(() => {})])
  for (let i = 0; i < 5; i++) {
    const guess = limiter.waitTime()
    const [at] = [clock.now()]
    const times = departures(limiter, clock)
    fate(limiter.run(() => {}))
    void at
    expect(guess).toBeCloseTo(1000.8 * (i + 1), -1)
    void times
  }
  limiter.pause('1h')
  expect(limiter.waitTime()).toBeGreaterThanOrEqual(3_600_000)
  limiter.resume()
  await clock.runAll()
  expect(limiter.waitTime({ requests: 0 })).toBe(0)
})

test('waitTime counts a closed gate', async () => {
  const { clock, limiter } = rig()
  fate(limiter.run(() => Promise.reject(rateLimited(10_000))))
  await clock.advance(1)
  expect(limiter.waitTime()).toBeCloseTo(9999, -1)
  limiter.stop()
})

test('update: those who wait follow the new rate from now on', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 60, burst: 1 })
  const times = departures(limiter, clock)
  const calls = Array.from({ length: 40 }, () => fate(limiter.run(() => {})))
  await clock.advance(5500)
  limiter.update({ requestsPerMinute: 600 })
  await clock.advance(1000)
  expect(times.length).toBeGreaterThanOrEqual(6 + 5)
  limiter.update({ requestsPerMinute: 60 })
  const before = times.length
  await clock.advance(10_000)
  expect(times.length - before).toBeLessThanOrEqual(11)
  await clock.runAll()
  expect(calls.every(({ now }) => now.startsWith('ok'))).toBe(true)
})

test('update never stops the refill: called each second, the pace stays', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 600, ramp: {} })
  const times = departures(limiter, clock)
  for (let i = 0; i < 1500; i++) fate(limiter.run(() => {}))
  await clock.advance(30_000)
  const before = times.length
  for (let i = 0; i < 30; i++) {
    limiter.update({ maxConcurrent: 50 + i })
    await clock.advance(1000)
  }
  expect(times.length - before).toBeGreaterThan(295)
  limiter.stop()
})

test('update keeps what is in flight, what was counted, what is owed and what was learned', async () => {
  const { clock, limiter } = rig({
    maxConcurrent: 5,
    requestsPerMinute: 600,
    limits: [{ of: 'tokens', amount: 1000, per: '1h' }],
  })
  await limiter.run(() => ({ headers: { 'x-ratelimit-limit-requests': '300' } }), { cost: { tokens: 100 } })
  await clock.advance(33.3)
  const ticket = await limiter.acquire({ cost: { tokens: 500 } })
  await clock.advance(77.7)
  limiter.update({ maxConcurrent: 1 })
  const blocked = fate(limiter.run(() => 'in', { cost: { tokens: 0 } }))
  await clock.advance(1000)
  expect([blocked.now, limiter.stats().inFlight, limiter.stats().limits[0]!.learned]).toEqual([
    'pending',
    1,
    expect.closeTo(300),
  ])
  ticket.finish({ usage: { tokens: 200 } })
  await clock.runAll()
  expect([blocked.now, limiter.stats().limits[1]!.available]).toEqual(['ok: in', 700])
})

test('pause for a time, pause until resume; the timer stays, so the process does', async () => {
  const { clock, limiter } = rig()
  limiter.pause(5000)
  const call = fate(limiter.run(() => clock.now()))
  expect(limiter.stats()).toMatchObject({ waiting: 1, waitingOn: 'pause' })
  await clock.advance(4999)
  expect([call.now, clock.pendingTimers]).toEqual(['pending', 1])
  await clock.advance(1)
  expect(call.now).toBe('ok: 5000')
  limiter.pause()
  const next = fate(limiter.run(() => clock.now()))
  await clock.advance(100_000)
  expect([next.now, clock.pendingTimers]).toEqual(['pending', 1])
  limiter.resume()
  await clock.advance(0)
  expect(next.now).toBe('ok: 105000')
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
})

test('drain: at once when idle, else with the last call', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 60, burst: 1 })
  await limiter.drain()
  const calls = [1, 2, 3].map(() => fate(limiter.run(() => clock.sleep(100))))
  const drained = fate(limiter.drain().then(() => clock.now()))
  await clock.runAll()
  expect(calls.map(({ now }) => now)).toEqual(Array(3).fill('ok: undefined'))
  expect(Number(drained.now.slice(4))).toBeCloseTo(2101.67, 0)
})

test('stats: plain numbers, a copy each time', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 60, burst: 1, maxConcurrent: 2 })
  const calls = [1, 2, 3, 4].map(() => fate(limiter.run(() => clock.sleep(10))))
  await clock.advance(500)
  const stats = limiter.stats()
  const requests = { kind: 'limit', limiter: 'test', of: 'requests', amount: 60, perMs: 60_000 }
  expect(stats).toEqual({
    ...{ name: 'test', waiting: 3, parked: 0, inFlight: 0 },
    ...{ requests: 4, issued: 1, finished: 1, failed: 0, refused: 0, rejected: 0 },
    ...{ gate: 'open', waitingOn: 'requests', waitMs: { p50: 0, p95: 0, p99: 0 } },
    why: requests,
    boundBy: [{ ...requests, share: 0.5 / 60 }],
    limits: [{ of: 'requests', amount: 60, perMs: 60_000, available: 0, asked: 1, used: 1 }],
  })
  expect(JSON.parse(JSON.stringify(stats))).toEqual(stats)
  stats.limits[0]!.available = 99
  expect(limiter.stats().limits[0]!.available).toBe(0)
  await clock.runAll()
  const { waitMs } = limiter.stats()
  expect(waitMs.p50 / 1001).toBeCloseTo(1, 0)
  expect(waitMs.p99 / 3002).toBeCloseTo(1, 0)
  expect(calls).toHaveLength(4)
})

test('snapshot and restore carry counts, debts and learned rates over a restart', async () => {
  const options = {
    requestsPerMinute: 60,
    limits: [
      { of: 'tokens', amount: 1000, per: '1d' as const },
      { of: 'images', amount: 3, per: { calendar: 'day' as const } },
    ],
  }
  const before = rig(options)
  await before.clock.advance(3_600_000)
  for (let i = 0; i < 3; i++)
    fate(
      before.limiter.run(() => ({ headers: { 'x-ratelimit-limit-requests': '30' } }), {
        cost: { tokens: 300, images: 1 },
      }),
    )
  await before.clock.advance(10_000)
  const saved = JSON.parse(JSON.stringify(before.limiter.snapshot())) as never
  const after = rig(options)
  await after.clock.advance(3_620_000)
  after.limiter.restore(saved)
  const left = () => after.limiter.stats().limits.map(({ available }) => available)
  expect(left().slice(1)).toEqual([100, 0])
  expect(after.limiter.stats().limits[0]!.learned).toBeCloseTo(30)
  // The images are available again at midnight, the tokens a day after they were used.
  await after.clock.advance(86_400_000 - 3_620_000)
  expect(left().slice(1)).toEqual([100, 3])
  await after.clock.advance(3_610_000)
  expect(left().slice(1)).toEqual([1000, 3])
})

test('restored a day later, yesterday does not count; a clock set back makes nothing younger', async () => {
  const options = { limits: [{ of: 'requests', amount: 3, per: { calendar: 'day' as const } }] }
  const { limiter } = rig(options)
  await limiter.run(() => {})
  const saved = limiter.snapshot()
  const later = rig(options)
  later.clock.shiftWall(86_400_000)
  later.limiter.restore(saved)
  expect(later.limiter.stats().limits[0]!.available).toBe(3)
  const earlier = rig(options)
  earlier.clock.shiftWall(60_000)
  earlier.limiter.restore({ ...saved, wall: saved.wall + 3_600_000 })
  expect(earlier.limiter.stats().limits[0]!.available).toBe(2)
})

test('a rate that was found, not told, climbs again after a restore', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 600 })
  let sent = 0
  for (let i = 0; i < 900; i++)
    fate(
      limiter.run(() =>
        clock.now() < 60_000 && ++sent % 3 !== 0 ? Promise.reject(rateLimited(400)) : undefined,
      ),
    )
  await clock.advance(60_000)
  expect(limiter.stats().limits[0]!.learned).toBeLessThan(550)
  const saved = limiter.snapshot()
  limiter.stop()
  const next = new BucketRateLimiter({ name: 'test', requestsPerMinute: 600, clock })
  next.restore(saved)
  const learned = next.stats().limits[0]!.learned!
  // An hour without calls proves nothing.
  await clock.advance(3_600_000)
  expect(next.stats().limits[0]!.learned).toBeCloseTo(learned, 6)
  for (let i = 0; i < 1000; i++) fate(next.run(() => {}))
  await clock.advance(900_000)
  expect(next.stats().limits[0]!.learned ?? 600).toBeGreaterThan(learned * 1.2)
  next.stop()
})
