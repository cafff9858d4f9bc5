// The command as it is typed, in a process of its own.

import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const path = (name: string) => fileURLToPath(new URL(`../../${name}`, import.meta.url))

async function llmiter(...args: string[]) {
  const command = ['--import', path('test/support/sources.ts'), path('src/cli/llmiter.ts'), ...args]
  const env = { ...process.env, NODE_NO_WARNINGS: '1' }
  return promisify(execFile)(process.execPath, command, { env, timeout: 20_000 }).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    ({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }) => ({
      code,
      stdout,
      stderr,
    }),
  )
}

test('tells how long a job takes, and what a higher tier would bring', async () => {
  const { code, stdout, stderr } = await llmiter(
    'simulate',
    '--rpm',
    '500,5000',
    '--workload',
    'backlog:3000',
  )
  expect([code, stderr]).toEqual([0, ''])
  expect(stdout).toMatch(/^backlog:3000; token bucket of 60 s/)
  expect(stdout).toMatch(/^llmiter +500 rpm +3,000 +0 +6 min \d+ s +8\d\.\d % +0 /m)
  expect(stdout).toMatch(
    /^5,000 rpm: goodput is \d+\.\d % since the optimum sends 3,000 calls at once, all that/m,
  )
  expect(stdout).toMatch(
    /^llmiter, 500 rpm\ndone \.+ 3,000: 3,000 answered, 0 failed\ntime \.+ 6 min \d+ s; the best that these limits allow is 5 min \d+ s\nbound by \.+ requests \(500 a minute\), 9\d % of the time$/m,
  )
  expect(stdout).toMatch(/^3,000 calls take 6 min \d+ s at 500 requests a minute; \d+\.\d s at 5,000\.$/m)
})

test('a usage error prints one line and exits with 2, without a stack trace', async () => {
  const { code, stdout, stderr } = await llmiter('simulate', '--rpm', '-1')
  expect([code, stdout]).toEqual([2, ''])
  expect(stderr).toBe("llmiter simulate: --rpm must be a number above 0, like 500, 200k or 2M, got '-1'\n")
})

test('--help names every flag', async () => {
  const { code, stdout } = await llmiter('simulate', '--help')
  expect(code).toBe(0)
  const { OPTIONS } = await import('../../src/cli/simulate/flags.ts')
  for (const name of Object.keys(OPTIONS).filter((name) => name !== 'help'))
    expect(stdout).toContain(`--${name}`)
})
