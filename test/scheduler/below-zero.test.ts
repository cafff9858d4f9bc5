// A clock may begin anywhere: what counts is how far it moves.

import { expect, test } from 'vitest'
import { BucketRateLimiter } from 'llmiter'
import { VirtualClock } from 'llmiter/testing'

test.each([0, -1e9, -1, 1e12])('a clock that begins at %d paces as any other', async (start) => {
  const virtual = new VirtualClock()
  const clock = {
    now: () => start + virtual.now(),
    wall: () => virtual.wall(),
    setTimer: virtual.setTimer.bind(virtual),
  }
  const limiter = new BucketRateLimiter({
    name: 'early',
    requestsPerMinute: 60,
    burst: 2,
    ramp: false,
    clock,
  })
  let issued = 0
  for (let i = 0; i < 100; i++) limiter.run(() => issued++).catch(() => {})
  await virtual.advance(30_000)
  expect(issued).toBeGreaterThanOrEqual(30)
  expect(issued).toBeLessThanOrEqual(33)
  limiter.stop()
})
