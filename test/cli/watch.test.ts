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
import { describe, expect, onTestFinished, test } from 'vitest'
import { View } from '../../src/cli/watch/keys.ts'
import { Board, type Layout } from '../../src/cli/watch/table.ts'
import { Follower } from '../../src/cli/watch/tail.ts'
import { Screen } from '../../src/cli/watch/terminal.ts'
import { coloured, widthOf } from '../../src/cli/watch/text.ts'
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

test('lines of a later version are noticed, broken ones are not', () => {
  const dir = tempDir()
  const follower = new Follower(dir)
  follower.read()
  appendFileSync(join(dir, file()), `${line(1)}no record\n`)
  expect(follower.read()).toHaveLength(1)
  expect(follower.newer).toBe(false)
  appendFileSync(join(dir, file()), '{"v":2,"t":5}\n')
  expect(follower.read()).toEqual([])
  expect(follower.newer).toBe(true)
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

function board(
  records: readonly (LogRecord & { run?: string })[],
  layout: Partial<Layout> & { now?: number } = {},
) {
  const { now = NOW + 1000, ...rest } = layout
  const made = new Board()
  made.add(records.map(({ run = 'run-0123abcd', ...record }) => ({ run, record })))
  const lines = made.lines(now, { width: 80, ...rest })
  for (const line of lines) expect(widthOf(line)).toBeLessThanOrEqual(rest.width ?? 80)
  return lines
}

const TOKENS = { kind: 'limit', text: 'output tokens (10,000 a minute)' }
const GATE = {
  kind: 'gate',
  refused: 'rate',
  text: 'the provider, which refused calls as too many, for 30 s more ("429 rate_limit_error")',
}
const stuck = record(NOW, {
  ...{ waiting: 412, why: TOKENS, etaMs: 420_000, issued: 2, rate: 500, inFlight: 8 },
  waitMs: { p50: 1000, p95: 61_000 },
})
const refusing = record(NOW, {
  ...{
    name: 'claude',
    waiting: 80,
    refused: 3,
    gate: 'closed',
    why: GATE,
    refusal: 'rate: 429 rate_limit_error',
  },
})

test('a line for each limiter: its rate, who waits and how long, the gate, the last refusal', () => {
  const records = Array.from({ length: 20 }, (_, i) =>
    record(NOW - (19 - i) * 1000, {
      ...{ issued: i === 12 ? 0 : 2, waiting: 30 - i, parked: 1, inFlight: 4, rate: 120, etaMs: 6000 },
      ...(i === 12 ? { refused: 3, gate: 'closed' } : { waitMs: { p50: 100, p95: 5000 } }),
    }),
  )
  const [head, row] = board([...records, record(NOW, { name: 'gpt-5-mini', issued: 1 })], { width: 100 })
  expect(head).toBe('limiter▴       rate   waiting   p95   ETA   gate   refused')
  expect(row).toMatch(/^gpt-5 +108\/120 +11 +5 s +6 s +open +8 s ago +█{12} █{7}$/)
})

test.each([120, 80])('at %i columns no number is cut, and the reason stands below', (width) => {
  expect(board([stuck, refusing], { width }).map((line) => line.replace(/ +█+$/, ''))).toEqual([
    expect.stringMatching(/^limiter▴ +rate +waiting +p95 +ETA +gate +refused$/),
    expect.stringMatching(/^claude +0 +80 +- +- +closed +1 s ago$/),
    ...(width === 120
      ? [`  for ${GATE.text}`]
      : ['  for the provider, which refused calls as too many, for 30 s more ("429', '  rate_limit_error")']),
    expect.stringMatching(/^gpt-5 +120\/500 +412 +1 min 1 s +7 min +open +-$/),
    '  for output tokens (10,000 a minute)',
  ])
})

test('at 40 columns the reason survives', () => {
  expect(board([stuck, refusing], { width: 40 }).map((line) => line.replace(/ +█+$/, ''))).toEqual([
    expect.stringMatching(/^limiter▴ +rate +waiting +ETA$/),
    expect.stringMatching(/^claude +0 +80 +-$/),
    '  for the provider, which refused calls',
    '  as too many, for 30 s more ("429',
    '  rate_limit_error")',
    expect.stringMatching(/^gpt-5 +120\/500 +412 +7 min$/),
    '  for output tokens (10,000 a minute)',
  ])
})

test('where there is room the reason is a column', () => {
  const [head, claude, gpt] = board([stuck, refusing], { width: 200 })
  expect(head).toMatch(/ refused {2}why$/)
  expect(claude!.indexOf('for the provider')).toBe(head!.indexOf('why'))
  expect(gpt!.indexOf('for output tokens')).toBe(head!.indexOf('why'))
})

test('a program that ended or hangs with calls in its queue is silent; one at rest is at rest, and gone after a while', () => {
  const later = { now: NOW + 15_000 }
  expect(board([stuck], later).slice(1)).toEqual([
    expect.stringMatching(/^gpt-5 +\d+\/500 +412 +1 min 1 s +- +silent +-/),
    '  silent for 12 s, 412 were waiting, 8 were in flight',
  ])
  expect(board([record(NOW, { waiting: 80 })], later)[2]).toBe('  silent for 12 s, 80 were waiting')
  expect(board([record(NOW, { inFlight: 3 })], later)[2]).toBe('  silent for 12 s, 3 were in flight')
  expect(board([record(NOW, { waiting: 1, inFlight: 1 })], later)[2]).toBe(
    '  silent for 12 s, 1 was waiting, 1 was in flight',
  )
  const rest = record(NOW, { issued: 5, rate: 300 })
  expect(board([rest], { now: NOW + 20_000 })).toEqual([
    expect.anything(),
    expect.stringMatching(/^gpt-5 +0\/300 +0 +- +- +open +- +█$/),
  ])
  // Whether a closed gate has opened since is unknown, and the reason it closed is still shown.
  const spent = { ...refusing, waiting: 0, inFlight: 0, refusal: 'quota: 429 insufficient_quota' }
  for (const over of [{}, { rejected: 78, rejection: 'QUOTA_EXHAUSTED' }])
    for (const seconds of [20, 200]) {
      const [, numbers, words] = board([{ ...spent, ...over }], { now: NOW + seconds * 1000 })
      expect(numbers).toMatch(/ - +\w+ (s|min) ago/)
      expect(words).toBe(
        `  refused: quota: 429 insufficient_quota${'rejected' in over ? '; turned away: the quota is used up' : ''}`,
      )
    }
  expect(board([rest, stuck], { now: NOW + 3_600_000 }).join('\n')).toMatch(/silent for 59 min/)
  expect(board([rest], { now: NOW + 3_600_000 })).toEqual([])
})

test('a key that fails says so, and the last refusal has its words, though calls wait for a limit', () => {
  const failing = record(NOW, { issued: 30, failed: 30, failure: '401 AuthenticationError' })
  expect(board([failing])[2]).toBe('  calls fail: 401 AuthenticationError')
  expect(board([{ ...refusing, gate: 'open', why: TOKENS }])[2]).toBe(
    '  for output tokens (10,000 a minute); refused: rate: 429 rate_limit_error',
  )
})

test('two runs of one limiter have a line each; a name cannot move the cursor; wide characters count twice', () => {
  const evil = '\x1b[2Jname'.padEnd(60, 'x')
  const records = [
    { ...record(NOW), run: 'a-11111111' },
    { ...record(NOW), run: 'b-22222222' },
    record(NOW, { name: evil }),
    record(NOW, { name: '模型'.repeat(20) }),
  ]
  const lines = board(records, { width: 60 })
  expect(lines[2]).toMatch(/^gpt-5 11111111 /)
  expect(lines[3]).toMatch(/^gpt-5 22222222 /)
  expect(lines.join('')).not.toContain('\x1b')
  expect(lines.filter((line) => line.includes('…'))).toHaveLength(2)
  for (const width of [20, 33, 40, 79, 120]) board(records, { width })
})

test('more limiters than lines: the last line tells how many more there are', () => {
  const many = Array.from({ length: 30 }, (_, i) => record(NOW, { name: `m${String(i).padStart(2, '0')}` }))
  const lines = board([stuck, ...many], { height: 10 })
  expect(lines).toHaveLength(10)
  // The heading, the two lines of gpt-5 and six of the others.
  expect(lines.at(-1)).toBe('and 24 more')
  expect(board(many, { height: 31 })).toHaveLength(31)
})

test('colours mark what is wrong, and are none of the width', () => {
  const [, claude, , , gpt, why] = board([stuck, refusing], { paint: coloured })
  expect(claude).toContain('\x1b[31mclosed\x1b[0m')
  expect(gpt).toContain('\x1b[32mopen\x1b[0m')
  expect(why).toBe('  \x1b[33mfor output tokens (10,000 a minute)\x1b[0m')
})

describe('keys', () => {
  const names = (lines: string[]) => lines.slice(1).flatMap((line) => /^(\w+)/.exec(line)?.[1] ?? [])
  const press = (view: View, keys: string) => {
    for (const key of keys) view.press({ name: key, sequence: key })
  }
  const records = [
    record(NOW, { name: 'alpha', waiting: 7, why: TOKENS }),
    record(NOW, { name: 'beta', waiting: 80, gate: 'closed' }),
    record(NOW, { name: 'gamma', issued: 9, waitMs: { p50: 1, p95: 2000 } }),
  ]

  test('sort by each column, the largest first, and once more the other way round', () => {
    const view = new View()
    const order = () =>
      names(board(records, { view }))
        .map((name) => name[0])
        .join('')
    expect(order()).toBe('abg')
    for (const [key, expected] of [
      ...[
        ['w', 'bag'],
        ['w', 'gab'],
        ['n', 'abg'],
        ['n', 'gba'],
        ['r', 'gab'],
        ['p', 'gab'],
        ['y', 'bga'],
        ['g', 'bag'],
      ],
    ] as const) {
      press(view, key!)
      expect([key, order()]).toEqual([key, expected])
    }
    expect(board(records, { view })[0]).toContain('gate▴')
  })

  test('filter by name and by reason; Esc clears it', () => {
    const view = new View()
    const shown = () => names(board(records, { view }))
    press(view, '/wq')
    expect([view.typing, view.filter, view.footer]).toEqual([
      true,
      'wq',
      'filter: wq_  Enter keeps it, Esc clears it',
    ])
    expect(board(records, { view })).toEqual(["no limiter has 'wq' in its name or reason"])
    view.press({ name: 'backspace', sequence: '\x7f' })
    view.press({ name: 'backspace', sequence: '\x7f' })
    press(view, 'TOKENS')
    expect(shown()).toEqual(['alpha'])
    view.press({ name: 'return', sequence: '\r' })
    press(view, 'w')
    expect([view.typing, view.filter, view.sort]).toEqual([false, 'TOKENS', 'waiting'])
    view.press({ name: 'escape', sequence: '\x1b' })
    expect(shown()).toHaveLength(3)
  })

  test('q ends it, but not within a filter; Ctrl-C always does', () => {
    const view = new View()
    expect(view.press({ name: 'q', sequence: 'q' })).toBe(true)
    press(view, '/')
    expect(view.press({ name: 'q', sequence: 'q' })).toBe(false)
    expect(view.press({ name: 'c', ctrl: true, sequence: '\x03' })).toBe(true)
  })

  test('the last line fits into 40 columns', () => {
    expect(new View().footer.length).toBeLessThanOrEqual(40)
  })
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
  screen.show(['head', 'a'], [])
  screen.show(['head', 'a'], [])
  screen.show(['head', 'b', 'c', 'd', 'e', 'f'], [])
  screen.close()
  screen.close()
  expect(JSON.stringify(written)).toBe(
    JSON.stringify(
      '\x1b[?25l\x1b[0JWaiting for logs\n\r\x1b[1A\x1b[0Jhead\na\n\r\x1b[2A\x1b[0Jhead\nb\nc\n\x1b[?25h',
    ),
  )
})

test('what the reader should know stands above the table, and is cut to the width', () => {
  let written = ''
  const screen = new Screen({
    isTTY: true,
    columns: 10,
    rows: 9,
    write: (text: string | Uint8Array) => Boolean((written += String(text))),
  })
  screen.show(['head', 'a'], [], 'update to see all')
  expect(written).toMatch(/update to…\nhead\na\n$/)
})

/** The command as a process; resolves when it has printed this. */
async function started(command: string, args: string[], until: string) {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] })
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

