// Reads what is appended to the logs of a folder.

import { closeSync, fstatSync, openSync, readdirSync, readSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { parseFileName } from '../../telemetry/rolling-file.ts'
import { isNewer, type LogRecord, parseRecord } from '../../telemetry/log-record.ts'

/** A record, and the run it belongs to. */
export interface Added {
  run: string
  record: LogRecord
}

interface Place {
  offset: number
  /** The beginning of an incomplete line. */
  rest: Buffer
}

/** How much of the past is read for the first picture. */
const RECENT_MS = 60_000
const RECENT_BYTES = 64 * 1024
/** The maximum to read at a time: a file may have grown by a day's records while the machine slept. */
const MOST_BYTES = 4 * 2 ** 20
const NEWLINE = 10

export class Follower {
  readonly #dir: string
  readonly #places = new Map<string, Place>()
  #first = true
  /** Whether a line was written by a later version, and cannot be read. */
  newer = false

  constructor(dir: string) {
    this.#dir = dir
  }

  /** The records added since the last call, in the order of their seconds. */
  read(): Added[] {
    const added: Added[] = []
    const files = this.#files()
    for (const file of files) {
      const run = parseFileName(file)?.run
      if (run === undefined) continue
      for (const line of this.#linesOf(file)) {
        const record = parseRecord(line)
        if (record) added.push({ run, record })
        else this.newer ||= isNewer(line)
      }
    }
    // Forgets deleted files.
    for (const file of this.#places.keys()) if (!files.includes(file)) this.#places.delete(file)
    this.#first = false
    return added.sort((a, b) => a.record.t - b.record.t)
  }

  #files(): string[] {
    try {
      return readdirSync(this.#dir).sort()
    } catch {
      return []
    }
  }

  #linesOf(file: string): string[] {
    const path = join(this.#dir, file)
    try {
      const { size, mtimeMs } = statSync(path)
      let place = this.#places.get(file)
      if (!place) {
        place = { offset: this.#first ? recent(size, mtimeMs) : 0, rest: Buffer.alloc(0) }
        this.#places.set(file, place)
      }
      // The file was truncated.
      if (size < place.offset) Object.assign(place, { offset: 0, rest: Buffer.alloc(0) })
      return size > place.offset ? readOn(path, place) : []
    } catch {
      // The file was just deleted, or cannot be read. The others are still read.
      return []
    }
  }
}

/** Where to start in an existing file: at its last lines, or at its end if they are old. */
const recent = (size: number, mtimeMs: number) =>
  Date.now() - mtimeMs > RECENT_MS ? size : Math.max(0, size - RECENT_BYTES)

function readOn(path: string, place: Place): string[] {
  const descriptor = openSync(path, 'r')
  try {
    const length = Math.min(fstatSync(descriptor).size - place.offset, MOST_BYTES)
    const chunk = Buffer.alloc(length)
    const bytes = readSync(descriptor, chunk, 0, length, place.offset)
    place.offset += bytes
    const text = Buffer.concat([place.rest, chunk.subarray(0, bytes)])
    // A chunk may end within a character, but a line never does.
    const end = text.lastIndexOf(NEWLINE) + 1
    place.rest = text.subarray(end)
    return text.toString('utf8', 0, end).split('\n')
  } finally {
    closeSync(descriptor)
  }
}
