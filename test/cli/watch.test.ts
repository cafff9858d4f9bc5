// `llmiter watch`: what it reads, what it shows, and how it leaves the terminal.

import { execFileSync, spawn } from 'node:child_process'
import {
  appendFileSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { Board } from '../../src/cli/watch/table.ts'
import { Follower } from '../../src/cli/watch/tail.ts'
import { Screen } from '../../src/cli/watch/terminal.ts'
import type { LogRecord } from '../../src/telemetry/log-record.ts'
import { linesOf, record } from '../support/records.ts'
import { tempDir } from '../support/temp.ts'

const MAIN = join(import.meta.dirname, '../../src/cli/llmiter.ts')
const file = (part = 1, id = '0123abcd') =>
  `20260101T000000000Z-gpt-5-${id}.${String(part).padStart(4, '0')}.jsonl`
const NOW = Date.UTC(2026, 0, 1, 12)

function follow() {
  const dir = tempDir()
  const follower = new Follower(dir)
  const write = (name: string, text: string | Buffer) => appendFileSync(join(dir, name), text)
  return { dir, write, read: () => follower.read().map(({ record }) => record.issued) }
}
const line = (issued: number, t = NOW) => linesOf([record(t, { issued })])

test('it reads what is added, file after file, run beside run', () => {
  const { dir, write, read } = follow()
  expect(read()).toEqual([])
  write(file(), line(1))
  expect(read()).toEqual([1])
  write(file(), line(2) + line(3))
  write(file(2), line(4))
  write(file(1, 'ffffffff'), line(5))
  write('notes.jsonl', line(99))
  expect(read()).toEqual([2, 3, 4, 5])
  rmSync(join(dir, file()))
  expect(read()).toEqual([])
})

test('half a line is read when it is whole, even when a character was cut in two', () => {
  const { write, read } = follow()
  const bytes = Buffer.from(linesOf([record(NOW, { name: 'modèle', issued: 7 })]))
  const middle = bytes.indexOf('è') + 1
  write(file(), bytes.subarray(0, middle))
  expect(read()).toEqual([])
  write(file(), bytes.subarray(middle))
  expect(read()).toEqual([7])
  write(file(), 'not a record\n')
  expect(read()).toEqual([])
})

test('a file that is emptied, or made again, is read from its start', () => {
  const { dir, write, read } = follow()
  write(file(), line(1) + line(2))
  read()
  truncateSync(join(dir, file()))
  expect(read()).toEqual([])
  write(file(), line(3))
  expect(read()).toEqual([3])
})

test('the folder may come later, and go', () => {
  const dir = join(tempDir(), 'later')
  const follower = new Follower(dir)
  expect(follower.read()).toEqual([])
  const made = tempDir()
  writeFileSync(join(made, file()), line(1))
  renameSync(made, dir)
  expect(follower.read().length).toBe(1)
  rmSync(dir, { recursive: true })
  expect(follower.read()).toEqual([])
})

test('of a long log that is written now it reads the end; of one that is over nothing', () => {
  const dir = tempDir()
  writeFileSync(join(dir, file()), line(1).repeat(2000))
  writeFileSync(join(dir, file(1, 'ffffffff')), line(2))
  const old = Date.now() / 1000 - 3600
  utimesSync(join(dir, file(1, 'ffffffff')), old, old)
  const follower = new Follower(dir)
  const issued = follower.read().map(({ record }) => record.issued)
  expect(issued.length).toBeGreaterThan(100)
  expect(issued.length).toBeLessThan(1000)
  expect(new Set(issued)).toEqual(new Set([1]))
  appendFileSync(join(dir, file(1, 'ffffffff')), line(3))
  expect(follower.read().map(({ record }) => record.issued)).toEqual([3])
})

function board(records: readonly (LogRecord & { run?: string })[], now = NOW + 1000, width = 120) {
  const made = new Board()
  made.add(records.map(({ run = 'run-0123abcd', ...record }) => ({ run, record })))
  return made.lines(now, width)
}

test('a line for each limiter: its rate, who waits, the gate, the last refusal', () => {
  const records = Array.from({ length: 20 }, (_, i) =>
    record(NOW - (19 - i) * 1000, {
      ...{ issued: i === 12 ? 0 : 2, waiting: 30 - i, parked: 1, inFlight: 4, rate: 120 },
      ...(i === 12 && { refused: 3, gate: 'closed' }),
    }),
  )
  const [head, row] = board([...records, record(NOW, { name: 'gpt-5-mini', issued: 1 })])
  expect(head).toBe('limiter     a minute   of  waiting  parked  in flight  gate  refused')
  expect(row).toMatch(/^gpt-5 {12}108 {2}120 {7}11 {7}1 {10}4 {2}open {2}8 s ago +█{12} █{7}$/)
})

test('what nobody writes any more is at rest, and gone after a while', () => {
  const busy = [record(NOW, { issued: 5, waiting: 7, inFlight: 3, gate: 'closed' })]
  expect(board(busy)[1]).toMatch(/^gpt-5 +300 +- +7 +0 +3 +closed +-/)
  expect(board(busy, NOW + 20_000)[1]).toMatch(/^gpt-5 +0 +- +0 +0 +0 +open +-/)
  expect(board(busy, NOW + 3_600_000)).toEqual([])
})

test('what calls wait for stands below, in the narrowest terminal too', () => {
  const why = { kind: 'limit', text: 'output tokens (10,000 a minute)' }
  const waiting = record(NOW, { waiting: 80, why, etaMs: 420_000, waitMs: { p50: 1000, p95: 61_000 } })
  expect(board([waiting], NOW, 100)[2]).toBe(
    '  for output tokens (10,000 a minute); about 7 min left; p95 1 min 1 s',
  )
  expect(board([waiting], NOW, 40)[2]).toBe('  for output tokens (10,000 a minute); a')
  // A program that died with calls in its queue does not look like one at rest.
  expect(board([waiting], NOW + 15_000, 100)[2]).toBe('  silent for 12 s, 80 were waiting')
  expect(board([record(NOW)], NOW + 15_000, 100)).toHaveLength(2)
})

test('two runs of one limiter have a line each; a name cannot move the cursor; no line is too wide', () => {
  const evil = '\x1b[2Jname'.padEnd(60, 'x')
  const lines = board(
    [
      { ...record(NOW), run: 'a-11111111' },
      { ...record(NOW), run: 'b-22222222' },
      record(NOW, { name: evil }),
    ],
    NOW,
    60,
  )
  expect(lines[2]).toMatch(/^gpt-5 11111111 /)
  expect(lines[3]).toMatch(/^gpt-5 22222222 /)
  expect(lines.join('')).not.toContain('\x1b')
  for (const each of lines) expect(each.length).toBeLessThanOrEqual(60)
})

test('on a terminal the lines are rewritten in their place, and the cursor comes back', () => {
  let written = ''
  const screen = new Screen({
    isTTY: true,
    columns: 40,
    rows: 4,
    write: (text: string | Uint8Array) => Boolean((written += String(text))),
  })
  screen.show([], [], 'Waiting for logs')
  screen.show(['head', 'a'], [], '')
  screen.show(['head', 'a'], [], '')
  screen.show(['head', 'b', 'c', 'd', 'e', 'f'], [], '')
  screen.close()
  screen.close()
  expect(JSON.stringify(written)).toBe(
    JSON.stringify(
      '\x1b[?25l\x1b[0JWaiting for logs\n\r\x1b[1A\x1b[0Jhead\na\n\r\x1b[2A\x1b[0Jhead\nb\nc\n\x1b[?25h',
    ),
  )
})

/** The command as a process; resolves when it has printed this. */
async function started(command: string, args: string[], until: string) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  const told = { out: '', error: '' }
  child.stderr.on('data', (chunk) => (told.error += String(chunk)))
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve))
  await new Promise<void>((resolve, reject) => {
    child.stdout.on('data', (chunk) => {
      told.out += String(chunk)
      if (told.out.includes(until)) resolve()
    })
    void ended.then((code) => reject(new Error(`it ended with ${code}: ${told.out}${told.error}`)))
  })
  return { child, told, ended }
}

