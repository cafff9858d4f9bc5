// Where the lines of a log go: which file, when the next one begins, and which old ones go.
//
// A run is one log from its start to its end. Its files carry the time of that start, the name of the log and an
// id by chance, so that the newest run is the last by name, and no two processes write into one file (their pids
// may be the same: each container has a process 1).
//
// Lines are written at once, not by the event loop: there is one short write a second, 30 µs, and a write that is
// on its way when the process ends would be lost, or half there. The file is opened anew for each, so it may be
// moved or removed meanwhile.

import { randomBytes } from 'node:crypto'
import { appendFileSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'

export interface FileOptions {
  dir: string
  /** What the log is of: a limiter, a service, a program. */
  name: string
  /** A file that would grow beyond this, or is older, is followed by the next. */
  maxBytes: number
  maxAgeMs: number
  /** How many files of this run stay; and those of earlier runs stay so many times `maxAgeMs`. */
  keep: number
}

/** What the name of a file tells. */
export interface FileName {
  /** The same for all files of a run; runs in the order of their starts. */
  run: string
  name: string
  part: number
}

const FILE = /^((\d{8}T\d{9}Z)-(.+)-[0-9a-f]{8})\.(\d{4,})\.jsonl$/

/** Undefined when the file is not one of a log. */
export function parseFileName(file: string): FileName | undefined {
  const found = FILE.exec(file)
  return found ? { run: found[1]!, name: found[3]!, part: Number(found[4]) } : undefined
}

/** As much of a name as every file system takes. */
export const plain = (name: string) => name.replace(/[^\p{L}\p{N}._-]+/gu, '_').slice(0, 60) || '_'

export class LogFile {
  readonly #options: FileOptions
  readonly #run: string
  #part = 0
  #bytes = 0
  #since = 0
  /** The last write failed, perhaps in the middle of a line. */
  #torn = false

  /** A log that begins at this moment, in epoch ms. */
  constructor(options: FileOptions, wall: number) {
    const name = plain(options.name)
    const start = new Date(wall).toISOString().replace(/[-:.]/g, '')
    this.#options = { ...options, name }
    this.#run = `${start}-${name}-${randomBytes(4).toString('hex')}`
  }

  /** The file that is written now, or will be with the first line. */
  get path(): string {
    return this.#pathOf(Math.max(1, this.#part))
  }

  /** Adds whole lines at this moment, in epoch ms. Throws when they cannot be written. */
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

  /** Removes what is too old. Others' files by the time of their last line, since others may still write. */
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
    // Not made yet; and if it cannot be read, the first line that cannot be written will say so.
    return []
  }
}

/** Another process may have removed it a moment ago. */
const lastWritten = (path: string) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Infinity
