// What targets have counted and learned, carried over a restart: a file that is written anew while calls go on.

import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { PoolSnapshot } from 'llmiter/pool'
import { isObject } from '../lib/validate.ts'

const EVERY_MS = 1000

/** By the name of a pool. */
export type SavedPools = Readonly<Record<string, PoolSnapshot>>

export class StateFile {
  readonly saved: SavedPools
  readonly #file: string
  readonly #owner: string
  readonly #snapshot: () => SavedPools
  #timer: NodeJS.Timeout | undefined
  #failed = false

  constructor(dir: string, snapshot: () => SavedPools) {
    makeFolder(dir)
    this.#file = join(dir, 'state.json')
    this.#snapshot = snapshot
    this.saved = read(this.#file)
    this.#owner = join(dir, 'gateway.pid')
    own(this.#owner, dir)
  }

  close(): void {
    this.write()
    if (ownerOf(this.#owner)?.pid === process.pid) rmSync(this.#owner, { force: true })
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
      this.#failed = false
    } catch (error) {
      // It is told once.
      if (!this.#failed)
        process.emitWarning(`llmiter gateway: ${this.#file} cannot be written: ${(error as Error).message}`)
      this.#failed = true
    }
  }
}

/** @throws TypeError when there can be no such folder. */
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
    // A gateway that begins anew is better than none.
    process.emitWarning(
      `llmiter gateway: ${file} cannot be read and is left out: ${(error as Error).message}`,
    )
    return {}
  }
}

interface Owner {
  readonly pid: number
  /** Another process may have got the number since. */
  readonly begun: string
}

/** When a process began, where the system tells it: in ticks since it was started. */
const begunAt = (pid: number): string => {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ')[21] ?? ''
  } catch {
    return ''
  }
}

function ownerOf(file: string): Owner | undefined {
  try {
    const { pid, begun } = JSON.parse(readFileSync(file, 'utf8')) as Owner
    return { pid, begun }
  } catch {
    return undefined
  }
}

function isAlive({ pid, begun }: Owner): boolean {
  try {
    process.kill(pid, 0)
    return begun === begunAt(pid)
  } catch {
    return false
  }
}

/** Two gateways with one folder would each spend all of a budget: whoever starts the second one is told. */
function own(file: string, dir: string): void {
  const other = ownerOf(file)
  if (other && other.pid !== process.pid && isAlive(other))
    process.emitWarning(
      `llmiter gateway: process ${other.pid} uses the folder ${dir}, too: limits and budgets hold for each of both alone. Give each gateway its own --state`,
    )
  try {
    writeFileSync(file, JSON.stringify({ pid: process.pid, begun: begunAt(process.pid) }), { mode: 0o600 })
  } catch {
    // A folder that cannot be written is told when it has something to keep.
  }
}
