// However a process ends, what happened is in its log. Real processes, real time, real files.

import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'
import { parseRecord, type LogRecord } from '../../src/telemetry/log-record.ts'
import { tempDir } from '../support/temp.ts'

const source = (file: string) =>
  JSON.stringify(pathToFileURL(join(import.meta.dirname, '../../src', file)).href)

/** Runs a program that has a `limiter`, 600 a minute, with a log in `dir`. */
function program(dir: string, body: string): Promise<{ code: number; stderr: string }> {
  const text = `
    import { BucketRateLimiter } from ${source('index.ts')}
    import { logTo } from ${source('telemetry/log.ts')}
    const limiter = new BucketRateLimiter({ name: 'child', requestsPerMinute: 600, burst: 5, ramp: false })
    const log = logTo(limiter, { dir: ${JSON.stringify(dir)} })
    ${body}`
  const loader = new URL('../support/sources.ts', import.meta.url).href
  const args = ['--disable-warning=ExperimentalWarning', '--import', loader]
  args.push('--input-type=module', '--eval', text)
  return new Promise((resolve) => {
    execFile(process.execPath, args, { timeout: 15_000 }, (error, _, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, stderr }),
    )
  })
}

function recordsIn(dir: string): LogRecord[] {
  const text = readdirSync(dir).map((file) => readFileSync(join(dir, file), 'utf8'))
  return text.flatMap((lines) =>
    lines
      .trimEnd()
      .split('\n')
      .map((line) => parseRecord(line)!),
  )
}

const total = (records: LogRecord[]) => ({
  requests: records.reduce((sum, { requests }) => sum + requests, 0),
  issued: records.reduce((sum, { issued }) => sum + issued, 0),
  finished: records.reduce((sum, { finished }) => sum + finished, 0),
  waiting: records.at(-1)!.waiting,
})

test('a program that comes to its end is not kept alive, and its last second is written', async () => {
  const dir = tempDir()
  const { code, stderr } = await program(
    dir,
    `await Promise.all(Array.from({ length: 5 }, () => limiter.run(() => 1)))`,
  )
  // A log that kept the program alive would do so forever, since its timer restarts each second.
  expect([code, stderr]).toEqual([0, ''])
  expect(total(recordsIn(dir))).toEqual({ requests: 5, issued: 5, finished: 5, waiting: 0 })
})

test('process.exit(), an uncaught exception, a rejection that nobody handles: all is written', async () => {
  const ends = [
    [`process.exit(3)`, 3, ''],
    [`setTimeout(() => { throw new Error('bang') })`, 1, 'bang'],
    [`void Promise.reject(new Error('bang'))`, 1, 'bang'],
  ] as const
  const written = async ([end, code, said]: (typeof ends)[number]) => {
    const dir = tempDir()
    const ended = await program(
      dir,
      `for (let i = 0; i < 50; i++) limiter.run(() => 1).catch(() => {})
       await new Promise((resolve) => setTimeout(resolve, 1200))
       ${end}`,
    )
    expect(ended.code, end).toBe(code)
    expect(ended.stderr, end).toContain(said)
    const records = recordsIn(dir)
    const { requests, issued, finished, waiting } = total(records)
    expect(requests, end).toBe(50)
    expect(issued, end).toBeGreaterThan(0)
    expect([issued, issued], end).toEqual([finished, 50 - waiting])
    expect(records.length, end).toBeGreaterThanOrEqual(2)
  }
  await Promise.all(ends.map(written))
})

test('several processes write into files of their own', async () => {
  const dir = tempDir()
  const one = () => program(dir, `await limiter.run(() => 1)`)
  await Promise.all([one(), one(), one()])
  expect(readdirSync(dir).length).toBe(3)
  expect(total(recordsIn(dir))).toMatchObject({ requests: 3 })
})

test('a folder that cannot be made disturbs nobody', async () => {
  const { code, stderr } = await program(
    '/dev/null/logs',
    `limiter.on('error', ({ where, error }) => console.error(where, error.code))
     for (let i = 0; i < 12; i++) await limiter.run(() => 1)
     process.exit(7)`,
  )
  expect([code, stderr]).toEqual([7, 'log ENOTDIR\n'])
})

// Every write to it says that the disk is full.
test.skipIf(process.platform !== 'linux')('a full disk is told once', async () => {
  const dir = tempDir()
  const { code, stderr } = await program(
    dir,
    `limiter.on('error', ({ where, error }) => console.error(where, error.code))
     await limiter.run(() => 1)
     log.flush()
     const { rmSync, symlinkSync } = await import('node:fs')
     rmSync(log.file)
     symlinkSync('/dev/full', log.file)
     for (let i = 0; i < 25; i++) await limiter.run(() => 1)`,
  )
  expect([code, stderr]).toEqual([0, 'log ENOSPC\n'])
})
