// `llmiter graph`, from the words of the command to the file.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { graph } from '../../src/cli/graph.ts'
import { readLogs } from '../../src/cli/logs.ts'
import { graphPage, graphSvg, seriesOf } from '../../src/cli/page/index.ts'
import { unpackColumns } from '../../src/cli/page/pack.ts'
import type { PageData } from '../../src/cli/page/page.ts'
import type { LogRecord } from '../../src/telemetry/log-record.ts'
import { linesOf, record } from '../support/records.ts'
import { tempDir } from '../support/temp.ts'

/** Runs the command in a folder of its own. */
function rig() {
  const dir = tempDir()
  const out = join(dir, 'page.html')
  const put = (file: string, content: string | LogRecord[]) => {
    writeFileSync(join(dir, file), typeof content === 'string' ? content : linesOf(content))
    return join(dir, file)
  }
  const run = async (...args: string[]) => {
    const [log, error] = [vi.spyOn(console, 'log'), vi.spyOn(console, 'error')]
    onTestFinished(() => void vi.restoreAllMocks())
    for (const spy of [log, error]) spy.mockReset().mockImplementation(() => {})
    const code = await graph(args)
    return { code, said: log.mock.calls.join('\n'), complained: error.mock.calls.join('\n') }
  }
  const drawn = () => runsOf(readFileSync(out, 'utf8'))
  return { dir, out, put, run, drawn }
}

const dataOf = (page: string) =>
  JSON.parse(/<script type="application\/json" id="data">([^]*?)<\/script>/.exec(page)![1]!) as PageData
/** The runs of a page, each with its limiters as columns. */
const runsOf = (page: string) =>
  dataOf(page).runs.map((run) => ({
    ...run,
    limiters: run.limiters.map(({ columns }) => unpackColumns(columns)),
  }))

const run = (start: string, name: string, id = '0123abcd', part = '0001') =>
  `${start}-${name}-${id}.${part}.jsonl`

test('the newest log, with all its files', async () => {
  const { dir, out, put, run: graph, drawn } = rig()
  put(run('20260101T000000000Z', 'old'), [record(0, { requests: 9 })])
  put(run('20260102T000000000Z', 'new'), [record(1000, { requests: 1, finished: 1 })])
  put(run('20260102T000000000Z', 'new', '0123abcd', '0002'), [record(2000, { requests: 2 })])
  put('notes.txt', 'no log')
  const { code, said } = await graph('--dir', dir, '--out', out)
  expect(said).toContain(
    'new, 2026-01-02 00:00:00 UTC\n  3 calls in 2 s: 1 answered, and 2 that the log does not account for.',
  )
  expect(drawn().map(({ limiters }) => limiters.map(({ name, requests }) => [name, requests]))).toEqual([
    [['gpt-5', [1, 2]]],
  ])
  expect(code).toBe(0)
})

test('--name: the newest log with this limiter, and this limiter first', async () => {
  const { dir, out, put, run: graph, drawn } = rig()
  put(run('20260101T000000000Z', 'openai'), [
    record(0, { name: 'a', issued: 1 }),
    record(0, { name: 'b', issued: 2 }),
  ])
  put(run('20260102T000000000Z', 'other'), [record(0, { name: 'c', issued: 3 })])
  await graph('--dir', dir, '--out', out, '--name', 'b')
  expect(drawn()[0]!.limiters.map(({ name }) => name)).toEqual(['a', 'b'])
  expect(readFileSync(out, 'utf8')).toContain('<option selected>b</option>')
  expect((await graph('--dir', dir, '--out', out, '--name', 'openai')).said).toContain('openai, 2026-01-01')
  const { code, complained } = await graph('--dir', dir, '--out', out, '--name', 'd')
  expect([code, complained]).toEqual([
    1,
    `llmiter graph: no log in ${dir} has a limiter 'd'; known: other, c, openai, a, b`,
  ])
})

test.each([
  ['{"v":2,"t":0}', '1 line is not an llmiter record; skipped (written by a newer version: update llmiter)'],
  [
    '{"v":2,"t":0}\nhello',
    '2 lines are not llmiter records; skipped (1 of them written by a newer version: update llmiter)',
  ],
  // No date can tell such a moment.
  [JSON.stringify(record(1e300)), '1 line is not an llmiter record; skipped'],
])('a log of %s says what was left out', async (lines, said) => {
  const { out, put, run: graph } = rig()
  const one = put('one.jsonl', `${linesOf([record(0, { issued: 1 })])}${lines}\n`)
  const { code, complained } = await graph('--file', one, '--out', out)
  expect([code, complained]).toEqual([0, `one.jsonl: ${said}`])
})

test('several files stand side by side; lines that are none are counted', async () => {
  const { out, put, run: graph, drawn } = rig()
  const one = put('one.jsonl', `${linesOf([record(0, { issued: 1 })])}{"v":1,"t":\nhello\n\n`)
  const two = put('two.jsonl', [record(0, { issued: 2 })])
  const { code, complained } = await graph('--file', one, '--file', two, '--out', out)
  expect([code, complained]).toEqual([0, 'one.jsonl: 2 lines are not llmiter records; skipped'])
  expect(drawn().map(({ title, limiters }) => [title, limiters[0]!.issued])).toEqual([
    ['one.jsonl', [1]],
    ['two.jsonl', [2]],
  ])
})

test('--from and --to: after the start, or a time', async () => {
  const { out, put, run: graph, drawn } = rig()
  const start = Date.UTC(2026, 0, 31, 12)
  const file = put(
    'a.jsonl',
    [0, 60, 120, 180].map((s) => record(start + s * 1000, { issued: s })),
  )
  await graph('--file', file, '--out', out, '--from', '1m', '--to', '180s')
  expect(drawn()[0]!.limiters[0]!.issued).toEqual([60, 120])
  await graph('--file', file, '--out', out, '--from', '2026-01-31T12:02:00Z')
  expect(drawn()[0]!.limiters[0]!.issued).toEqual([120, 180])
  expect(await graph('--file', file, '--out', out, '--from', '2h')).toMatchObject({
    code: 1,
    complained: 'llmiter graph: there is nothing in it to draw',
  })
})

