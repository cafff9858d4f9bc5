// Manages the files of a log: which file lines go to, when a new one starts, and which old ones are deleted.
//
// A run is one log from its start to its end. Its file names contain its start time, the name of the log and a
// random id. So the newest run sorts last, and no two processes write to the same file (their pids may be equal:
// each container has a process 1).
//
// Lines are written synchronously. That is one short write per second (30 µs), and an asynchronous write could be
// lost or cut off when the process exits. The file is opened again for each write, so it may be moved or deleted
// in between.

import { randomBytes } from 'node:crypto'
import { appendFileSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'

export interface FileOptions {
  dir: string
  /** The subject of the log: a limiter, a service or a program. */
  name: string
  /** A new file starts when the current one would grow beyond this size, or is older than `maxAgeMs`. */
  maxBytes: number
  maxAgeMs: number
  /** How many files of this run are kept. Files of earlier runs are kept for `keep × maxAgeMs`. */
  keep: number
}

/** The parts of a file name. */
export interface FileName {
  /** The same for all files of a run. Sorts by the start of the run. */
  run: string
  name: string
  part: number
}

const FILE = /^((\d{8}T\d{9}Z)-(.+)-[0-9a-f]{8})\.(\d{4,})\.jsonl$/

/** Undefined if the file is not part of a log. */
export function parseFileName(file: string): FileName | undefined {
  const found = FILE.exec(file)
  return found ? { run: found[1]!, name: found[3]!, part: Number(found[4]) } : undefined
}

/** Makes a name safe for all file systems. */
export const plain = (name: string) => name.replace(/[^\p{L}\p{N}._-]+/gu, '_').slice(0, 60) || '_'

export class LogFile {
  readonly #options: FileOptions
  readonly #run: string
  #part = 0
  #bytes = 0
  #since = 0
  /** Whether the last write failed, perhaps in the middle of a line. */
  #torn = false

  /** Starts a log. `wall` is the current time in epoch ms. */
  constructor(options: FileOptions, wall: number) {
    const name = plain(options.name)
    const start = new Date(wall).toISOString().replace(/[-:.]/g, '')
    this.#options = { ...options, name }
    this.#run = `${start}-${name}-${randomBytes(4).toString('hex')}`
  }

  /** The file that is being written, or will be created with the first line. */
  get path(): string {
    return this.#pathOf(Math.max(1, this.#part))
  }

  /** Appends complete lines. `wall` is the current time in epoch ms. Throws if they cannot be written. */
  append(lines: string, wall: number): void {
    const { maxBytes, maxAgeMs } = this.#options
    const bytes = Buffer.byteLength(lines)
    const full = this.#bytes > 0 && this.#bytes + bytes > maxBytes
    if (this.#part === 0 || full || wall - this.#since >= maxAgeMs) this.#next(wall)
    const torn = this.#torn
    this.#torn = true
    this.#write(torn ? `\n${lines}` : lines)
    this.#torn = false
    this.#bytes += bytes
  }

  #next(wall: number): void {
    this.#part++
    this.#bytes = 0
    this.#since = wall
    this.#torn = false
    this.#sweep()
  }

  #write(text: string): void {
    const path = this.path
    try {
      appendFileSync(path, text)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      mkdirSync(this.#options.dir, { recursive: true })
      appendFileSync(path, text)
    }
  }

  /**
   * Deletes old files. Files of other runs are judged by the time of their last line, since another process may
   * still write them.
   */
  #sweep(): void {
    const { dir, name, keep, maxAgeMs } = this.#options
    for (const file of filesOf(dir)) {
      const found = parseFileName(file)
      if (found?.name !== name) continue
      const path = join(dir, file)
      const old =
        found.run === this.#run
          ? found.part <= this.#part - keep
          : Date.now() - lastWritten(path) > keep * maxAgeMs
      if (old) rmSync(path, { force: true })
    }
  }

  #pathOf(part: number): string {
    return join(this.#options.dir, `${this.#run}.${String(part).padStart(4, '0')}.jsonl`)
  }
}

function filesOf(dir: string): string[] {
  try {
    return readdirSync(dir)
  } catch {
    // The folder does not exist yet. If it cannot be read, the first write reports the error.
    return []
  }
}

/** Undefined if another process has just deleted the file. */
const lastWritten = (path: string) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Infinity