test.skipIf(!hasScript)('on a real terminal keys sort, filter and end it; NO_COLOR is obeyed', async () => {
  const dir = tempDir()
  const lines = ['alpha', 'beta'].map((name, i) => linesOf([record(now(), { name, waiting: i + 1 })]))
  writeFileSync(join(dir, file()), lines.join(''))
  const watched = async (env: string) => {
    const command = `stty cols 80 rows 30; unset CI; ${env} exec "${process.execPath}" ${node.map((arg) => `"${arg}"`).join(' ')} "${dir}"`
    const run = await started('script', ['-qec', command, '/dev/null'], 'beta')
    return { ...run, type: (keys: string) => run.child.stdin.write(keys) }
  }
  const { told, type, ended } = await watched('TERM=xterm-256color')
  expect(told.out).toContain('\x1b[1mlimiter▴')
  type('w')
  await expect.poll(() => told.out).toMatch(/waiting▾[^▾]*beta[^▾]*alpha/s)
  type('/alp')
  await expect.poll(() => told.out).toContain('filter: alp_')
  type('\r')
  await expect.poll(() => told.out).toContain('filter: alp (Esc clears)')
  type('q')
  expect(await ended).toBe(0)
  expect(told.out.trimEnd().endsWith('\x1b[?25h')).toBe(true)
  const plainly = await watched('NO_COLOR=1 TERM=xterm-256color')
  for (const colour of ['\x1b[1m', '\x1b[32m', '\x1b[0m']) expect(plainly.told.out).not.toContain(colour)
  plainly.type('\x03')
  expect(await plainly.ended).toBe(0)
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
])('%j is reported', (args, words) => {
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
