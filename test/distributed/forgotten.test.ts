// A store that has lost its data: held slots stay valid, no call waits for long, and no window exceeds the limit
// because of it.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { between, fleetRig, mostIn } from './redis-harness.ts'

const MINUTE = 60_000

test.each([
  [1, 20],
  [2, 50],
  [8, 100],
  [20, 60],
])('a flush costs %i processes less than %i ms of tickets', async (processes, ms) => {
  const phases = [0, 30, 60, 90, 120, 150, 180, 210]
  let lost = 0
  for (const phaseMs of phases) {
    const rig = fleetRig(processes, { limiter: { requestsPerMinute: 6000 } })
    rig.backlog(Math.ceil(2000 / processes))
    const from = 10_000 + phaseMs
    await rig.clock.advanceTo(from)
    rig.store.flush()
    await rig.clock.advanceTo(from + 3000)
    lost += 3000 - between(rig.times, from, from + 3000) * ((MINUTE + 50) / 6000)
  }
  expect(lost / phases.length).toBeLessThan(ms)
})

test('whoever is cut off, however often it is flushed: no window holds more than one too many, or two where both meet', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 2, max: 10 }),
      fc.constantFrom(20, 120, 600),
      fc.integer({ min: 1, max: 200 }),
      fc.array(
        fc.record({
          afterMs: fc.integer({ min: 1, max: 20_000 }),
          what: fc.constantFrom('flush', 'cut', 'mend', 'flush while cut' as const),
          who: fc.subarray([0, 1, 2, 3, 4, 5]),
        }),
        { minLength: 1, maxLength: 5 },
      ),
      async (processes, perMinute, lagMs, steps) => {
        const rig = fleetRig(processes, {
          limiter: { limits: [{ of: 'requests', amount: perMinute, per: '1m', burst: 1 }] },
          store: { lagMs },
        })
        rig.backlog(Math.ceil((perMinute * 3) / processes) + 5)
        await rig.clock.advance(MINUTE / 2)
        for (const { afterMs, what, who } of steps) {
          await rig.clock.advance(afterMs)
          if (what === 'cut') rig.store.cut(who)
          if (what === 'flush while cut') rig.store.cut('all')
          if (what.startsWith('flush')) rig.store.flush()
          if (what !== 'cut') rig.store.mend()
        }
        rig.store.mend()
        await rig.clock.advance(MINUTE)
        expect(mostIn(rig.times, MINUTE)).toBeLessThanOrEqual(
          perMinute + (steps.some(({ what }) => what === 'cut') ? 2 : 1),
        )
      },
    ),
    { numRuns: 40, seed: 5 },
  )
}, 60_000)

test('who is cut off while the store is flushed is still reckoned with', async () => {
  const rig = fleetRig(4, { limiter: { requestsPerMinute: 600 } })
  rig.backlog(700)
  await rig.clock.advanceTo(MINUTE)
  rig.store.cut([0, 1])
  rig.store.flush()
  await rig.clock.advanceTo(MINUTE + 50_000)
  const from = MINUTE + 10_000
  const others = between(rig.times, from, from + 40_000) / ((600 * 40) / 60)
  expect(others).toBeGreaterThan(0.95)
  expect(others).toBeLessThan(1.01)
  rig.store.mend()
  await rig.clock.advance(MINUTE)
  expect(mostIn(rig.times, MINUTE)).toBeLessThanOrEqual(601)
})
