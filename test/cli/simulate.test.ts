// What the simulator promises: how long a job takes agrees with theory, tiers and clients compare, and the same
// question has the same answer.

import { describe, expect, test } from 'vitest'
import type { UsageTier } from '../../src/cli/simulate/providers.ts'
import { PLAIN, PROVIDERS, report, row, rows, said } from './simulate-harness.ts'

const SECOND = 1000

describe('a backlog', () => {
  // C is what the bucket holds, r its rate: the first C calls are free.
  test.each([
    { calls: 3000, perMinute: 600, windowMs: 1000 },
    { calls: 3000, perMinute: 600, windowMs: 60_000 },
    { calls: 500, perMinute: 60, windowMs: 10_000 },
  ])('of $calls calls takes at best (N − C) ÷ r', async ({ calls, perMinute, windowMs }) => {
    const line = `--rpm ${perMinute} --window ${windowMs}ms --workload backlog:${calls} ${PLAIN}`
    const rate = perMinute / 60_000
    const theory = (calls - rate * windowMs) / rate
    expect((await row(line, 'optimum')).timeMs).toBeCloseTo(theory, 3)
  })

  test('takes llmiter (N − C) ÷ r on a tight bucket, and two seconds for its slow start', async () => {
    const { timeMs, refused, done } = await row(`--rpm 600 --window 1s --workload backlog:3000 ${PLAIN}`)
    const theory = (3000 - 10) / (600 / 60_000)
    expect(timeMs / theory).toBeGreaterThan(1)
    expect(timeMs - theory).toBeLessThan(3.5 * SECOND)
    expect([done, refused]).toEqual([3000, 0])
  })

  test('of tokens takes as long as its tokens do', async () => {
    const line = `--rpm 5000 --tpm 100k --prompt-tokens 1000 --output-tokens 100 --workload backlog:1000 ${PLAIN}`
    const { rows, notes } = await report(line)
    expect(rows[0]!.timeMs / 60_000).toBeGreaterThan(9)
    expect(rows[0]!.timeMs / 60_000).toBeLessThan(10.2)
    expect(notes).toEqual([
      '5,000 rpm, 100k tpm: --tpm is what binds: about 100 calls a minute of this size; --rpm would allow 5,000',
    ])
  })
})

describe('what if', () => {
  test('the tier were higher: one row each, and the answer in a sentence', async () => {
    const { rows, answer } = await report(`--rpm 500,5000 --workload backlog:3000 --window 1s ${PLAIN}`)
    expect(rows.map(({ client, limits }) => `${client} ${(limits as UsageTier).rpm}`)).toEqual([
      'llmiter 500',
      'optimum 500',
      'llmiter 5000',
      'optimum 5000',
    ])
    expect(answer).toMatch(/^3,000 calls take 6 min \d s at 500 requests a minute; 3\d\.\d s at 5,000\.$/)
  })

  test('there were no limiter: the SDK loses most of a backlog', async () => {
    const { rows, answer } = await report(
      '--rpm 500 --workload backlog:2000 --retry-after none --clients llmiter,sdk,sdk-20',
    )
    const [ours, two, twenty] = rows
    expect(ours).toMatchObject({ client: 'llmiter', done: 2000, lost: 0, refused: 0 })
    expect(two!.lost).toBeGreaterThan(500)
    expect(two!.goodputPercent).toBeLessThan(75)
    expect(twenty!.lost).toBeLessThan(two!.lost)
    expect(twenty!.refusedPer1000).toBeGreaterThan(500)
    expect(answer).toMatch(
      /With sdk: at 500 requests a minute \S+ of 2,000 calls get through in .*, and \S+ are lost\./,
    )
  })

  test('the limiter were told half, twice, or nothing', async () => {
    const line = '--rpm 600 --window 1s --retry-after none --workload backlog:6000'
    const times = Object.fromEntries(
      await Promise.all(
        ['right', 'half', '2x', 'unknown'].map(
          async (told) => [told, await row(`${line} --told ${told}`)] as const,
        ),
      ),
    )
    expect(times.half!.timeMs / times.right!.timeMs).toBeCloseTo(2, 1)
    expect(times.right!.refused).toBe(0)
    expect(times['2x']!.refused).toBeGreaterThan(0)
    expect(times['2x']!.timeMs / times.right!.timeMs).toBeLessThan(1.15)
    expect(times.unknown!.timeMs / times.right!.timeMs).toBeLessThan(1.5)
    for (const { lost } of Object.values(times)) expect(lost).toBe(0)
  })

  test('headers told the limit: then twice the limit does no harm', async () => {
    const line = '--rpm 600 --window 1s --workload backlog:3000 --told 2x'
    const [blind, told] = [await row(line), await row(`${line} --headers`)]
    expect(told.refused).toBeLessThan(blind.refused / 2)
  })

  test('the provider were down, in words or in silence', async () => {
    const line = '--rpm 600 --workload backlog:1500 --latency 500ms'
    const well = await row(line)
    const down = await row(`${line} --outage 1m:2m`)
    expect(down.lost).toBe(0)
    expect(down.timeMs - well.timeMs).toBeGreaterThan(100 * SECOND)
    expect(down.timeMs - well.timeMs).toBeLessThan(135 * SECOND)
    // The SDK's patience is ten minutes.
    const silent = await row(`${line} --outage 1m:30s:50% --says nothing`)
    expect(silent.lost).toBe(0)
    expect(silent.timeMs).toBeGreaterThan(660 * SECOND)
  })
})