test('a part that ends before its log does not say that the program has ended', async () => {
  const { out, put, run: graph } = rig()
  const records = [0, 60, 120].map((s) => record(s * 1000, { requests: s === 0 ? 3 : 0, waiting: 3 }))
  const file = put('a.jsonl', records)
  const whole = await graph('--file', file, '--out', out)
  expect(whole.said).toMatch(/3 still waiting when the log ends\. .* its program ended or was killed\.$/m)
  const part = await graph('--file', file, '--out', out, '--to', '90s')
  expect(part.said).toContain('3 calls in 1 min 1 s: 0 answered, 3 still waiting at the end of this part.')
  for (const said of [part.said, readFileSync(out, 'utf8').replace(/<script>[^]*/, '')])
    expect(said).not.toMatch(/its program ended|when the log ends/)
})

test('a file that is swept away while a log is read is left out', async () => {
  const { dir, put } = rig()
  const kept = put('b.jsonl', [record(0, { issued: 1 })])
  const read: LogRecord[] = []
  await readLogs([join(dir, 'a.jsonl'), kept], { onRecord: (each) => read.push(each) })
  expect(read).toHaveLength(1)
  await expect(readLogs([join(dir, 'a.jsonl')], { onRecord: () => {} })).rejects.toThrow(
    'a.jsonl cannot be read',
  )
})

test('--svg alone makes a picture and no page', async () => {
  const { dir, put, run: graph } = rig()
  const file = put('a.jsonl', [record(0, { issued: 1, gate: 'closed', waiting: 1 })])
  const svg = join(dir, 'a.svg')
  expect((await graph('--file', file, '--svg', svg, '--lines', 'io')).said).toMatch(/a\.svg$/)
  const picture = readFileSync(svg, 'utf8')
  expect(picture.match(/class="line \w+"/g)).toEqual(['class="line waiting"', 'class="line issued"'])
  expect(picture).toContain('class="closed"')
  expect(picture).toContain('prefers-color-scheme:dark')
})

test('without a log it says where it looked, and how to write one', async () => {
  const { dir, out, put, run: graph } = rig()
  for (const folder of [dir, join(dir, 'missing')]) {
    const { code, complained } = await graph('--dir', folder, '--out', out)
    expect([code, complained]).toEqual([
      1,
      expect.stringContaining(`there is no log in ${folder}. A program writes one`),
    ])
    expect(complained).toContain('logTo(limiter)')
  }
  const empty = put('empty.jsonl', '')
  expect(await graph('--file', empty, '--out', out)).toMatchObject({
    code: 1,
    complained: 'llmiter graph: there is nothing in it to draw',
  })
})

test.each([
  [
    ['--fro', '1m'],
    2,
    "Unknown option '--fro' (did you mean '--from'?); known: --help, --dir, --name, --lines,",
  ],
  [['extra'], 2, "Unexpected argument 'extra'"],
  [['--lines', 'riz'], 2, "--lines takes letters of riexfoal, got 'riz'"],
  [['--lines', ''], 2, "--lines takes letters of riexfoal, got ''"],
  [['--from', 'soon'], 2, "--from must be a time like 90s, 10m, 2h or 2026-01-31T12:00, got 'soon'"],
  [['--file', '/no/such/file'], 1, '/no/such/file cannot be read: ENOENT'],
  [['--dir', '/dev/null'], 1, '/dev/null cannot be read: ENOTDIR'],
])('%j is reported', async (args, code, words) => {
  const { run: graph } = rig()
  const told = await graph(...args)
  expect([told.code, told.complained]).toEqual([code, expect.stringContaining(words)])
})

test('a page that cannot be written is told', async () => {
  const { put, run: graph } = rig()
  const file = put('a.jsonl', [record(0, { issued: 1 })])
  expect(await graph('--file', file, '--out', '/no/such/folder/page.html')).toMatchObject({
    code: 1,
    complained: expect.stringContaining('/no/such/folder/page.html cannot be written'),
  })
})

test('--help tells the options', async () => {
  const { run: graph } = rig()
  const { code, said } = await graph('--help')
  for (const option of ['dir', 'name', 'file', 'lines', 'from', 'out', 'svg', 'open'])
    expect(said).toContain(`--${option}`)
  expect(said.replace(/\s+/g, ' ')).toContain('--from 10m leaves out its first ten minutes')
  expect(code).toBe(0)
})

test('a name from outside is text, whatever it holds', () => {
  const evil = '</script><img src=x onerror=alert(1)>\u2028"\'&\u0007'
  const runs = [{ title: evil, series: seriesOf([record(0, { name: evil, issued: 1 })]) }]
  const page = graphPage(runs)
  expect(page).not.toContain('<img')
  expect(runsOf(page)[0]!.limiters[0]!.name).toBe(evil)
  for (const never of ['<img', '\u0007']) expect(graphSvg(runs)).not.toContain(never)
})

test('no run, and a run without records, are a page and a picture too', () => {
  expect(graphPage([])).toContain('<div class="runs"></div>')
  for (const text of [
    graphPage([{ title: 'a', series: seriesOf([]) }]),
    graphSvg([{ title: 'a', series: seriesOf([]) }]),
  ]) {
    expect(text).toContain('0 calls in 0 s')
    // The program of the page knows the word.
    expect(text.replace(/<script>.*<\/script>/s, '')).not.toContain('NaN')
  }
})
