// Processes near the store and far from it: all want more than the limit allows, and each gets its part of it.

import { expect, test } from 'vitest'
import { between, fleetRig, mostIn } from './redis-harness.ts'

const MINUTE = 60_000

test.each([100, 300])('four processes at 1 ms and four at %i ms', async (far) => {
  const store = { lagMs: (limiter: number) => (limiter < 4 ? 1 : far) }
  const { backlog, by, clock, times } = fleetRig(8, { limiter: { requestsPerMinute: 1200 }, store })
  backlog(700)
  await clock.advanceTo(10_000)
  const before = [...by]
  await clock.advanceTo(2 * MINUTE + 10_000)
  const calls = by.map((sum, i) => sum - before[i]!)
  const sum = (of: readonly number[]) => of.reduce((one, other) => one + other, 0)
  const [near, farther] = [sum(calls.slice(0, 4)), sum(calls.slice(4))]
  expect(Math.max(near, farther) / Math.min(near, farther)).toBeLessThan(1.5)
  expect(Math.min(...calls)).toBeGreaterThan(0.5 * (sum(calls) / 8))
  expect(mostIn(times, MINUTE)).toBeLessThanOrEqual(1201)
  expect(between(times, 10_000, 130_000) / ((1200 / 60_050) * 120_000)).toBeGreaterThan(0.98)
})
