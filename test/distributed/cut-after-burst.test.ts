// Calls sent in a burst still count when processes are cut off: those that continue alone wait until the burst has
// left the window.

import { describe, expect, test } from 'vitest'
import { fleetRig, mostIn } from './redis-harness.ts'

const MINUTE = 60_000

/** Processes, tickets for each, how many are cut off (and how many more, 8 s later), and when. */
const cuts = [
  [5, 8, 2, 1, 30_900],
  [5, 15, 4, 0, 51_900],
  [10, 5, 6, 0, 53_800],
  [20, 5, 12, 8, 48_500],
  [20, 30, 15, 0, 45_000],
] as const

test.each(cuts)('%i processes of %i tickets a minute each, %i and %i cut off', async (...story) => {
  const [processes, each, first, more, at] = story
  const amount = processes * each
  const rig = fleetRig(processes, { limiter: { requestsPerMinute: amount } })
  rig.backlog(5 * each)
  await rig.clock.advanceTo(at)
  rig.store.cut(Array.from({ length: first }, (_, i) => i))
  await rig.clock.advance(8000)
  rig.store.cut(Array.from({ length: first + more }, (_, i) => i))
  await rig.clock.advance(45_000)
  rig.store.mend()
  await rig.clock.advance(2 * MINUTE)
  expect(mostIn(rig.times, MINUTE)).toBeLessThanOrEqual(amount + 1)
  expect(rig.times.length).toBeGreaterThan(0.93 * amount * ((at + 53_000) / MINUTE + 2))
})

describe('tokens, of which a fifth may go at once', () => {
  test.each([
    [20, 19, 44_000],
    [3, 2, 24_000],
  ])('of %i processes %i are cut off', async (processes, cut, at) => {
    const tokens = 900
    const amount = 30_000 * processes
    const { clock, fleet, store } = fleetRig(processes, { limiter: { tokensPerMinute: amount } })
    const times: number[] = []
    for (const limiter of fleet)
      for (let k = 0; k < 200; k++) void limiter.run(() => void times.push(clock.now()), { cost: { tokens } })
    await clock.advanceTo(at)
    store.cut(Array.from({ length: cut }, (_, i) => i))
    await clock.advance(50_000)
    store.mend()
    await clock.advance(2 * MINUTE)
    expect(tokens * mostIn(times, MINUTE)).toBeLessThanOrEqual(amount)
    expect(tokens * times.length).toBeGreaterThan(0.93 * amount * ((at + 50_000) / MINUTE + 2))
  })
})
