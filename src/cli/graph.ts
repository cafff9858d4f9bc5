// `llmiter graph`: draws the newest log, or the given files, as a page or as a picture.

import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { plain } from '../telemetry/rolling-file.ts'
import type { LogRecord } from '../telemetry/log-record.ts'
import { badLines, noLogs, readLogs, runsIn, titleOf } from './logs.ts'
import { graphPage, graphSvg, type GraphOptions, type PlottedRun, RunSeries } from './page/index.ts'
import { isoTime, LINES, localZone } from './page/labels.ts'
import { silence, summary } from './page/totals.ts'
import { ProgressLine } from './progress.ts'
import { tierCommand } from './tier-command.ts'
import { CannotError, command, printable, readOptions, UsageError } from './usage.ts'
import { type Moment, moment } from './time-argument.ts'

const LETTERS = LINES.map(({ letter }) => letter).join('')

const HELP = `usage: llmiter graph [options]

Draws the newest log of a folder: calls requested, sent, refused and waiting, per second.

  --dir FOLDER     the folder of the logs (llmiter-logs)
  --name NAME      the newest log with this name, or the limiter with this name in its newest log
  --file FILE      this file instead of the newest log; repeat it to compare several files
  --lines ${LETTERS}  the lines shown initially: ${LINES.map(({ letter, name }) => `${letter} ${name}`).join(', ')}
  --from, --to T   only this part: 90s, 10m or 2h after the start of the log (--from 10m leaves out its first ten
                   minutes), or a time like 2026-01-31T12:00, in the zone of this machine unless it names one
  --out FILE       the page (llmiter-graph.html)
  --svg FILE       a picture; without --out there is no page then
  --open           opens the page in the browser`

const text = { type: 'string' } as const
const flag = { type: 'boolean' } as const
const OPTIONS = {
  help: flag,
  dir: text,
  name: text,
  lines: text,
  from: text,
  to: text,
  out: text,
  svg: text,
  open: flag,
  file: { ...text, multiple: true as const },
}

export const graph = (args: string[]): Promise<number> =>
  command('graph', async () => {
    const values = readOptions(args, OPTIONS, { '--dir': 'folder directory path logs' })
    if (values.help) {
      console.log(HELP)
      return 0
    }
    const { dir = 'llmiter-logs', name, lines = LETTERS } = values
    const unknown = [...lines].find((letter) => !LETTERS.includes(letter))
    if (unknown !== undefined || lines === '') {
      throw new UsageError(`--lines takes letters of ${LETTERS}, got '${lines}'`)
    }
    const from = values.from === undefined ? undefined : moment('--from', values.from)
    const to = values.to === undefined ? undefined : moment('--to', values.to)

    const read = (files: readonly string[]) => readRun(files, from, to)
    const found = values.file
      ? await inTurn(values.file, (file) => read([file]))
      : [await newest(dir, name, read)]
    for (const { title, skipped } of found)
      if (skipped !== undefined) console.error(printable(`${title}: ${skipped}`))
    const limiters = new Set(found.flatMap(({ series }) => series.names))
    if (limiters.size === 0) throw new CannotError('there is nothing in it to draw')
    if (name !== undefined && values.file && !limiters.has(name)) {
      throw new CannotError(`there is no limiter '${name}' in it; there are: ${listed(limiters)}`)
    }
    draw(found, { lines, ...(name !== undefined && limiters.has(name) && { name }) }, values)
    return 0
  })

interface Found extends PlottedRun {
  /** A message about lines that are not records, if there are any. */
  skipped: string | undefined
  /** The names of all its limiters, including those without data in the drawn part. */
  names: ReadonlySet<string>
}

/** Runs one after the other: two logs of a million seconds at once would need twice the memory. */
async function inTurn<T, R>(values: readonly T[], work: (value: T) => Promise<R>): Promise<R[]> {
  const done: R[] = []
  for (const value of values) done.push(await work(value))
  return done
}

async function readRun(files: readonly string[], from?: Moment, to?: Moment): Promise<Found> {
  const series = new RunSeries()
  const names = new Set<string>()
  let part: { first: number; last: number } | undefined
  const onRecord = (record: LogRecord) => {
    const { t, name } = record
    names.add(name)
    part ??= { first: from?.(t) ?? -Infinity, last: to?.(t) ?? Infinity }
    if (t >= part.last) series.goesOn = true
    else if (t >= part.first) series.add(record)
  }
  const progress = new ProgressLine()
  const skipped = badLines(
    await readLogs(files, { onRecord, onProgress: (read, all) => progress.show(read, all) }),
  )
  progress.end()
  const command = tierCommand(series, files[0]!)
  return { title: titleOf(files[0]!), series, skipped, names, ...(command !== undefined && { command }) }
}

/** The newest run. With a name, the newest run of that name or with a limiter of that name. */
async function newest(
  dir: string,
  name: string | undefined,
  read: (files: readonly string[]) => Promise<Found>,
): Promise<Found> {
  const known = new Set<string>()
  for (const run of runsIn(dir)) {
    const found = await read(run.files)
    if (name === undefined || found.names.has(name) || run.name === plain(name)) return found
    for (const each of [run.name, ...found.names]) known.add(each)
  }
  if (known.size === 0) throw new CannotError(noLogs(dir))
  throw new CannotError(`no log in ${resolve(dir)} has a limiter '${name}'; known: ${listed(known)}`)
}

/** A log may hold thousands of names, so an error lists only a few. */
function listed(names: ReadonlySet<string>): string {
  const first = [...names].slice(0, 20).map((each) => each.slice(0, 80))
  return first.join(', ') + (names.size > 20 ? ` and ${names.size - 20} more` : '')
}

function draw(
  runs: readonly PlottedRun[],
  options: GraphOptions,
  files: { out?: string; svg?: string; open?: boolean },
): void {
  const { svg, open, out = svg === undefined || open ? 'llmiter-graph.html' : undefined } = files
  for (const { title, series } of runs)
    console.log(printable(`${title}\n  ${summary(series.totals, series.causes)} ${ended(series)}`.trimEnd()))
  if (out !== undefined) save(out, graphPage(runs, options))
  if (svg !== undefined) save(svg, graphSvg(runs, options))
  if (open) openInBrowser(resolve(out!))
}

/** A message if the program ended while calls were unfinished. */
const ended = ({ totals }: RunSeries) =>
  silence(totals, (seconds) => isoTime(seconds, localZone()), Date.now())

function save(file: string, content: string): void {
  try {
    writeFileSync(file, content)
  } catch (error) {
    throw new CannotError(`${file} cannot be written: ${(error as Error).message}`)
  }
  console.log(printable(file))
}

function openInBrowser(page: string): void {
  const { platform } = process
  const [name, ...args] =
    platform === 'darwin' ? ['open'] : platform === 'win32' ? ['cmd', '/c', 'start', '""'] : ['xdg-open']
  const child = spawn(name!, [...args, page], { stdio: 'ignore', detached: true })
  child.on('error', ({ message }) =>
    console.error(`${name} does not open it (${message}): open ${page} yourself`),
  )
  child.unref()
}
