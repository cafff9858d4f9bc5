// When tickets are issued if the provider refuses nothing: burst, pace, ramp. Transcripts as in Guava's tests.

import { expect, test } from 'vitest'
import { departures, rig, seconds, steadyClock } from '../helpers.ts'
import type { LimiterOptions } from 'llmiter'

/** The times, in seconds, at which this many calls are sent that were all made at 0. */
async function leaving(
  options: Partial<LimiterOptions>,
  calls: number,
  clock = steadyClock(),
): Promise<string> {
  const { limiter } = rig(options, clock)
  const times = departures(limiter, clock)
  const all = Promise.all(Array.from({ length: calls }, () => limiter.run(() => {})))
  await clock.runAll()
  await all
  return times.map(seconds).join(' ')
}

test('a handful goes at once, then the pace: 60 a minute', async () => {
  expect(await leaving({ requestsPerMinute: 60 }, 9)).toBe('0.00 0.00 0.00 0.00 0.00 1.00 2.00 3.00 4.00')
})

test('the burst is what the user says, and one at least', async () => {
  expect(await leaving({ requestsPerMinute: 60, burst: 1 }, 4)).toBe('0.00 1.00 2.00 3.00')
  expect(await leaving({ requestsPerMinute: 60, burst: 2 }, 4)).toBe('0.00 0.00 1.00 2.00')
  expect(await leaving({ requestsPerMinute: 2 }, 3)).toBe('0.00 30.03 60.05')
})

test('rates are exact: 119, 10 and 0.5 a minute mean what they say', async () => {
  const last = async (rate: number, calls: number) => {
    const times = await leaving({ requestsPerMinute: rate, burst: 1, ramp: { ms: 5000, from: 1 } }, calls)
    return Number(times.split(' ').at(-1))
  }
  // n per window of 60 s and 50 ms of jitter.
  expect(await last(119, 239)).toBeCloseTo((238 * 60.05) / 119, 1)
  expect(await last(10, 31)).toBeCloseTo((30 * 60.05) / 10, 1)
  expect(await last(0.5, 4)).toBeCloseTo(3 * 120.05, 1)
})

test('a limit of less than one a minute does not start its ramp anew at each ticket', async () => {
  expect(await leaving({ requestsPerMinute: 0.5, ramp: { ms: 5000, from: 1 / 3 } }, 4)).toBe(
    // The first step includes the cold start, which costs less than 2 s, once.
    '0.00 121.72 241.77 361.82',
  )
})

test('unused seconds carry over, up to the burst', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 60 })
  const times = departures(limiter, clock)
  const go = (calls: number) => Promise.all(Array.from({ length: calls }, () => limiter.run(() => {})))
  await go(5)
  await clock.advance(3_003)
  void go(4)
  await clock.advance(60_000)
  void go(7)
  await clock.runAll()
  expect(times.map(seconds).join(' ')).toBe(
    '0.00 0.00 0.00 0.00 0.00 3.00 3.00 3.00 4.00 63.00 63.00 63.00 63.00 63.00 64.00 65.00',
  )
})

test('credit for a burst does not grow while a call waits', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 60, burst: 5, maxConcurrent: 1 })
  const times = departures(limiter, clock)
  // One call holds the only slot for ten seconds. Calls that wait for it accumulate no credit.
  const slow = limiter.run(() => clock.sleep(10_000))
  const rest = Array.from({ length: 8 }, () => limiter.run(() => {}))
  await clock.runAll()
  await Promise.all([slow, ...rest])
  expect(times.map(seconds).join(' ')).toBe('0.00 10.00 10.00 10.00 10.00 11.00 12.00 13.00 14.00')
})

test('ramp after a cold start: from a third to the whole in five seconds', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 600, burst: 1, ramp: { ms: 5000, from: 1 / 3 } })
  const times = departures(limiter, clock)
  void Promise.all(Array.from({ length: 200 }, () => limiter.run(() => {})))
  await clock.advance(20_000)
  const rate = (from: number, to: number) =>
    times.filter((at) => at >= from && at < to).length / ((to - from) / 1000)
  expect(rate(0, 1000)).toBeGreaterThanOrEqual(3)
  expect(rate(0, 1000)).toBeLessThanOrEqual(5)
  expect(rate(2000, 3000)).toBeGreaterThanOrEqual(5)
  expect(rate(2000, 3000)).toBeLessThanOrEqual(8)
  expect(rate(6000, 16_000)).toBeCloseTo(10, 0)
  // The whole loss: less than 2 s of tickets.
  expect(times.length).toBeGreaterThan(200 - 1 - 20)
})

test('the ramp starts again after a quiet minute, and not before', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 600, burst: 1, ramp: { ms: 5000, from: 1 / 3 } })
  const first = async () => {
    const times = departures(limiter, clock)
    const at = clock.now()
    const all = Promise.all(Array.from({ length: 30 }, () => limiter.run(() => {})))
    await clock.runAll()
    await all
    return Math.round(times[2]! - at)
  }
  const cold = await first()
  await clock.advance(30_000)
  const warm = await first()
  await clock.advance(61_000)
  const again = await first()
  expect(cold).toBeGreaterThan(400)
  expect(warm).toBeLessThan(210)
  expect(again).toBe(cold)
})

test('the ramp never delays the burst', async () => {
  expect(await leaving({ requestsPerMinute: 60, ramp: { ms: 5000, from: 0.1 } }, 5)).toBe(
    '0.00 0.00 0.00 0.00 0.00',
  )
})

test('timers that fire late cost no pace: 100 a second with up to 15 ms of lateness', async () => {
  let turn = 0
  const clock = steadyClock(0, { lateMs: () => (turn = (turn + 7) % 16) })
  const { limiter } = rig({ limits: [{ of: 'requests', amount: 100, per: '1s' }] }, clock)
  const times = departures(limiter, clock)
  void Promise.all(Array.from({ length: 1200 }, () => limiter.run(() => {})))
  await clock.advance(10_000)
  // Exactness in windows of a second costs 4.8 %.
  expect(times.length).toBeGreaterThan(940)
})

test('a shorter window that the provider enforces shapes the pace', async () => {
  const times = (
    await leaving({ limits: [{ of: 'requests', amount: 60, per: '1m', window: '10s', burst: 10 }] }, 12)
  ).split(' ')
  expect(times.slice(0, 10)).toEqual(Array(10).fill('0.00'))
  expect(times.slice(10)).toEqual(['10.05', '11.04'])
})
