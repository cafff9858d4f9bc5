// An account over its models, both shared: a ticket needs room in both, over all processes. With callers that
// abort.

import { BucketRateLimiter } from 'llmiter'
import { memoryStore, VirtualClock } from 'llmiter/testing'
import { expect, test } from 'vitest'
import { between, mostIn } from './redis-harness.ts'

test('an account over a model, with callers that give up, fail and throw', async () => {
  const clock = new VirtualClock({ seed: 5 })
  const store = memoryStore({ lagMs: () => 20 * clock.random() })
  const times: number[] = []
  let [ended, asked] = [0, 0]
  for (let process = 0; process < 4; process++) {
    const account = new BucketRateLimiter({
      name: 'account',
      requestsPerMinute: 600,
      ramp: false,
      store,
      clock,
    })
    const model = new BucketRateLimiter({
      name: 'model',
      requestsPerMinute: 480,
      ramp: false,
      store,
      parent: account,
    })
    for (let k = 0; k < 400; k++) {
      asked++
      const stop = new AbortController()
      clock.setTimer(() => stop.abort(), 60_000 * clock.random())
      const call = async () => {
        times.push(clock.now())
        await clock.sleep(300 * clock.random())
        if (clock.random() < 0.2) throw new Error('its own')
      }
      const end = () => ended++
      model.run(call, k % 3 === 0 ? { signal: stop.signal } : {}).then(end, end)
    }
  }
  await clock.advanceTo(180_000)
  expect(ended).toBe(asked)
  expect(mostIn(times, 60_000)).toBeLessThanOrEqual(481)
  expect(times.filter((at) => at < 120_000).length).toBeGreaterThan(900)
  await clock.advance(120_000)
  expect(clock.pendingTimers).toBe(0)
})

test.each([
  [600, 480],
  [480, 600],
])('whichever of the two is the narrower, it is used to the last: %i over %i', async (above, below) => {
  const clock = new VirtualClock({ seed: 5 })
  const store = memoryStore({ lagMs: () => 20 * clock.random() })
  const times: number[] = []
  for (let process = 0; process < 4; process++) {
    const shared = { ramp: false, store } as const
    const account = new BucketRateLimiter({ name: 'account', requestsPerMinute: above, clock, ...shared })
    const model = new BucketRateLimiter({
      name: 'model',
      requestsPerMinute: below,
      parent: account,
      ...shared,
    })
    const call = async () => {
      times.push(clock.now())
      await clock.sleep(300 * clock.random())
    }
    for (let k = 0; k < 400; k++) void model.run(call)
  }
  await clock.advanceTo(140_000)
  expect(mostIn(times, 60_000)).toBeLessThanOrEqual(480)
  expect(between(times, 20_000, 140_000)).toBeGreaterThan(0.985 * 960)
  // A slot that waited for another does not bring a burst.
  expect(mostIn(times, 1000)).toBeLessThanOrEqual(2 * 8)
})
