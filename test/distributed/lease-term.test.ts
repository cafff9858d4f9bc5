// A share has a term: a process that is cut off stops using it before the store gives it to others.

import { describe, expect, test } from 'vitest'
import { between, fleetRig, mostIn } from './redis-harness.ts'

const MINUTE = 60_000
const half = [4, 5, 6, 7]

function cutHalf(store = {}) {
  const rig = fleetRig(8, { limiter: { requestsPerMinute: 600 }, store })
  const states: string[] = []
  rig.fleet[7]!.on('store', ({ state, error }) => states.push(`${state} ${String(error ?? '')}`))
  rig.backlog(1500)
  return { ...rig, states }
}

describe('half of the processes are cut off for five minutes', () => {
  test('they wait when their share is over, and all together keep the limit', async () => {
    const { clock, store, times, by, states } = cutHalf()
    await clock.advanceTo(MINUTE)
    store.cut(half)
    await clock.advanceTo(2 * MINUTE + 2000)
    const before = by.slice(4)
    await clock.advanceTo(6 * MINUTE)
    expect(by.slice(4)).toEqual(before)
    // The others have the whole limit then.
    expect(between(times, 3 * MINUTE, 6 * MINUTE)).toBeGreaterThan(0.98 * 1800)
    store.mend()
    await clock.advanceTo(8 * MINUTE)
    expect(mostIn(times, MINUTE)).toBeLessThanOrEqual(601)
    expect(between(times, 7 * MINUTE, 8 * MINUTE)).toBeGreaterThan(0.98 * 600)
    expect(states.map((state) => state.split(' ')[0])).toEqual(['down', 'expired', 'up'])
    expect(states[1]).toContain('has not answered for 61 s: the share of this process has expired')
  })

  test('with `processes` they go on at their share, which the store keeps for as long', async () => {
    const { clock, store, times, by, states } = cutHalf({ processes: 8 })
    await clock.advanceTo(MINUTE)
    store.cut(half)
    await clock.advanceTo(3 * MINUTE)
    const before = [...by]
    await clock.advanceTo(6 * MINUTE)
    for (let i = 0; i < 8; i++) expect((by[i]! - before[i]!) / (3 * 75)).toBeCloseTo(1, 0)
    store.mend()
    await clock.advanceTo(8 * MINUTE)
    expect(mostIn(times, MINUTE)).toBeLessThanOrEqual(601)
    expect(between(times, 3 * MINUTE, 6 * MINUTE)).toBeGreaterThan(0.95 * 1800)
    expect(states.map((state) => state.split(' ')[0])).toEqual(['down', 'up'])
  })

  test('with `processes`, those that take their places have their shares', async () => {
    const { clock, store, times, fleet, by, join, backlog } = cutHalf({ processes: 8 })
    await clock.advanceTo(MINUTE)
    half.forEach((i) => store.kill(i))
    half.forEach((i) => fleet[i]!.pause())
    await clock.advanceTo(3 * MINUTE)
    for (const i of [8, 9, 10, 11]) {
      fleet.push(join())
      by.push(0)
      backlog(1500, [i])
    }
    await clock.advanceTo(6 * MINUTE)
    expect(mostIn(times, MINUTE)).toBeLessThanOrEqual(601)
    expect(between(times, 4 * MINUTE, 6 * MINUTE)).toBeGreaterThan(0.98 * 1200)
  })
})

test('the store is away for all for five minutes: they wait after their term, and are back by themselves', async () => {
  const rig = fleetRig(4, { limiter: { requestsPerMinute: 600 } })
  rig.backlog(1500)
  await rig.clock.advanceTo(MINUTE)
  rig.store.cut('all')
  await rig.clock.advanceTo(2 * MINUTE + 2000)
  const { length } = rig.times
  await rig.clock.advanceTo(6 * MINUTE)
  expect(rig.times).toHaveLength(length)
  rig.store.mend()
  await rig.clock.advanceTo(8 * MINUTE)
  expect(between(rig.times, 6 * MINUTE + 2000, 8 * MINUTE)).toBeGreaterThan(0.97 * 1160)
  expect(mostIn(rig.times, MINUTE)).toBeLessThanOrEqual(601)
})
