// What targets have counted and learned, carried over a restart: a file that is written anew while calls go on.

import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { PoolSnapshot } from 'llmiter/pool'

const EVERY_MS = 1000

/** By the name of a pool. */
export type SavedPools = Readonly<Record<string, PoolSnapshot>>

export class StateFile {
  readonly saved: SavedPools
  readonly #file: string
  readonly #snapshot: () => SavedPools
  #timer: NodeJS.Timeout | undefined

  constructor(dir: string, snapshot: () => SavedPools) {
    mkdirSync(dir, { recursive: true, mode: 0o700 })
    this.#file = join(dir, 'state.json')
    this.#snapshot = snapshot
    this.saved = read(this.#file)
  }

  /** Something has happened: it will be written within a second. */
  touch(): void {
    this.#timer ??= setTimeout(() => this.write(), EVERY_MS).unref()
  }

  write(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    try {
      const draft = `${this.#file}.${process.pid}`
      writeFileSync(draft, JSON.stringify({ version: 1, pools: { ...this.saved, ...this.#snapshot() } }), {
        mode: 0o600,
      })
      renameSync(draft, this.#file)
    } catch (error) {
      process.emitWarning(`llmiter gateway: ${this.#file} cannot be written: ${(error as Error).message}`)
    }
  }
}

function read(file: string): SavedPools {
  if (!existsSync(file)) return {}
  try {
    return (JSON.parse(readFileSync(file, 'utf8')) as { pools?: SavedPools }).pools ?? {}
  } catch (error) {
    // A gateway that begins anew is better than none.
    process.emitWarning(
      `llmiter gateway: ${file} cannot be read and is left out: ${(error as Error).message}`,
    )
    return {}
  }
}
