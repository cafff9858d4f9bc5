// Processes near the store and far from it: all want more than the limit allows, and each gets its part of it.

import { expect, test } from 'vitest'
import { between, fleetRig, mostIn } from './redis-harness.ts'

const MINUTE = 60_000

test.each([100, 200, 300])('four processes at 1 ms and four at %i ms', async (far) => {
  const store = { lagMs: (limiter: number) => (limiter < 4 ? 1 : far) }
  const { backlog, by, clock, times } = fleetRig(8, { limiter: { requestsPerMinute: 1200 }, store })
  backlog(700)
  await clock.advanceTo(10_000)
  const before = [...by]
  await clock.advanceTo(2 * MINUTE + 10_000)
  const calls = by.map((sum, i) => sum - before[i]!)
  expect(Math.max(...calls) / Math.min(...calls)).toBeLessThan(1.2)
  expect(mostIn(times, MINUTE)).toBeLessThanOrEqual(1201)
  expect(between(times, 10_000, 130_000) / ((1200 / 60_050) * 120_000)).toBeGreaterThan(0.98)
})