const now = () => Math.floor(Date.now() / 1000) * 1000
const node = ['--disable-warning=ExperimentalWarning', MAIN, 'watch', '--dir']

test('where the output is no terminal: plain lines, and Ctrl-C ends it', async () => {
  const dir = tempDir()
  writeFileSync(join(dir, file()), line(3, now()))
  const { child, told, ended } = await started(process.execPath, [...node, dir], 'issued 3')
  appendFileSync(join(dir, file(2)), line(4, now()))
  await expect.poll(() => told.out).toContain('issued 4')
  expect(told.out).toMatch(/^\d\d:\d\d:\d\d gpt-5: requests 0 issued 3 finished 0 refused 0 waiting 0 /)
  child.kill('SIGINT')
  expect([await ended, told.error, told.out.includes('\x1b')]).toEqual([0, '', false])
})

const hasScript = (() => {
  try {
    return (
      process.platform === 'linux' &&
      execFileSync('script', ['--version'], { encoding: 'utf8' }).includes('util-linux')
    )
  } catch {
    return false
  }
})()

test.skipIf(!hasScript)('on a real terminal Ctrl-C leaves the cursor as it was', async () => {
  const dir = tempDir()
  writeFileSync(join(dir, file()), line(3, now()))
  const command = `stty cols 100 rows 30; exec "${process.execPath}" ${node.map((arg) => `"${arg}"`).join(' ')} "${dir}"`
  const { child, told, ended } = await started('script', ['-qec', command, '/dev/null'], 'gpt-5')
  expect(told.out).toContain('\x1b[?25l')
  // The terminal is between: the signal goes to the command in it.
  const [pid] = execFileSync('ps', ['-o', 'pid=', '--ppid', String(child.pid)], { encoding: 'utf8' })
    .trim()
    .split(/\s+/)
  process.kill(Number(pid), 'SIGINT')
  expect(await ended).toBe(0)
  expect(told.out.trimEnd().endsWith('\x1b[?25h')).toBe(true)
})

test.each(['--version', '-v', 'version'])('%s is the version of the package', (arg) => {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string
  }
  const said = execFileSync(process.execPath, ['--disable-warning=ExperimentalWarning', MAIN, arg], {
    encoding: 'utf8',
  })
  expect(said).toBe(`${version}\n`)
})

test.each([
  [['wach'], "there is no command 'wach' (did you mean 'watch'?); known: graph, watch, simulate"],
  [['watch', '--folder', 'x'], "Unknown option '--folder' (did you mean '--dir'?); known: --dir, --help"],
])('%j is told', (args, words) => {
  try {
    execFileSync(process.execPath, ['--disable-warning=ExperimentalWarning', MAIN, ...args], {
      stdio: 'pipe',
      encoding: 'utf8',
    })
    expect.unreachable()
  } catch (error) {
    const { status, stderr } = error as { status: number; stderr: string }
    expect([status, stderr]).toEqual([2, expect.stringContaining(words)])
  }
})

test('--help names the commands', () => {
  const help = (...args: string[]) =>
    execFileSync(process.execPath, ['--disable-warning=ExperimentalWarning', MAIN, ...args], {
      encoding: 'utf8',
    })
  for (const args of [[], ['--help'], ['help']]) expect(help(...args)).toMatch(/graph .*\n.*watch /)
  expect(help('watch', '--help')).toContain('--dir')
})
