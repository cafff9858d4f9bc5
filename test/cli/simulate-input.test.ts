// What cannot be simulated is said at once: the flag, the value, and what is allowed.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { UsageError } from '../../src/cli/usage.ts'
import type { LogRecord } from '../../src/telemetry/log-record.ts'
import { said } from './simulate-harness.ts'

async function complaint(line: string): Promise<string> {
  const error: unknown = await said(line).then(
    (out) => new Error(`it went through: ${out}`),
    (thrown: unknown) => thrown,
  )
  expect(error).toBeInstanceOf(UsageError)
  return (error as UsageError).message
}

describe('a flag', () => {
  test.each([
    ['--rpm 0', "--rpm must be a number above 0, like 500, 200k or 2M, got '0'"],
    ['--rpm -5', "--rpm must be a number above 0, like 500, 200k or 2M, got '-5'"],
    ['--rpm NaN', "got 'NaN'"],
    ['--rpm 1e400', "got '1e400'"],
    ['--rpm Infinity', "got 'Infinity'"],
    ["--rpm ''", "got ''"],
    ['--rpm 5,000', "--rpm '5,000' looks like one number, and a comma separates tiers: write 5000 or 5k"],
    ['--tpm 1,050,500', 'write 1050500 or'],
    ['--rpm 500,5000 --tpm 1,2,3', 'one limit, or 3 of them'],
    ['--rpm', "'--rpm"],
    ['--rmp 5', "Unknown option '--rmp' (did you mean '--rpm'?); known: --provider, --rpm,"],
    ['5', "Unexpected argument '5'"],
    ['--rpm 5 --json=yes', "Option '--json' does not take an argument"],
    [
      '--provider openai --rpm 5',
      '--provider must be one of token-bucket, fixed-window, short-quantum, sliding-log',
    ],
    ['--provider __proto__ --rpm 5', "got '__proto__'"],
    ['--rpm 5 --workload burst:5', 'backlog:3000'],
    ['--rpm 5 --workload toString:5', "got 'toString:5'"],
    ['--rpm 5 --workload backlog', 'backlog:3000 (number of calls at once)'],
    ['--rpm 5 --workload backlog:', "got 'backlog:'"],
    ['--rpm 5 --workload backlog:0', 'a whole number of at least 1'],
    ['--rpm 5 --workload backlog:1.5', "got '1.5'"],
    ['--rpm 5 --workload backlog:5:5', "got 'backlog:5:5'"],
    ['--rpm 5 --workload poisson:8', 'poisson:80% or poisson:8/s:10m'],
    ['--rpm 5 --workload poisson:0%', 'a percentage above 0'],
    ['--rpm 5 --workload poisson:-8/s', "got '-8'"],
    ['--rpm 5 --workload poisson:8/x', "got '1x'"],
    ['--rpm 5 --workload poisson:8/s:', "got 'poisson:8/s:'"],
    ['--rpm 5 --workload poisson:1/h:1s', 'long enough for one call'],
    ['--rpm 5 --workload trains:5/0s', 'a duration above 0'],
    ['--rpm 5 --clients bottleneck', '--clients must be llmiter, sdk'],
    ['--rpm 5 --clients sdk-9999', "got 'sdk-9999'"],
    ['--rpm 5 --told thrice', 'right, half, unknown, or a factor like 2x'],
    ['--rpm 5 --told 0x', '--told must be a number above 0'],
    ['--rpm 5 --latency 10', "a duration, like 500ms, 10s, 5m or 2h, got '10'"],
    ['--rpm 5 --latency -1s', "got '-1s'"],
    ['--rpm 5 --outage 1m', 'when:how long'],
    ['--rpm 5 --outage 1m:2m:200%', 'at most 100%'],
    ['--rpm 5 --says nothing', 'it needs --outage'],
    ['--rpm 5 --spread 9', 'from 0 (all alike) to 3'],
    ['--rpm 5 --processes 0', '--processes must be a whole number of at least 1'],
    ['--rpm 5 --processes 10001', "at least 1 and at most 10,000, got '10001'"],
    ['--rpm 5 --processes 2 --store redis', "--store must be one of shared, none, got 'redis'"],
    ['--rpm 5 --store none', '--store none is how processes share the limit: it needs --processes'],
    ['--rpm 5 --seed x', "--seed must be a whole number of at least 0, got 'x'"],
    ['--rpm 5 --pacing eager', 'it needs --headers'],
    ['--rpm 5 --from a --workload backlog:5', 'give only one'],
    ['--rpm 5 --name gpt-5', 'it needs --from'],
    ['', '--provider token-bucket needs a limit: one of --rpm, --tpm, --itpm, --otpm'],
    [
      '--provider leaky-bucket --rpm 5',
      '--rpm cannot be used with --provider leaky-bucket, which limits --tpm',
    ],
    ['--provider short-quantum --tpm 5k', '--provider short-quantum needs --rpm'],
    ['--provider concurrency --max-concurrent 1.5', "a whole number of at least 1, got '1.5'"],
    ['--rpm 5 --floor 3', '--floor cannot be used with --provider token-bucket'],
    ['--provider fixed-window --rpm 5 --window 5s', '--window cannot be used with --provider fixed-window'],
    ['--provider step-change --rpm 5 --steps 5m', 'when:factor'],
    ['--provider short-quantum --rpm 5 --window 10m', '--window must be at most 1m'],
    ['--otpm 10k --output-tokens 0 --workload poisson:80%', 'no limit holds calls of this size'],
  ])('%s', async (line, message) => expect(await complaint(line)).toContain(message))
})

