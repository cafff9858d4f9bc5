// Finds the runs in a folder of logs, and reads their records.

import { createReadStream, readdirSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { parseFileName } from '../telemetry/rolling-file.ts'
import { isNewer, type LogRecord, parseRecord } from '../telemetry/log-record.ts'
import { isoTime, localZone } from './page/labels.ts'
import { CannotError } from './usage.ts'

/** One log from its start to its end, in one or several files. */
export interface LoggedRun {
  id: string
  name: string
  /** The files in the order in which they were written. */
  files: string[]
}

/** The runs in a folder, newest first. */
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

/** The message if there is no log. */
export const noLogs = (dir: string) =>
  `there is no log in ${resolve(dir)}. A program writes one with\n\n` +
  `  import { logTo } from 'llmiter/log'\n  logTo(limiter)\n\n` +
  `If the log is elsewhere, use --dir FOLDER, or --file FILE for a single file.`

/** In bytes. A record has a few hundred. A longer line is not from llmiter, and is not kept in memory. */
const LONGEST_LINE = 1_000_000

export interface ReadOptions {
  /** Called with each record, in the order of the files. */
  onRecord: (record: LogRecord) => void
  /** Called now and then with the number of bytes read so far, and the total. */
  onProgress?: (read: number, all: number) => void
}

/** Lines that are not records, and how many of them a later version wrote. */
export interface BadLines {
  bad: number
  newer: number
}

/** Reads all records of these files. */
export async function readLogs(
  files: readonly string[],
  { onRecord, onProgress }: ReadOptions,
): Promise<BadLines> {
  const told = { bad: 0, newer: 0 }
  let read = 0
  const all = onProgress ? files.reduce((sum, file) => sum + sizeOf(file), 0) : 0
  const onLine = (line: string) => {
    const record = parseRecord(line)
    if (record) onRecord(record)
    else if (line.trim() !== '') {
      told.bad++
      if (isNewer(line)) told.newer++
    }
  }
  for (const file of files) {
    try {
      await eachLine(file, onLine, (bytes) => onProgress?.((read += bytes), all))
    } catch (error) {
      // The oldest file of a long log may be deleted while the others are written.
      if (files.length > 1 && (error as NodeJS.ErrnoException).code === 'ENOENT') continue
      throw new CannotError(`${file} cannot be read: ${(error as Error).message}`)
    }
  }
  return told
}

/** The message about such lines, or undefined if there are none. */
export function badLines({ bad, newer }: BadLines): string | undefined {
  if (bad === 0) return undefined
  const lines = bad === 1 ? '1 line is not an llmiter record' : `${bad} lines are not llmiter records`
  const later =
    newer === 0
      ? ''
      : ` (${newer === bad ? '' : `${newer} of them `}written by a newer version: update llmiter)`
  return `${lines}; skipped${later}`
}

/** 0 for a file that cannot be read. Reading it will report the error. */
const sizeOf = (file: string) => statSync(file, { throwIfNoEntry: false })?.size ?? 0

const NEWLINE = 10

/**
 * Calls `onLine` with the lines of a file. The middle of a line that is too long is dropped, so it is not a valid
 * record.
 */
async function eachLine(
  file: string,
  onLine: (line: string) => void,
  onBytes: (bytes: number) => void,
): Promise<void> {
  let rest: Buffer = Buffer.alloc(0)
  for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) {
    onBytes(chunk.length)
    const [first, last] = [chunk.indexOf(NEWLINE), chunk.lastIndexOf(NEWLINE)]
    if (first >= 0) {
      onLine(Buffer.concat([rest, chunk.subarray(0, first)]).toString())
      if (last > first) for (const line of chunk.toString('utf8', first + 1, last).split('\n')) onLine(line)
      rest = chunk.subarray(last + 1)
    } else if (rest.length < LONGEST_LINE) rest = Buffer.concat([rest, chunk])
  }
  if (rest.length > 0) onLine(rest.toString())
}

/** The file, and the files that follow it in the same run. */
export function filesFrom(file: string): string[] {
  const run = runsIn(dirname(file)).find(({ files }) => files.some((each) => resolve(each) === resolve(file)))
  return run ? run.files.slice(run.files.findIndex((each) => resolve(each) === resolve(file))) : [file]
}

/** The title of a file on a page: the name of its log and when it began, or the file name. */
export function titleOf(file: string): string {
  const found = parseFileName(basename(file))
  if (!found) return basename(file)
  const started = Date.parse(found.run.replace(/^(.{4})(..)(..)T(..)(..)(..).*$/, '$1-$2-$3T$4:$5:$6Z'))
  const zone = localZone()
  return `${found.name}, ${isoTime(started / 1000, zone)} ${zone}`
}
