// When the first call leaves the queue, the next one is evaluated again. And learned values survive `update`.

import { BucketRateLimiter } from 'llmiter'
import { VirtualClock } from 'llmiter/testing'
import { expect, test } from 'vitest'

test('an aborted large call immediately makes way for a small one that fits', async () => {
  const clock = new VirtualClock()
  const limiter = new BucketRateLimiter({ name: 'head', tokensPerMinute: 1000, ramp: false, clock })
  await limiter.run(() => {}, { cost: { tokens: 150 } })
  const large = new AbortController()
  const times: number[] = []
  limiter.run(() => {}, { cost: { tokens: 1000 }, signal: large.signal }).catch(() => {})
  void limiter.run(() => times.push(clock.now()), { cost: { tokens: 1 } })
  await clock.advance(20_000)
  expect(times).toEqual([])
  large.abort()
  await clock.advance(0)
  expect(times).toEqual([20_000])
  await clock.runAll()
  expect(clock.pendingTimers).toBe(0)
})

test('fewer at once, as refusals have taught, stay fewer after an update', async () => {
  const clock = new VirtualClock()
  const limiter = new BucketRateLimiter({ name: 'slots', maxConcurrent: 8, ramp: false, clock })
  let [inside, most, refused] = [0, 0, 0]
  const call = async () => {
    if (inside >= 4) {
      refused++
      throw Object.assign(new Error('Too many concurrent requests'), { status: 429 })
    }
    most = Math.max(most, ++inside)
    await clock.sleep(1000)
    inside--
  }
  const calls = Array.from({ length: 60 }, () => limiter.run(call))
  await clock.advance(5000)
  const before = refused
  limiter.update({ maxWaitMs: '1h' })
  await clock.runAll()
  await Promise.all(calls)
  expect(most).toBe(4)
  expect(before).toBeGreaterThan(0)
  expect(refused - before).toBeLessThanOrEqual(1)
})
