// Processes that come and go: one that makes a call and dies, again and again, costs its calls. And those that come while others are
// cut off take nothing of what is kept for them.

import { describe, expect, test } from 'vitest'
import { between, fleetRig, mostIn } from './redis-harness.ts'

const MINUTE = 60_000
const PACE = 600 / 60_050

describe('two busy processes, and every two seconds another that makes one call', () => {
  /**
   * `dies`: no peer sees it end, as with a container of its own. Returns the calls sent, and the share of the two.
   */
  async function neighbours(dies: boolean, callMs: number) {
    const rig = fleetRig(2, { limiter: { requestsPerMinute: 600 } })
    const { clock, store, fleet, times, join } = rig
    rig.backlog(3000)
    const gone: number[] = []
    for (let pod = 0; pod < 60; pod++) {
      await clock.advance(2000)
      const limiter = join()
      const call = async () => {
        times.push(clock.now())
        await clock.sleep(callMs)
      }
      void limiter.run(call).then(() => {
        if (!dies) return
        gone.push(fleet.length + pod)
        store.cut(gone)
      })
    }
    return { rig, used: between(times, MINUTE, 2 * MINUTE) / (PACE * MINUTE) }
  }

  test.each([
    ['and dies', true, 200],
    ['of ten seconds and dies', true, 10_000],
    ['and has nothing to do then', false, 200],
  ])('%s: the limit is used, and not exceeded', async (_, dies, callMs) => {
    const { rig, used } = await neighbours(dies, callMs)
    expect(used).toBeGreaterThan(0.97)
    expect(mostIn(rig.times, MINUTE)).toBeLessThanOrEqual(601)
    // Each of the others gets what it asks for, and no more.
    for (const calls of rig.by) expect(calls / (PACE * 2 * MINUTE)).toBeGreaterThan(0.4)
  })
})

test.each([
  [8, 4, 8],
  [8, 8, 1],
])('of %i processes %i are cut off, and %i come then', async (processes, cut, come) => {
  const rig = fleetRig(processes, { limiter: { requestsPerMinute: 600 } })
  const { clock, store, times, by, fleet } = rig
  rig.backlog(1500)
  await clock.advanceTo(70_000)
  store.cut(Array.from({ length: cut }, (_, i) => i))
  await clock.advance(8000)
  for (let i = processes; i < processes + come; i++) {
    fleet.push(rig.join())
    by.push(0)
    rig.backlog(1500, [i])
  }
  await clock.advance(2 * MINUTE)
  store.mend()
  await clock.advance(MINUTE)
  expect(mostIn(times, MINUTE)).toBeLessThanOrEqual(601)
  // After a minute, the reserved shares go to the present processes.
  expect(between(times, 150_000, 190_000) / (PACE * 40_000)).toBeGreaterThan(0.97)
  expect(between(times, 210_000, 255_000) / (PACE * 45_000)).toBeGreaterThan(0.97)
})

test('a fleet that has just started is cut off: no process counts as new', async () => {
  const rig = fleetRig(4, { limiter: { limits: [{ of: 'requests', amount: 80, per: '2s' }] } })
  const states: string[] = []
  for (const limiter of rig.fleet) limiter.on('store', ({ state }) => states.push(state))
  rig.backlog(200)
  await rig.clock.advanceTo(1500)
  rig.store.cut('all')
  await rig.clock.advanceTo(14_000)
  expect(states).toEqual(['down', 'down', 'down', 'down'])
  expect(between(rig.times, 4500, 14_000) / ((80 / 2050) * 9500)).toBeGreaterThan(0.95)
  expect(mostIn(rig.times, 2000)).toBeLessThanOrEqual(81)
})
