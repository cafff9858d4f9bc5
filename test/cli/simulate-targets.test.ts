// Several targets behind one queue: what `--targets` says of a pool.

import { describe, expect, test } from 'vitest'
import { PLAIN, report, row, rows, said } from './simulate-harness.ts'

describe('the limits of a list as targets of one pool', () => {
  test('give together what they have, each as much as it can', async () => {
    const line = `--rpm 500,500,1000 --window 1s --workload backlog:2000 --targets ${PLAIN}`
    const { rows: all, notes, answer } = await report(line)
    expect(all.map(({ client }) => client)).toEqual([
      ...['llmiter', 'optimum'],
      ...['llmiter', 'optimum'],
      ...['pool', 'optimum'],
    ])
    const [one, , , , pool, best] = all
    expect(pool).toMatchObject({
      done: 2000,
      lost: 0,
      refused: 0,
      limits: [{ rpm: 500 }, { rpm: 500 }, { rpm: 1000 }],
    })
    expect(one!.timeMs / pool!.timeMs).toBeGreaterThan(3.8)
    expect(pool!.timeMs / best!.timeMs).toBeLessThan(1.05)
    const [, each] = /the targets answered (.*) calls$/.exec(notes.at(-1)!)!
    const served = each!.split(/, | and /).map((part) => Number(part.replace(',', '')))
    expect(served.reduce((a, b) => a + b)).toBe(2000)
    for (const [i, share] of [500, 500, 1000].entries()) expect(served[i]! / share).toBeCloseTo(1, 1)
    expect(answer).toMatch(
      /\nWith pool: 2,000 calls take [\d.]+ (min \d+ )?s through a pool of 500 rpm \+ 500 rpm \+ 1,000 rpm\.$/,
    )
  })

  test('of any kind: tokens, and so many at once', async () => {
    const tokens = '--rpm 600 --tpm 200k,400k --provider fixed-window --max-tokens 500 --workload backlog:300'
    const slots = '--provider concurrency --max-concurrent 10,20 --workload backlog:300'
    for (const line of [tokens, slots]) {
      const [alone] = await rows(`${line} --targets`)
      const together = await row(`${line} --targets`, 'pool')
      expect(together).toMatchObject({ done: alone!.calls, lost: 0 })
      expect(alone!.timeMs / together.timeMs).toBeGreaterThan(2)
    }
  })

  test('lose nobody in an outage of all, however long', async () => {
    const line = '--provider outage --rpm 600,600 --outage 10s:10m --workload poisson:5%:1m --targets'
    expect(await row(line, 'pool')).toMatchObject({ lost: 0 })
  })

  test('give the same result twice', async () => {
    const line = '--rpm 300,600 --window 1s --told 2x --workload poisson:90%:1m --targets'
    expect(await said(line)).toBe(await said(line))
  })
})

test.each([
  ['--rpm 500 --targets', /--targets makes a pool of the limits in a list: give several/],
  ['--rpm 500,600 --targets --processes 2', /--processes/],
  ['--rpm 500,600 --targets --clients sdk', /--clients/],
])('%s is refused', async (line, message) => {
  await expect(said(`${line} --workload backlog:5`)).rejects.toThrow(message)
})
