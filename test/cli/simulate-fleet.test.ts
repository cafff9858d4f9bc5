// One limit, many processes: what the simulator says of a fleet that shares it through a store, and of one that does not.

import { describe, expect, test } from 'vitest'
import { PLAIN, PROVIDERS, report, row, said } from './simulate-harness.ts'

const BUSY = `--rpm 600 --workload backlog:1200 ${PLAIN}`

describe('twenty processes with work', () => {
  test('keep the limit as one does, with a store and without', async () => {
    const one = await row(BUSY)
    const shared = await row(`${BUSY} --processes 20`)
    const split = await row(`${BUSY} --processes 20 --store none`)
    for (const { done, lost, refused, timeMs } of [shared, split]) {
      expect([done, lost, refused]).toEqual([1200, 0, 0])
      expect(timeMs / one.timeMs).toBeCloseTo(1, 1)
    }
  })

  test('meet in a bucket of a second, unless a store keeps them apart', async () => {
    const shared = await row(`${BUSY} --window 1s --processes 20`)
    const split = await row(`${BUSY} --window 1s --processes 20 --store none`)
    expect([shared.refused, shared.lost, split.lost]).toEqual([0, 0, 0])
    expect(split.refused).toBeGreaterThan(50)
    expect(split.timeMs / shared.timeMs).toBeGreaterThan(2)
  })

  test('ask the store at most four times a second each, and one by itself asks nobody', async () => {
    const { fleet } = await row(`${BUSY} --processes 20`)
    expect(fleet).toMatchObject({ processes: 20 })
    expect(fleet!.questionsPerSecond! / 20).toBeGreaterThan(2)
    expect(fleet!.questionsPerSecond! / 20).toBeLessThanOrEqual(4)
    const [least, most] = [fleet!.served.least, fleet!.served.most]
    expect(least).toBeLessThanOrEqual(30)
    expect(most).toBeGreaterThanOrEqual(30)
    expect((await row(BUSY)).fleet).toBeUndefined()
    const split = (await row(`${BUSY} --processes 20 --store none`)).fleet!
    expect(split.questionsPerSecond).toBeUndefined()
    expect(split.served).toEqual({ least: 30, most: 30 })
  })

  test('are told in the report', async () => {
    const { notes, rows: all } = await report(`${BUSY} --processes 20 --clients llmiter,sdk`)
    expect(notes.filter((note) => note.includes('20 processes'))).toEqual([
      expect.stringMatching(
        /^600 rpm: 20 processes shared the limit and asked the store \d\d(\.\d)? times a second, [23]\.\d\d each; half way the least served had got \d+ calls through, the most served \d+$/,
      ),
    ])
    expect(all.filter(({ fleet }) => fleet).map(({ client }) => client)).toEqual(['llmiter'])
    expect(await said(`${BUSY} --processes 1`)).toMatch(/1 process shared the limit and asked .* each\n/)
    expect(await said(`${BUSY} --processes 20 --store none`)).toContain(
      '20 processes without a store, each with its part of the limit; half way the least served had got 30 calls',
    )
  })

  test('give the same result twice', async () => {
    const line = '--rpm 600 --window 1s --told 2x --workload poisson:90%:1m --processes 20'
    expect(await said(line)).toBe(await said(line))
  })
})

test('a call that is larger than a part of the limit gets in where the limit is shared', async () => {
  const line = '--tpm 20k --processes 10 --spread 0.3 --workload backlog:100'
  const [shared, split] = [await report(line), await report(`${line} --store none`)]
  expect(shared.rows[0]).toMatchObject({ done: 100, lost: 0, refused: 0 })
  expect(split.rows[0]!.lost).toBeGreaterThan(0)
  expect(split.notes.join()).toMatch(/llmiter lost \d+ calls?; the first one said: .*tokens/)
})

describe('a fleet that was told', () => {
  const line = '--rpm 600 --window 1s --retry-after none --workload backlog:3000 --processes 7'

  test('half, keeps half; twice, finds the limit as one process does, refused about as often', async () => {
    const [right, half, twice] = [
      await row(line),
      await row(`${line} --told half`),
      await row(`${line} --told 2x`),
    ]
    expect(half.timeMs / right.timeMs).toBeCloseTo(2, 1)
    expect(twice.timeMs / right.timeMs).toBeLessThan(1.04)
    const one = await row(`${line.replace('--processes 7', '--processes 1')} --told 2x`)
    expect(twice.refusedPer1000!).toBeLessThan(1.5 * one.refusedPer1000!)
    expect([right.lost, half.lost, twice.lost]).toEqual([0, 0, 0])
  })

  test('nothing, finds the limit too', async () => {
    const { timeMs, lost } = await row(`${line} --told unknown`)
    expect(lost).toBe(0)
    // At its first guess, 60 a minute, it would take fifty minutes.
    expect(timeMs).toBeLessThan(7 * 60_000)
  })
})

describe('each provider', () => {
  test.each(PROVIDERS)('%s serves seven processes as it serves one (%s)', async (provider, flags, least) => {
    const [ours, optimum] = (
      await report(`--provider ${provider} ${flags} --workload backlog:1200 --processes 7`)
    ).rows
    expect(ours).toMatchObject({ done: 1200, lost: 0 })
    expect(ours!.timeMs).toBeGreaterThanOrEqual(optimum!.timeMs)
    expect(ours!.goodputPercent).toBeGreaterThan(least)
  })
})

test('the more there are, the less often each asks: the store has 8,000 questions a second to answer', async () => {
  const processes = 6000
  const { done, refused, fleet } = await row(
    `--rpm 90000 --window 1s --workload backlog:${processes} ${PLAIN} --processes ${processes}`,
  )
  expect([done, refused]).toEqual([processes, 0])
  // At the start each has a question, all at once.
  expect(fleet!.questionsPerSecond!).toBeGreaterThan(1000)
  expect(fleet!.questionsPerSecond!).toBeLessThan(8000 + processes / 10)
}, 60_000)

test('calls in flight are for all: who came first does not keep every place', async () => {
  const { goodputPercent, fleet, refused } = await row(
    '--provider concurrency --max-concurrent 25 --workload backlog:1200 --processes 7',
  )
  expect(goodputPercent).toBeGreaterThan(95)
  expect(refused).toBe(0)
  // 86 each.
  expect(fleet!.served.least).toBeGreaterThan(55)
  expect(fleet!.served.most).toBeLessThan(125)
}, 30_000)
