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

test.each([3000, 5000, 10_000])(
  'a store that is frozen for %i ms, again and again: each time costs two seconds and a half, and no more',
  async (frozenMs) => {
    const everyMs = frozenMs + 15_000
    const from = 20_000
    const fleet = { now: () => 0 }
    /** What was asked while it was frozen is answered at its end. */
    const lagMs = () => {
      const since = (fleet.now() - from) % everyMs
      return since > 0 && since < frozenMs ? 2 * (frozenMs - since) : 2
    }
    const rig = fleetRig(8, {
      limiter: { limits: [{ of: 'requests', amount: 600, per: '10s' }] },
      store: { lagMs },
    })
    fleet.now = () => rig.clock.now()
    rig.backlog(3000)
    const to = from + 5 * everyMs
    await rig.clock.advanceTo(to)
    expect(mostIn(rig.times, 10_000)).toBeLessThanOrEqual(601)
    const pace = 600 / 10_050
    const lostMs = to - from - between(rig.times, from, to) / pace
    expect(lostMs / 5).toBeLessThan(2500)
  },
)

test.each([
  [3500, 0],
  [3500, 1400],
  [6000, 0],
  [6000, 1400],
])(
  'one process is so far from the store that it goes on at its share (%i ms, after %i): the store keeps that share',
  async (farMs, beforeMs) => {
    const fleet = { now: () => 0 }
    const lagMs = (i: number) => {
      const now = fleet.now()
      if (i > 0) return 2
      return now > 40_000 && now < 60_000 ? farMs : now > 20_000 && now < 26_000 ? beforeMs : 2
    }
    const rig = fleetRig(3, {
      limiter: { limits: [{ of: 'requests', amount: 600, per: '10s' }] },
      store: { lagMs },
    })
    fleet.now = () => rig.clock.now()
    rig.backlog(3000)
    await rig.clock.advanceTo(90_000)
    expect(mostIn(rig.times, 10_000)).toBeLessThanOrEqual(601)
    expect(rig.times.filter((at) => at > 20_000).length).toBeGreaterThan(0.9 * 70 * 59.7)
  },
)
