/**
 * How long a pool of unequal keys takes for a job, in virtual time, compared with the optimum: the same keys, each
 * with as many calls as it wants, until together they have sent enough.
 */
import { BucketRateLimiter } from '../../src/index.ts'
import { createPool } from '../../src/pool/index.ts'
import { VirtualClock } from '../../src/testing/clock.ts'
import type { Section } from '../table.ts'

const CALLS = 3000

/** Requests per minute of each key. */
const CASES: Record<string, readonly number[]> = {
  'two keys, 500 and 100 a minute': [500, 100],
  'three keys, 300, 60 and 60 a minute': [300, 60, 60],
  'ten keys, 50 to 500 a minute': Array.from({ length: 10 }, (_, i) => 50 * (i + 1)),
}

type Run = (fn: () => unknown) => Promise<unknown>

/** When each of these calls is sent. */
async function departures(clock: VirtualClock, run: Run): Promise<number[]> {
  const times: number[] = []
  const all = Promise.all(Array.from({ length: CALLS }, () => run(() => times.push(clock.now()))))
  await clock.runAll()
  await all
  return times
}

const keyOf = (clock: VirtualClock, requestsPerMinute: number, i: number) => {
  const name = `key ${i}`
  return { name, limiter: new BucketRateLimiter({ name, requestsPerMinute, clock, ramp: false }) }
}

async function ofOptimum(rates: readonly number[]): Promise<number> {
  const alone = rates.map((rate, i) => {
    const clock = new VirtualClock({ seed: 1 })
    const { limiter } = keyOf(clock, rate, i)
    return departures(clock, (fn) => limiter.run(fn))
  })
  const best = (await Promise.all(alone)).flat().sort((a, b) => a - b)[CALLS - 1]!
  const clock = new VirtualClock({ seed: 1 })
  const pool = createPool({ targets: rates.map((rate, i) => keyOf(clock, rate, i)) })
  const times = await departures(clock, (fn) => pool.run(fn))
  return Math.max(...times) / best
}

export async function makespanSection(): Promise<Section> {
  const found: [string, number][] = []
  for (const [name, rates] of Object.entries(CASES)) found.push([name, await ofOptimum(rates)])
  return {
    title: `i. A pool of unequal keys: ${CALLS.toLocaleString('en')} calls, in virtual time`,
    columns: ['× optimum'],
    rows: found.map(([name, times]) => ({ name: `  ${name}`, cells: [times] })),
    goals: found.map(([what, measured]) => ({ what, measured, atMost: 1.05, unit: '× optimum' })),
  }
}
