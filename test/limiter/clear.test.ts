// `clear` rejects waiting calls, and the limiter continues.

import { expect, test } from 'vitest'
import { BucketRateLimiter, LimiterError, QueueClearedError } from 'llmiter'
import { EMPTY, fate, leftovers, rateLimited, refusal, rig, steadyClock } from '../helpers.ts'

test('waiting calls are rejected with the reason; calls in flight and later calls are not affected', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 60, burst: 1 })
  const rejected: unknown[] = []
  limiter.on('reject', ({ error }) => rejected.push(error))
  const inFlight = fate(limiter.run(() => clock.sleep(500).then(() => 'in flight')))
  const waiting = [1, 2, 3].map(() => fate(limiter.run(() => 'waited')))
  const ticket = fate(limiter.acquire())
  const reason = new Error('another tab')
  limiter.clear(reason)
  const later = fate(limiter.run(() => 'later'))
  await clock.advance(2000)
  expect([inFlight.now, later.now]).toEqual(['ok: in flight', 'ok: later'])
  for (const { error } of [...waiting, ticket]) {
    expect(error).toBeInstanceOf(QueueClearedError)
    expect(error).toBeInstanceOf(LimiterError)
    expect(error).toMatchObject({
      code: 'QUEUE_CLEARED',
      message: "'test': clear() dropped all calls that waited",
      cause: reason,
    })
  }
  expect(rejected.length).toBe(4)
  expect(limiter.stats()).toMatchObject({ issued: 2, rejected: 4 })
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
})

test('the refused and those between two tries too; the gate stays as it is', async () => {
  const { clock, limiter } = rig({ retry: { minMs: '10s' } })
  const broken = fate(limiter.run(() => Promise.reject(refusal(500))))
  await clock.advance(0)
  const refused = fate(limiter.run(() => Promise.reject(rateLimited(20_000))))
  await clock.advance(1)
  limiter.clear()
  await clock.advance(0)
  expect([broken.error, refused.error].map((error) => error instanceof QueueClearedError)).toEqual([
    true,
    true,
  ])
  expect(limiter.stats()).toMatchObject({ gate: 'closed', waiting: 0 })
  const next = fate(limiter.run(() => 'next'))
  await clock.advance(10_000)
  expect(next.now).toBe('pending')
  await clock.runAll()
  expect(next.now).toBe('ok: next')
})

test('a pause stays, and the limiters below are cleared', async () => {
  const clock = steadyClock()
  const account = new BucketRateLimiter({ name: 'account', requestsPerMinute: 60, clock })
  const model = new BucketRateLimiter({ name: 'model', maxConcurrent: 5, parent: account })
  account.pause('10s')
  const dropped = fate(model.run(() => 'dropped'))
  account.clear()
  const kept = fate(model.run(() => 'kept'))
  await clock.advance(9999)
  expect([dropped.error instanceof QueueClearedError, kept.now]).toEqual([true, 'pending'])
  await clock.runAll()
  expect(kept.now).toBe('ok: kept')
})

test('without waiting calls, nothing happens', () => {
  const { limiter } = rig({})
  limiter.clear()
  expect(limiter.stats()).toMatchObject({ rejected: 0 })
})
