// While a machine sleeps, its monotonic clock stands still. Waits that name a time of day, or take hours, end by
// the wall clock. Short waits and the pace follow the monotonic clock.

import { BucketRateLimiter, QuotaExhaustedError } from 'llmiter'
import { VirtualClock } from 'llmiter/testing'
import { expect, test } from 'vitest'

const HOUR = 3_600_000
const refused = (fields: object) => Object.assign(new Error('refused'), { status: 429, ...fields })

function limited(wall: string) {
  const clock = new VirtualClock({ wall: Date.parse(wall) })
  return { clock, limiter: new BucketRateLimiter({ name: 'm', requestsPerMinute: 60, clock }) }
}

/** Calls that are refused with these errors in turn, and then answered. */
function provider(...errors: Error[]) {
  let sent = 0
  const call = async () => {
    sent++
    const error = errors.shift()
    if (error) throw error
    return 'ok'
  }
  return { call, sent: () => sent }
}

const daySpent = () =>
  refused({
    error: {
      status: 'RESOURCE_EXHAUSTED',
      details: [{ violations: [{ quotaId: 'GenerateRequestsPerDayPerProject' }] }],
    },
  })

test("a day's quota spent at noon in California is back after a night's sleep", async () => {
  const { clock, limiter } = limited('2026-06-01T19:00:00Z')
  const { call, sent } = provider(daySpent())
  await expect(limiter.run(call)).rejects.toThrow('refused')
  clock.suspend(11 * HOUR)
  await clock.advance(1000)
  await expect(limiter.run(call)).rejects.toThrow(QuotaExhaustedError)
  expect(sent()).toBe(1)
  clock.suspend(2 * HOUR)
  await clock.advance(1000)
  expect(await limiter.run(call)).toBe('ok')
  expect(limiter.stats().gate).toBe('open')
})

test('a call that waits for a Retry-After of an hour goes soon after two hours of sleep', async () => {
  const { clock, limiter } = limited('2026-06-01T19:00:00Z')
  const { call, sent } = provider(refused({ headers: { 'retry-after': 'Mon, 01 Jun 2026 19:50:00 GMT' } }))
  const answer = limiter.run(call)
  await clock.advance(60_000)
  expect([sent(), limiter.stats().reopensInMs! > 40 * 60_000]).toEqual([1, true])
  clock.suspend(2 * HOUR)
  expect(limiter.stats().reopensInMs).toBe(0)
  await clock.advance(31_000)
  expect([sent(), await answer]).toEqual([2, 'ok'])
})

test('a clock that is set back closes no gate for longer than the provider said', async () => {
  const { clock, limiter } = limited('2026-06-01T19:00:00Z')
  const { call, sent } = provider(refused({ headers: { 'retry-after': '600' } }))
  const answer = limiter.run(call)
  await clock.advance(1000)
  clock.shiftWall(-24 * HOUR)
  await clock.advance(615_000)
  expect([sent(), await answer]).toEqual([2, 'ok'])
})

test('a short wait is not ended by the wall clock', async () => {
  const { clock, limiter } = limited('2026-06-01T19:00:00Z')
  const { call, sent } = provider(refused({ headers: { 'retry-after': '20' } }))
  const answer = limiter.run(call)
  await clock.advance(1000)
  clock.suspend(HOUR)
  await clock.advance(10_000)
  expect(sent()).toBe(1)
  await clock.advance(15_000)
  expect([sent(), await answer]).toEqual([2, 'ok'])
})

test('the pace does not follow a clock that is set forward', async () => {
  const { clock, limiter } = limited('2026-06-01T19:00:00Z')
  let sent = 0
  for (let i = 0; i < 100; i++) void limiter.run(() => void sent++)
  await clock.advance(1)
  const atOnce = sent
  clock.suspend(HOUR)
  await clock.advance(1)
  expect(sent).toBe(atOnce)
  await clock.runAll()
  expect(sent).toBe(100)
})