describe('what would never end', () => {
  test.each([
    [
      '--tpm 1000 --prompt-tokens 5000 --spread 0',
      'a call that takes 5,000 tokens can never get in where the limit is 1,000: raise --tpm, or make calls smaller',
    ],
    ['--rpm 0.5', 'a call that takes 1 request can never get in where the limit is 0.5: raise --rpm'],
    ['--otpm 100', 'can never get in where the limit is 100: raise --otpm'],
    // Also where an outage would hide it.
    [
      '--tpm 1000 --prompt-tokens 5000 --spread 0 --outage 0s:1m',
      'a call that takes 5,000 tokens can never get in',
    ],
    ['--provider acceleration --rpm 60 --floor 0.5', 'can never get in'],
    ['--provider step-change --tpm 5000 --steps 1s:0.1', 'would never all be accepted'],
    ['--rpm 5M --workload poisson:9999/s:10h', 'at most 1,000,000 can be simulated'],
    ['--rpm 5M --workload trains:1000000/1ms:10h', 'at most 1,000,000 can be simulated'],
    ['--rpm 5 --workload backlog:9999999', 'at most 1,000,000'],
    ['--rpm 5 --outage 1m:9999d', 'a duration above 0'],
  ])('%s', async (line, message) => expect(await complaint(line)).toContain(message))
})

describe('a log', () => {
  const folder = mkdtempSync(join(tmpdir(), 'llmiter-simulate-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  const log = (name: string, ...lines: string[]) => {
    const file = join(folder, name)
    writeFileSync(file, lines.join('\n'))
    return file
  }
  const second = (name: string, t: number, requests: number): LogRecord => ({
    ...{ v: 1, t, name, requests, issued: 0, refused: 0, finished: 0, failed: 0, rejected: 0 },
    ...{
      waiting: 0,
      parked: 0,
      inFlight: 0,
      gate: 'open',
      tokens: { asked: 900, used: 0, available: 0, limit: 1 },
    },
  })

  test('that is not there, or is none', async () => {
    expect(await complaint(`--rpm 5 --from ${join(folder, 'none')}`)).toContain('cannot be read')
    const file = log('text', 'not a log', '{"v":1}')
    expect(await complaint(`--rpm 5 --from ${file}`)).toContain('holds no calls')
  })

  test('of several limiters: one must be named', async () => {
    const file = log('two', JSON.stringify(second('a', 0, 1)), JSON.stringify(second('b', 0, 1)))
    expect(await complaint(`--rpm 5 --from ${file}`)).toContain('--name a or b')
    expect(await complaint(`--rpm 5 --from ${file} --name c`)).toBe("--name must be one of a, b, got 'c'")
    expect(await said(`--rpm 5 --from ${file} --name b`)).toContain('1 calls of b')
  })

  test('tells the tokens itself', async () => {
    const file = log('tokens', JSON.stringify(second('a', 0, 1)))
    expect(await complaint(`--rpm 5 --from ${file} --prompt-tokens 5`)).toContain(
      'the log contains the tokens',
    )
    expect(await complaint(`--itpm 5000 --from ${file}`)).toContain('give --tpm')
  })
})
