// A deploy changes the limit: for a while processes with the old and with the new value run side by side.

import { BucketRateLimiter, type StoreEvent } from 'llmiter'
import { describe, expect, test } from 'vitest'
import { between, fleetRig, mostIn } from './redis-harness.ts'

const MINUTE = 60_000

function rolling(before: number, after: number) {
  const rig = fleetRig(4, { limiter: { requestsPerMinute: before } })
  const said: (StoreEvent & { by: number })[] = []
  const listen = (limiter: BucketRateLimiter, by: number) =>
    limiter.on('store', (event) => said.push({ ...event, by }))
  rig.fleet.forEach(listen)
  rig.backlog(5000)
  const start = (requestsPerMinute: number) => {
    const { store, clock } = rig
    const limiter = new BucketRateLimiter({ name: 'fleet', ramp: false, store, clock, requestsPerMinute })
    listen(limiter, rig.fleet.push(limiter) - 1)
    rig.by.push(0)
    rig.backlog(5000, [rig.fleet.length - 1])
  }
  return { ...rig, said, start, startAfter: () => [0, 1, 2, 3].forEach(() => start(after)) }
}

describe('four processes with another limit join four that run', () => {
  test.each([
    [600, 300],
    [300, 600],
  ])('%i, then %i a minute: all follow the newest within a lease, in fair parts', async (before, after) => {
    const { clock, times, by, said, startAfter, fleet } = rolling(before, after)
    await clock.advanceTo(2 * MINUTE)
    startAfter()
    await clock.advanceTo(3 * MINUTE + 1000)
    const from = [...by]
    await clock.advanceTo(6 * MINUTE)
    const parts = by.map((calls, i) => calls - from[i]!)
    expect(Math.max(...parts) / Math.min(...parts)).toBeLessThan(2)
    const late = times.filter((at) => at > 2 * MINUTE + 400 + (after < before ? MINUTE : 0))
    expect(mostIn(late, MINUTE)).toBeLessThanOrEqual(after + 1)
    expect(between(times, 4 * MINUTE, 6 * MINUTE)).toBeGreaterThan(0.98 * 2 * after)
    // Processes with the old value get one event with both values.
    expect(said.map(({ by: process, state }) => `${process} ${state}`).sort()).toEqual(
      [0, 1, 2, 3].map((process) => `${process} limits-differ`),
    )
    for (const { limits, error } of said) {
      expect(limits).toEqual([{ key: 'requests/60000', here: before, followed: after }])
      expect(String(error)).toContain(`requests/60000: ${before} here, ${after} there`)
    }
    // The old ones end: nothing else changes.
    fleet.slice(0, 4).forEach((limiter) => limiter.stop())
    await clock.advanceTo(9 * MINUTE)
    expect(between(times, 7 * MINUTE, 9 * MINUTE)).toBeGreaterThan(0.98 * 2 * after)
    expect(said).toHaveLength(4)
  })

  test('the deploy is taken back: when the new ones end, the old limit holds again', async () => {
    const { clock, times, fleet, startAfter } = rolling(600, 300)
    await clock.advanceTo(2 * MINUTE)
    startAfter()
    await clock.advanceTo(4 * MINUTE)
    fleet.slice(4).forEach((limiter) => limiter.stop())
    await clock.advanceTo(7 * MINUTE)
    expect(between(times, 5 * MINUTE + 1000, 7 * MINUTE + 1000)).toBeGreaterThan(0.98 * 1190)
    expect(mostIn(times, MINUTE)).toBeLessThanOrEqual(601)
  })

  test('`update` is a change too', async () => {
    const { clock, times, fleet, said } = rolling(600, 300)
    await clock.advanceTo(2 * MINUTE)
    fleet[2]!.update({ requestsPerMinute: 300 })
    await clock.advanceTo(5 * MINUTE)
    expect(between(times, 4 * MINUTE, 5 * MINUTE)).toBeLessThanOrEqual(301)
    expect(said.map(({ by }) => by).sort()).toEqual([0, 1, 3])
  })
})
