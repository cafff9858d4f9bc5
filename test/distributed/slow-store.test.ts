// A store that answers late is still a store: its processes share the limit as they do on a fast one.

import { describe, expect, test } from 'vitest'
import { between, fleetRig, mostIn } from './redis-harness.ts'

const MINUTE = 60_000

describe('a slow store', () => {
  test.each([
    [1200, 8],
    [2000, 8],
    [2000, 2],
    [600, 20],
  ])(
    'round trip %i ms: %i processes that join one after the other keep the limit',
    async (lagMs, processes) => {
      const rig = fleetRig(0, { limiter: { requestsPerMinute: 600 }, store: { lagMs } })
      const states: string[] = []
      for (let i = 0; i < processes; i++) {
        const limiter = rig.join()
        limiter.on('store', ({ state }) => states.push(`${i} ${state}`))
        rig.fleet.push(limiter)
        rig.by.push(0)
        rig.backlog(3000, [i])
        await rig.clock.advance(3500)
      }
      const from = rig.clock.now() + 5000
      await rig.clock.advance(3 * MINUTE)
      expect(mostIn(rig.times, MINUTE)).toBeLessThanOrEqual(601)
      expect(between(rig.times, from, from + 2 * MINUTE)).toBeGreaterThanOrEqual(0.98 * 2 * 600)
      // At first the slow answer is a surprise; then it is waited for.
      for (let i = 0; i < processes; i++)
        expect(states.filter((state) => state.startsWith(`${i} `)).length).toBeLessThanOrEqual(2)
    },
  )

  test('becomes slow and fast again: no more than the limit, and one word about each', async () => {
    let lagMs = 2
    const rig = fleetRig(8, { limiter: { requestsPerMinute: 600 }, store: { lagMs: () => lagMs } })
    const states: string[] = []
    rig.fleet[0]!.on('store', ({ state }) => states.push(state))
    rig.backlog(3000)
    await rig.clock.advance(70_000)
    lagMs = 1800
    await rig.clock.advance(90_000)
    lagMs = 2
    await rig.clock.advance(90_000)
    expect(mostIn(rig.times, MINUTE)).toBeLessThanOrEqual(601)
    expect(between(rig.times, 80_000, 240_000)).toBeGreaterThan(0.97 * 1600)
    expect(states).toEqual(['down', 'up'])
  })

  test('is slower than 2.5 s: each answer still tells how many share the limit', async () => {
    const rig = fleetRig(0, { limiter: { requestsPerMinute: 600 }, store: { lagMs: 4000 } })
    for (let i = 0; i < 8; i++) {
      rig.fleet.push(rig.join())
      rig.by.push(0)
      rig.backlog(3000, [i])
      await rig.clock.advance(3500)
    }
    const from = rig.clock.now() + 10_000
    await rig.clock.advance(3 * MINUTE)
    const steady = rig.times.filter((at) => at > from)
    expect(mostIn(steady, MINUTE)).toBeLessThanOrEqual(601)
    expect(mostIn(steady, MINUTE)).toBeGreaterThan(300)
  })
})
