// Below the limit calls come as they like: a ticket is at hand, though a process asks at most four times a second. And what is at
// hand never lets a window hold more than the limit, whatever befalls the store.

import { describe, expect, test } from 'vitest'
import { percentile } from '../../src/lib/percentile.ts'
import { between, fleetRig, mostIn } from './redis-harness.ts'

type Rig = ReturnType<typeof fleetRig>

const LIMIT = { limits: [{ of: 'requests', amount: 600, per: '10s' as const }] }

/** Calls come by themselves, at such a part of the limit, for so long. Resolves with how long each waited. */
async function loaded(rig: Rig, load: number, seconds: number, happens?: () => void): Promise<number[]> {
  const waits: number[] = []
  const { clock, fleet } = rig
  for (const limiter of fleet)
    limiter.on('issue', ({ waitedMs }) => clock.now() > 10_000 && waits.push(waitedMs))
  const meanMs = fleet.length / (load * 0.06)
  const ends = clock.now() + seconds * 1000
  const arrive = async (i: number) => {
    for (;;) {
      await clock.sleep(-meanMs * Math.log(1 - clock.random()))
      if (clock.now() > ends) return
      rig.backlog(1, [i])
    }
  }
  fleet.forEach((_, i) => void arrive(i))
  await clock.advance(seconds * 500)
  happens?.()
  await clock.advance(seconds * 500)
  return waits.sort((a, b) => a - b)
}

describe('with calls that come by themselves', () => {
  test.each([
    { load: 0.1, processes: 1, p95: 20 },
    { load: 0.1, processes: 8, p95: 20 },
    { load: 0.1, processes: 20, p95: 20 },
    { load: 0.5, processes: 1, p95: 40 },
    { load: 0.5, processes: 8, p95: 40 },
    { load: 0.5, processes: 20, p95: 40 },
    { load: 0.9, processes: 8, p95: 200 },
  ])('$processes processes hardly wait at $load of the limit', async ({ load, processes, p95 }) => {
    const rig = fleetRig(processes, { limiter: LIMIT })
    const waits = await loaded(rig, load, 60)
    expect(percentile(waits, 0.5)).toBeLessThan(5)
    expect(percentile(waits, 0.95)).toBeLessThan(p95)
    expect(rig.store.questions / 60 / processes).toBeLessThan(4)
    expect(mostIn(rig.times, 10_000)).toBeLessThanOrEqual(600)
  })

  const HAPPENS: Record<string, (rig: Rig) => void> = {
    'all are cut off': ({ store }) => store.cut('all'),
    'half of them are cut off': ({ store }) => store.cut([0, 2, 4, 6]),
    'the store is flushed': ({ store }) => store.flush(),
    'one dies': ({ kill }) => kill(3),
    'one is cut off and the store is flushed': ({ store }) => {
      store.cut([5])
      store.flush()
    },
  }
  test.each(Object.keys(HAPPENS))('%s: no window holds more than one too many', async (what) => {
    const rig = fleetRig(8, { limiter: LIMIT })
    await loaded(rig, 0.6, 40, () => {
      HAPPENS[what]!(rig)
      // From now on all want more than the limit allows.
      rig.backlog(300)
    })
    rig.store.mend()
    await rig.clock.advance(15_000)
    expect(mostIn(rig.times, 10_000)).toBeLessThanOrEqual(601)
  })
})

test('ten thousand tickets a second for one process', async () => {
  const rig = fleetRig(1, { limiter: { limits: [{ of: 'requests', amount: 10_000, per: '1s' }] } })
  rig.backlog(45_000)
  await rig.clock.advance(4000)
  expect(between(rig.times, 1000, 4000)).toBeGreaterThan(0.98 * 3 * (10_000 / 1.05))
  expect(mostIn(rig.times, 1000)).toBeLessThanOrEqual(10_000)
  expect(rig.store.questions).toBeLessThanOrEqual(17)
})

test('each of twenty processes has its part of a limit of tokens, and all of it is used', async () => {
  const rig = fleetRig(20, { limiter: { tokensPerMinute: 120_000 } })
  for (const [i, limiter] of rig.fleet.entries())
    for (let k = 0; k < 40; k++)
      limiter
        .run(() => void (rig.by[i]!++, rig.times.push(rig.clock.now())), { cost: { tokens: 2000 } })
        .catch(() => {})
  // What went at once in the beginning makes one gap.
  await rig.clock.advanceTo(75_000)
  const before = [...rig.by]
  await rig.clock.advance(300_000)
  const calls = rig.by.map((sum, i) => sum - before[i]!)
  expect(calls.reduce((sum, one) => sum + one) / (60 * (300 / 60.05))).toBeGreaterThan(0.97)
  expect(Math.max(...calls)).toBeLessThanOrEqual(18)
  expect(Math.min(...calls)).toBeGreaterThanOrEqual(12)
})
