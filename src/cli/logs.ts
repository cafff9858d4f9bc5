// The logs of a folder: which runs there are, and what stands in them.

import { createReadStream, readdirSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { parseFileName } from '../telemetry/rolling-file.ts'
import { type LogRecord, parseRecord } from '../telemetry/log-record.ts'
import { CannotError } from './usage.ts'

/** One log from its start to its end, in one or several files. */
export interface LoggedRun {
  id: string
  name: string
  /** In the order in which they were written. */
  files: string[]
}

/** The runs of a folder, the newest first. */
export function runsIn(dir: string): LoggedRun[] {
  const runs = new Map<string, LoggedRun>()
  for (const file of listed(dir).sort()) {
    const found = parseFileName(file)
    if (!found) continue
    const run = runs.get(found.run) ?? { id: found.run, name: found.name, files: [] }
    runs.set(found.run, run)
    run.files.push(join(dir, file))
  }
  return [...runs.values()].sort((a, b) => (a.id < b.id ? 1 : -1))
}

function listed(dir: string): string[] {
  try {
    return readdirSync(dir)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw new CannotError(`${resolve(dir)} cannot be read: ${(error as Error).message}`)
  }
}

/** What to say where there is no log. */
export const noLogs = (dir: string) =>
  `there is no log in ${resolve(dir)}. A program writes one with\n\n` +
  `  import { logTo } from 'llmiter/log'\n  logTo(limiter)\n\n` +
  `If it writes it elsewhere: --dir FOLDER, or --file FILE for one file.`

export interface Read {
  records: LogRecord[]
  /** Lines that are no records. */
  bad: number
}

/** In characters. A record has some hundreds; what is longer is no log of ours, and is not kept in memory. */
const LONGEST_LINE = 1_000_000

/** All records of these files. */
export async function readRecords(files: readonly string[]): Promise<Read> {
  const read: Read = { records: [], bad: 0 }
  for (const file of files) {
    try {
      for await (const line of linesOf(file)) {
        if (line.trim() === '') continue
        const record = parseRecord(line)
        if (record) read.records.push(record)
        else read.bad++
      }
    } catch (error) {
      throw new CannotError(`${file} cannot be read: ${(error as Error).message}`)
    }
  }
  return read
}

/** The lines of a file. One that is too long comes as its beginning, which is no record. */
async function* linesOf(file: string): AsyncGenerator<string> {
  let rest = ''
  for await (const chunk of createReadStream(file, { encoding: 'utf8', highWaterMark: 2 ** 20 })) {
    const lines = (chunk as string).split('\n')
    lines[0] = rest + lines[0]!
    rest = lines.pop()!
    if (rest.length > LONGEST_LINE) rest = rest.slice(0, LONGEST_LINE)
    yield* lines
  }
  if (rest !== '') yield rest
}

/** How a file is called on a page: the name of its log and when it began, or its own name. */
export function titleOf(file: string): string {
  const found = parseFileName(basename(file))
  if (!found) return basename(file)
  const started = found.run.replace(/^(.{4})(..)(..)T(..)(..)(..).*$/, '$1-$2-$3 $4:$5:$6')
  return `${found.name}, ${started} UTC`
}
