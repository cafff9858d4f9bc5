// The SDK's law is a model here, so it is held against the SDK: the same waits, and the same fate of a backlog.

import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { retryDelayMs } from '../../src/cli/simulate/sdk.ts'
import { row } from './simulate-harness.ts'

const HEADERS: Record<string, string>[] = [
  {},
  {},
  { 'retry-after': '3' },
  { 'retry-after-ms': '250', 'retry-after': '1' },
  { 'retry-after': '60' },
  { 'retry-after': '61' },
  { 'retry-after-ms': '90000', 'retry-after': '2' },
  {},
  {},
]
const LINE = '--rpm 300 --window 1s --retry-after none --workload backlog:600'

interface Real {
  delays: number[]
  backlog: { done: number; lost: number; refused: number }
}

async function real(): Promise<Real> {
  const execArgv = ['--import', fileURLToPath(new URL('../support/sources.ts', import.meta.url))]
  const child = fork(new URL('real-sdk.ts', import.meta.url), [JSON.stringify([HEADERS, LINE.split(' ')])], {
    execArgv,
  })
  return new Promise((resolve, reject) => {
    child.once('message', (message) => resolve(message as Real))
    child.once('exit', (code) => reject(new Error(`ended with code ${code}`)))
  })
}

describe('OpenAI’s SDK', async () => {
  const { delays, backlog } = await real()

  test('waits by the law of the model, to the millisecond', () => {
    const model = HEADERS.map((headers, tries) => retryDelayMs(headers, tries, () => 0.5))
    expect(delays).toEqual(model)
    expect(model).toEqual([437.5, 875, 3000, 250, 60_000, 7000, 7000, 7000, 7000])
  })

  test('loses as much of a backlog as the model does, within a twentieth', async () => {
    const { done, lost, refused } = await row(`${LINE} --clients sdk`, 'sdk')
    expect(backlog.done + backlog.lost).toBe(600)
    expect(Math.abs(lost - backlog.lost)).toBeLessThan(30)
    expect(Math.abs(done - backlog.done)).toBeLessThan(30)
    expect(Math.abs(refused / backlog.refused - 1)).toBeLessThan(0.05)
  })
})
