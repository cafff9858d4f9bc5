// The bench judges the law, so what it judges by is tested itself: goals, pooling, the optimum, and time for peers.
import { fork } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { percentile, pool, thin, type Cell, type Figures } from '../../bench/providers/case.ts'
import { cases, casesNamed } from '../../bench/providers/cases.ts'
import { models, optimum } from '../../bench/providers/models.ts'
import { targets } from '../../bench/providers/targets.ts'
import { recoveredAt } from '../../bench/providers/rows/outage.ts'
import { MINUTE, summary } from '../../bench/providers/run.ts'
import { judge } from '../../bench/providers/verdicts.ts'
import { World, type Call } from '../../bench/providers/world.ts'
import { seededRandom, VirtualClock } from '../../src/testing/index.ts'
import { isMet } from '../../bench/table.ts'

const figures = (counts: Record<string, number>): Figures => ({ counts, samples: {} })
const cell = (id: string, counts: Record<string, number>): Cell => ({
  case: cases.find((one) => one.id === id)!,
  client: 'llmiter',
  pooled: figures(counts),
  each: [figures(counts)],
})

describe('figures', () => {
  it('add up over seeds, and samples are joined', () => {
    const pooled = pool([
      { counts: { done: 1 }, samples: { waitMs: [3] } },
      { counts: { done: 2 }, samples: { waitMs: [1, 2] } },
    ])
    expect(pooled).toEqual({ counts: { done: 3 }, samples: { waitMs: [3, 1, 2] } })
  })

  it('percentiles are values that occurred; of nothing there is none', () => {
    expect([0, 0.5, 0.95, 1].map((share) => percentile([4, 1, 3, 2], share))).toEqual([1, 2, 4, 4])
    expect(percentile([], 0.5)).toBeUndefined()
    expect(thin([5, 1, 4, 2, 3, 6], 3)).toEqual([2, 4, 6])
  })
})

describe('what is seen of a run', () => {
  it('recovered is at nine tenths of the rate, not below', () => {
    const every = (ms: number) => Array.from({ length: 100 }, (_, i) => 5000 + i * ms)
    const perMs = 500 / MINUTE
    expect(recoveredAt(every(1 / (0.91 * perMs)), 1000, perMs)).toBe(5000)
    expect(recoveredAt(every(1 / (0.85 * perMs)), 1000, perMs)).toBe(Infinity)
  })

  it('in a backlog, starved calls are those passed over for good, not those that came last', () => {
    const calls = Array.from({ length: 4000 }, (_, index): Call => {
      const through = index !== 7 && index < 3500
      return {
        index,
        at: 0,
        serviceMs: 0,
        sentAt: 1,
        refusals: 0,
        admissions: through ? 1 : 0,
        admittedAt: through ? 1 : -1,
        ...(through && { end: 'done' }),
      }
    })
    const provider = models['bucket-60s']!.make(0)
    const world = new World({ clock: new VirtualClock(), provider, random: seededRandom(1), jitterMs: 0 })
    expect(summary({ world, calls, endMs: MINUTE }, true).counts).toMatchObject({ starved: 1, lost: 0 })
  })
})

describe('goals', () => {
  const goal = targets.find(({ what }) => what === 'told twice the limit: refusals')!

  it('are judged on the worst case, which they name', () => {
    const judged = judge(goal, [
      cell('bucket-60s/double/backlog/j50', { refused: 1, admitted: 1000 }),
      cell('window-60s/double/backlog/j50', { refused: 9, admitted: 1000 }),
    ])!
    expect(judged.measured).toBe(9)
    expect(isMet(judged)).toBe(false)
    expect(judged.where).toBe('window-60s/double/backlog/j50; met in 1 of 2')
    expect(judged.cases).toBe(2)
  })

  it('do not judge cases outside their selection', () => {
    expect(judge(goal, [cell('bucket-60s/right/backlog/j50', { refused: 1, admitted: 1 })])).toBeUndefined()
  })

  it('each selects at least one case', () => {
    for (const { what, of } of targets) {
      const speaks = cases.some((one) => of({ case: one, client: 'llmiter', pooled: figures({}), each: [] }))
      expect(speaks || /^parked|^every/.test(what), what).toBe(true)
    }
  })
})

describe('cases', () => {
  it('are found by provider, section and id', () => {
    expect(casesNamed('window-60s')!.length).toBeGreaterThan(5)
    expect(casesNamed('outage')!.length).toBeGreaterThan(5)
    expect(casesNamed('quota')).toHaveLength(1)
    expect(casesNamed('azure')).toBeUndefined()
  })
})

describe('the optimum', () => {
  it('is what a bucket holds and refills before the end', () => {
    expect(optimum(models['bucket-60s']!.make(0), 60_000, () => 0)).toBe(1199)
    expect(optimum(models['bucket-1s-none']!.make(0), 60_000, () => 0)).toBe(609)
  })

  it('for a window uses the edge, which a client can hit only by chance', () => {
    expect(optimum(models['window-60s']!.make(30_000), 60_000, () => 0)).toBe(1200)
  })

  it('of ten at once is ten for each service time', () => {
    expect(optimum(models['concurrency']!.make(0), 60_000, () => 1000)).toBe(600)
  })
})

describe('virtual time for peers', () => {
  it('the real SDK waits by its own rule: 0.5 s, 1 s, each up to a quarter less', async () => {
    const child = fork(new URL('sdk-delays.ts', import.meta.url), { execArgv: [] })
    const gaps = await new Promise<number[]>((resolve, reject) => {
      child.once('message', (message) => resolve(message as number[]))
      child.once('exit', (code) => reject(new Error(`ended with code ${code}`)))
    })
    expect(gaps).toHaveLength(3)
    for (const [i, gap] of gaps.entries()) {
      const most = 500 * 2 ** i
      // On its way and back: 20 to 110 ms, and two timers that are up to 2 ms late.
      expect(gap).toBeGreaterThan(0.75 * most + 20)
      expect(gap).toBeLessThan(most + 130)
    }
  })
})
