// Where the lines of a log go: one file after the other, and what happens where nothing can be written.

import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { logTo } from 'llmiter/log'
import { parseRecord } from '../../src/telemetry/log-record.ts'
import { rig } from '../helpers.ts'
import { recordsIn, START } from '../support/records.ts'
import { tempDir } from '../support/temp.ts'

test('files follow each other by size and by age; only the last of a run stay', async () => {
  const dir = tempDir()
  const { clock, limiter } = rig({ requestsPerMinute: 6000 })
  const log = logTo(limiter, { dir, maxBytes: 1000, maxAgeMs: 3_600_000, keep: 3 })
  for (let i = 0; i < 40; i++) {
    await limiter.run(() => 1)
    await clock.advance(1000)
  }
  const parts = () => readdirSync(dir).map((file) => Number(/\.(\d+)\.jsonl$/.exec(file)![1]))
  const [first, second, third] = parts()
  expect([second! - first!, third! - second!, parts().length]).toEqual([1, 1, 3])
  for (const file of readdirSync(dir)) expect(readFileSync(join(dir, file)).length).toBeLessThanOrEqual(1000)
  expect(log.file).toBe(join(dir, readdirSync(dir).at(-1)!))

  await clock.advance(3_600_000)
  await limiter.run(() => 1)
  await clock.advance(1000)
  expect(parts()).toEqual([second, third, third! + 1])
})

test('earlier runs go when they are old; other files and other logs stay', async () => {
  const dir = tempDir()
  const old = (file: string, days: number) => {
    writeFileSync(join(dir, file), '')
    const time = Date.now() / 1000 - days * 86_400
    utimesSync(join(dir, file), time, time)
  }
  old('20251201T000000000Z-test-0123abcd.0001.jsonl', 15)
  old('20251202T000000000Z-test-0123abcd.0001.jsonl', 13)
  old('20251201T000000000Z-other-0123abcd.0001.jsonl', 15)
  old('notes.jsonl', 900)
  const { clock, limiter } = rig({ requestsPerMinute: 60 })
  logTo(limiter, { dir })
  await limiter.run(() => 1)
  await clock.advance(1000)
  expect(readdirSync(dir).filter((file) => !file.startsWith('2026'))).toEqual([
    '20251201T000000000Z-other-0123abcd.0001.jsonl',
    '20251202T000000000Z-test-0123abcd.0001.jsonl',
    'notes.jsonl',
  ])
})

test('a folder that goes away is made again', async () => {
  const dir = join(tempDir(), 'logs')
  const { clock, limiter } = rig({ requestsPerMinute: 60 })
  const errors: unknown[] = []
  limiter.on('error', (event) => errors.push(event))
  logTo(limiter, { dir })
  for (let i = 0; i < 2; i++) {
    await limiter.run(() => 1)
    await clock.advance(1000)
    if (i === 0) rmSync(dir, { recursive: true })
  }
  expect([recordsIn(dir).map(({ t }) => t), errors]).toEqual([[1], []])
})

test('where nothing can be written, that is told once, and the calls go on', async () => {
  const folder = tempDir()
  const dir = join(folder, 'logs')
  writeFileSync(dir, 'a file, not a folder')
  const { clock, limiter } = rig({ requestsPerMinute: 600 })
  const told: { where: string; limiter: string }[] = []
  limiter.on('error', ({ where, limiter, error }) => told.push({ where, limiter, ...(error as object) }))
  logTo(limiter, { dir })
  const results: unknown[] = []
  for (let i = 0; i < 5; i++) {
    results.push(await limiter.run(() => i))
    await clock.advance(1000)
  }
  expect(results).toEqual([0, 1, 2, 3, 4])
  expect(told).toMatchObject([{ where: 'log', limiter: 'test', code: expect.stringMatching(/^E/) }])

  // It tries again each second, and what comes later is written.
  rmSync(dir)
  mkdirSync(dir)
  await limiter.run(() => 1)
  await clock.advance(1000)
  const lines = readFileSync(join(dir, readdirSync(dir)[0]!), 'utf8')
    .split('\n')
    .filter(Boolean)
  expect(lines.map((line) => (parseRecord(line)!.t - START) / 1000)).toEqual([5])
})

test('where nobody listens, the process warns, once', async () => {
  const dir = join(tempDir(), 'logs')
  writeFileSync(dir, 'a file, not a folder')
  const warnings: string[] = []
  const heard = ({ message }: Error) => void warnings.push(message)
  process.on('warning', heard)
  onTestFinished(() => void process.off('warning', heard))
  const { clock, limiter } = rig({ requestsPerMinute: 600 })
  const log = logTo(limiter, { dir })
  for (let i = 0; i < 3; i++) {
    await limiter.run(() => i)
    await clock.advance(1000)
  }
  expect(warnings).toEqual([expect.stringContaining(`the log ${log.file} cannot be written: Error: E`)])
})

test.skipIf(process.getuid?.() === 0)('a folder that is read-only is told once', async () => {
  const dir = tempDir()
  chmodSync(dir, 0o500)
  onTestFinished(() => chmodSync(dir, 0o700))
  const { clock, limiter } = rig({ requestsPerMinute: 600 })
  const codes: unknown[] = []
  limiter.on('error', ({ error }) => codes.push((error as NodeJS.ErrnoException).code))
  logTo(limiter, { dir })
  for (let i = 0; i < 3; i++) {
    await limiter.run(() => i)
    await clock.advance(1000)
  }
  expect(codes).toEqual(['EACCES'])
})
