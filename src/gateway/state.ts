// Saves what targets have counted and learned across restarts, in a file that is rewritten while calls continue.

import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { PoolSnapshot } from 'llmiter/pool'
import { isObject } from '../lib/validate.ts'
import { versionOf } from './file-version.ts'

const EVERY_MS = 1000

/** Snapshots by the name of a pool. */
export type SavedPools = Readonly<Record<string, PoolSnapshot>>

export class StateFile {
  readonly saved: SavedPools
  readonly #file: string
  readonly #snapshot: () => SavedPools
  #timer: NodeJS.Timeout | undefined
  /** The version of the file when it was last read or written. */
  #version: string
  #isShared = false
  #failed = false

  constructor(dir: string, snapshot: () => SavedPools) {
    makeFolder(dir)
    this.#file = join(dir, 'state.json')
    this.#snapshot = snapshot
    this.#version = versionOf(this.#file)
    this.saved = read(this.#file)
  }

  /** Something changed, so the file is written within a second. */
  touch(): void {
    this.#timer ??= setTimeout(() => this.write(), EVERY_MS).unref()
  }

  write(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#lookForOthers()
    try {
      const draft = `${this.#file}.${process.pid}`
      writeFileSync(draft, JSON.stringify({ version: 1, pools: { ...this.saved, ...this.#snapshot() } }), {
        mode: 0o600,
      })
      renameSync(draft, this.#file)
      this.#version = versionOf(this.#file)
      this.#failed = false
    } catch (error) {
      // Reported once.
      if (!this.#failed)
        process.emitWarning(`llmiter gateway: ${this.#file} cannot be written: ${(error as Error).message}`)
      this.#failed = true
    }
  }

  /** Two gateways with one folder would each spend the whole of a budget. Reported once. */
  #lookForOthers(): void {
    const version = versionOf(this.#file)
    if (this.#isShared || version === '' || version === this.#version) return
    this.#isShared = true
    process.emitWarning(
      `llmiter gateway: another process has written ${this.#file}: the two gateways do not share limits and budgets. Give each its own --state`,
    )
  }
}

/** @throws TypeError when the folder cannot be created. */
function makeFolder(dir: string): void {
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 })
  } catch (error) {
    throw new TypeError(`state: the folder ${dir} cannot be made: ${(error as Error).message}`, {
      cause: error,
    })
  }
}

function read(file: string): SavedPools {
  if (!existsSync(file)) return {}
  try {
    const { pools } = JSON.parse(readFileSync(file, 'utf8')) as { pools?: unknown }
    return isObject(pools) ? (pools as SavedPools) : {}
  } catch (error) {
    // A gateway with no history is better than none.
    process.emitWarning(
      `llmiter gateway: ${file} cannot be read and is left out: ${(error as Error).message}`,
    )
    return {}
  }
}