describe('each provider', () => {
  test.each(PROVIDERS)('%s is served whole, and nobody beats the optimum', async (provider, flags, least) => {
    const line = `--provider ${provider} ${flags} --workload backlog:1200 --retry-after none`.replace(
      /(--provider (?:concurrency|nginx|wrong-wait).*) --retry-after none/,
      '$1',
    )
    const { rows } = await report(line)
    const [ours, optimum] = rows
    expect(ours).toMatchObject({ done: 1200, lost: 0 })
    expect(ours!.timeMs).toBeGreaterThanOrEqual(optimum!.timeMs)
    expect(ours!.goodputPercent).toBeGreaterThan(least)
    expect(optimum!.goodputPercent).toBe(100)
  })
})

describe('a stream', () => {
  test('at random: so many as the limit’s share, and the waits are what is asked', async () => {
    const { rows, answer } = await report('--rpm 600,1200 --workload poisson:80%')
    expect(rows[0]!.calls).toBeGreaterThan(4600)
    expect(rows[0]!.calls).toBeLessThan(5000)
    // A share is of the first tier, or the rows could not be compared.
    expect(rows.map(({ calls }) => calls)).toEqual(Array(4).fill(rows[0]!.calls))
    expect(rows[0]!.waitMs.p99).toBeGreaterThan(rows[2]!.waitMs.p99)
    expect(answer).toMatch(
      /^At 600 requests a minute .*99 in 100 .*; at 1,200 requests a minute 99 in 100 calls leave at once\.$/,
    )
  })

  test('of trains: five at once every ten seconds', async () => {
    const { calls, waitMs } = await row(`--rpm 60 --workload trains:5/10s:1m ${PLAIN}`)
    expect(calls).toBe(30)
    expect(waitMs.p99).toBeLessThan(SECOND)
  })

  test('above the limit is reported, and drains when it ends', async () => {
    const { rows, notes } = await report('--rpm 60 --workload poisson:2/s:2m')
    expect(rows[0]!.lost).toBe(0)
    expect(rows[0]!.timeMs).toBeGreaterThan(180 * SECOND)
    expect(notes).toEqual([
      expect.stringMatching(/^60 rpm: 1\d\d(\.\d)? calls come a minute, and about 60 get in: the line grows/),
      // The bucket has a minute's stock, which a client that knows of it sends at once.
      expect.stringContaining('all that the provider has in stock'),
    ])
  })
})

test('the same seed, the same answer; another seed, another', async () => {
  const line = '--rpm 600 --tpm 500k --workload poisson:90%:2m --told 2x'
  const [a, b, c] = [await said(line), await said(line), await said(`${line} --seed 2`)]
  expect(a).toBe(b)
  expect(a).not.toBe(c)
})

test('a client that is never accepted is given up after an hour', async () => {
  // Each try counts, so processes that ask too often keep each other out.
  const { done, lost, firstLoss } = await row(
    '--provider sliding-log --rpm 10 --processes 20 --store none --told 100x --workload backlog:300',
  )
  expect({ done, lost, firstLoss }).toEqual({
    done: 10,
    lost: 290,
    firstLoss: 'no call was accepted for 1 h',
  })
})

test('the optimum’s waits are those of a queue that knows all', async () => {
  const [best] = await rows(`--rpm 60 --window 1s --workload trains:3/1m:1m ${PLAIN}`, 'optimum')
  expect(best!.waitMs).toEqual({ p50: 1000, p95: 2000, p99: 2000 })
})
