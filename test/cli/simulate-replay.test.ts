// A recorded run comes again under other limits, and a simulated run leaves the same records as a real one.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { readFlags, readPlan } from '../../src/cli/simulate/flags.ts'
import { type Ran, run } from '../../src/cli/simulate/run.ts'
import { type LogRecord, parseRecord } from '../../src/telemetry/log-record.ts'
import { PLAIN, report, row, said } from './simulate-harness.ts'

const folder = mkdtempSync(join(tmpdir(), 'llmiter-replay-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

async function recorded(line: string, client: 'llmiter' | 'sdk'): Promise<LogRecord[]> {
  const plan = await readPlan(readFlags(line.split(' ')))
  return (await run(plan, plan.tiers[0]!, client, true)).records
}

const sum = (
  records: readonly LogRecord[],
  what: 'requests' | 'issued' | 'refused' | 'finished' | 'failed',
) => records.reduce((all, record) => all + record[what], 0)

describe('the records of a simulated run', () => {
  test('of llmiter count every call, and are read as a log is', async () => {
    const records = await recorded(
      '--rpm 300 --tpm 500k --workload poisson:90%:3m --outage 1m:20s',
      'llmiter',
    )
    for (const record of records) expect(parseRecord(JSON.stringify(record))).toEqual(record)
    const requests = sum(records, 'requests')
    expect(requests).toBeGreaterThan(600)
    expect(sum(records, 'finished')).toBe(requests)
    expect(sum(records, 'refused')).toBeGreaterThan(0)
    expect(sum(records, 'issued')).toBe(requests + sum(records, 'refused'))
    expect(records.map(({ gate }) => gate)).toContain('closed')
    expect(records.every(({ t }, i) => t % 1000 === 0 && t > (records[i - 1]?.t ?? 0))).toBe(true)
    const last = records.at(-1)!
    expect([last.waiting, last.parked, last.inFlight, last.limit]).toEqual([0, 0, 0, 300])
    const asked = records.reduce((all, { tokens }) => all + tokens!.asked, 0)
    expect(asked / requests).toBeGreaterThan(1000)
    expect(asked / requests).toBeLessThan(1500)
  })

  test('miss no second while somebody waits, an outage included', async () => {
    const records = await recorded('--rpm 300 --workload backlog:400 --outage 20s:1m', 'llmiter')
    const gaps = records.slice(1).map(({ t }, i) => t - records[i]!.t)
    expect(new Set(gaps)).toEqual(new Set([1000]))
    const during = records.slice(25, 75)
    expect(Math.min(...during.map(({ waiting, inFlight }) => waiting + inFlight))).toBeGreaterThan(250)
  })

  test('of the SDK count every try', async () => {
    const records = await recorded('--rpm 300 --window 1s --workload backlog:400', 'sdk')
    expect(sum(records, 'requests')).toBe(400)
    expect(sum(records, 'finished') + sum(records, 'failed')).toBe(400)
    expect(sum(records, 'issued')).toBe(sum(records, 'finished') + sum(records, 'refused'))
    expect(records[0]!.waiting).toBeGreaterThan(250)
    const last = records.at(-1)!
    expect([last.waiting, last.parked, last.inFlight]).toEqual([0, 0, 0])
  })

  test.each(['shared', 'none'])(
    'are told by process, each with its part of the limit (%s)',
    async (store) => {
      const records = await recorded(
        `--rpm 300 --tpm 600k --processes 3 --store ${store} --workload backlog:30`,
        'llmiter',
      )
      expect([...new Set(records.map(({ name }) => name))].sort()).toEqual([
        'llmiter 1',
        'llmiter 2',
        'llmiter 3',
      ])
      expect(sum(records, 'finished')).toBe(30)
      for (const { limit, tokens } of records) expect([limit, tokens!.limit]).toEqual([100, 200_000])
    },
  )

  test.each(['shared', 'none'])('are one sum where processes are many (%s)', async (store) => {
    const line = `--rpm 600 --tpm 6M --processes 50 --store ${store} --workload backlog:200 --outage 0s:5s`
    const records = await recorded(line, 'llmiter')
    expect(new Set(records.map(({ name }) => name))).toEqual(new Set(['llmiter']))
    expect([sum(records, 'requests'), sum(records, 'finished')]).toEqual([200, 200])
    expect(new Set(records.map(({ t }) => t)).size).toBe(records.length)
    const [first, last] = [records[0]!, records.at(-1)!]
    expect(first.waiting + first.inFlight).toBeGreaterThan(150)
    expect([last.waiting, last.inFlight]).toEqual([0, 0])
    expect(records.map(({ gate }) => gate)).toContain('closed')
    for (const { limit, tokens } of records) {
      expect(limit).toBeCloseTo(600)
      expect(tokens!.limit).toBeCloseTo(6e6)
      expect(tokens!.available).toBeLessThanOrEqual(tokens!.limit)
    }
  })
})

test('a log comes again: the same calls, faster under a higher limit', async () => {
  const records = await recorded(`--rpm 60 --tpm 100k --workload poisson:200%:2m ${PLAIN}`, 'llmiter')
  const file = join(folder, 'run.log')
  writeFileSync(file, records.map((record) => `${JSON.stringify(record)}\n`).join(''))
  const calls = sum(records, 'requests')

  const { rows, work } = await report(`--rpm 60,600 --tpm 1M --from ${file} ${PLAIN}`)
  expect(work).toBe(`${calls} calls of llmiter`)
  const [slow, , fast] = rows
  expect([slow!.done, fast!.done]).toEqual([calls, calls])
  expect(slow!.timeMs).toBeGreaterThan(180_000)
  expect(fast!.timeMs).toBeLessThan(125_000)
  // Its tokens are those that it asked for: 1,200 each, so 12,000 a minute are ten calls.
  const starved = await row(`--tpm 12k --from ${file} ${PLAIN}`)
  expect(starved.timeMs / 60_000).toBeGreaterThan(calls / 10 - 2)
  expect(starved.timeMs / 60_000).toBeLessThan(calls / 10 + 1)
})

test.each(['', ' --processes 4', ' --processes 25'])('recording does not change the run%s', async (fleet) => {
  const line = `--rpm 300 --window 1s --told 2x --workload backlog:900${fleet}`
  const plan = await readPlan(readFlags(line.split(' ')))
  for (const client of ['llmiter', 'sdk'] as const) {
    const [seen, unseen] = [
      await run(plan, plan.tiers[0]!, client, true),
      await run(plan, plan.tiers[0]!, client, false),
    ]
    // What bound the calls is sampled ten times a second, and a look is one more sample: nothing else may differ.
    const shares = ({ boundBy = [] }: Ran) =>
      boundBy.map(({ kind, of, share }) => [kind, of, Number(share.toFixed(2))])
    expect(shares(seen)).toEqual(shares(unseen))
    expect({ ...seen, records: [], boundBy: [] }).toEqual({ ...unseen, boundBy: [] })
  }
})

test('the page has the curves of each run', async () => {
  const out = join(folder, 'page.html')
  const printed = await said(`--rpm 120,600 --workload backlog:200 --clients llmiter,sdk --out ${out}`)
  expect(printed).toContain(`${out} shows it second by second.`)
  const page = readFileSync(out, 'utf8')
  expect(page).toMatch(/^<!doctype html>/i)
  for (const title of ['llmiter, 120 rpm', 'sdk, 120 rpm', 'llmiter, 600 rpm', 'sdk, 600 rpm'])
    expect(page).toContain(title)
})
