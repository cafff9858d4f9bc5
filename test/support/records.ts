// The records of a log that was written in virtual time.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type LogRecord, parseRecord } from '../../src/telemetry/log-record.ts'

/** When the virtual clock starts. */
export const START = Date.UTC(2026, 0, 1)

/** All records of a folder, file by file. Every line must be valid. */
export function recordsIn(dir: string) {
  const lines = readdirSync(dir)
    .sort()
    .flatMap((file) => readFileSync(join(dir, file), 'utf8').trimEnd().split('\n'))
  return lines.map((line) => {
    const record = parseRecord(line)
    if (!record) throw new Error(`no record: ${line}`)
    return { ...record, t: (record.t - START) / 1000 }
  })
}

/** A second without activity, except for the given fields. */
export function record(t: number, over: Partial<LogRecord> = {}): LogRecord {
  return {
    ...{ v: 1, t, name: 'gpt-5', requests: 0, issued: 0, refused: 0, finished: 0, failed: 0, rejected: 0 },
    ...{ waiting: 0, parked: 0, inFlight: 0, gate: 'open', ...over },
  }
}

export const linesOf = (records: readonly LogRecord[]) =>
  records.map((each) => `${JSON.stringify(each)}\n`).join('')
