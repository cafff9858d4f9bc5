// The keys that the gateway gives to programs. Only their hashes are kept. The file is looked at again when it changes, so
// that a key is revoked without a restart.

import { randomBytes, timingSafeEqual } from 'node:crypto'
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { BucketRateLimiter } from 'llmiter'
import type { BudgetOptions } from 'llmiter/pool'
import { parseBudgets } from '../pool/budgets.ts'
import type { TargetLimits } from './options.ts'
import { sha256 } from './secrets.ts'

/** A key as it is kept. Times are epoch ms. */
export interface StoredKey {
  readonly id: string
  readonly name: string
  /** SHA-256 of the whole key, in hex. */
  readonly hash: string
  readonly createdAt: number
  readonly expiresAt?: number
  readonly revokedAt?: number
  readonly limits?: TargetLimits
  readonly budgets?: readonly BudgetOptions[]
}

const PREFIX = 'llmiter'
const ID_BYTES = 6
const SECRET_BYTES = 32
/** A change of the file is seen after so long. */
const LOOK_MS = 250

/** @throws TypeError when the limits or the budgets of a key are wrong. */
export function checkKey({ limits, budgets }: Pick<StoredKey, 'limits' | 'budgets'>): void {
  parseBudgets(budgets)
  if (limits) new BucketRateLimiter({ name: 'key', ...limits }).stop()
}

export class KeyRing {
  readonly #file: string
  #keys = new Map<string, StoredKey>()
  #lookedAt = -Infinity
  #version = ''

  constructor(dir: string) {
    this.#file = join(dir, 'keys.json')
    this.#look(0)
  }

  /** Whether programs need a key: there is one, or was. */
  get used(): boolean {
    this.#look(Date.now())
    return this.#keys.size > 0
  }

  get all(): readonly StoredKey[] {
    return [...this.#keys.values()]
  }

  /** The key that somebody has come with, if it is one of ours and still holds. */
  find(key: string | undefined, now: number): StoredKey | undefined {
    this.#look(now)
    const id = /^llmiter_([\w-]{8})_[\w-]{43}$/.exec(key ?? '')?.[1]
    const found = id === undefined ? undefined : this.#keys.get(id)
    if (!found || found.revokedAt !== undefined) return undefined
    if (found.expiresAt !== undefined && now >= found.expiresAt) return undefined
    return timingSafeEqual(sha256(key!), Buffer.from(found.hash, 'hex')) ? found : undefined
  }

  /** Makes a key. It is told here, and never again. */
  add(more: Omit<StoredKey, 'id' | 'hash' | 'createdAt'>): { key: string; stored: StoredKey } {
    const id = randomBytes(ID_BYTES).toString('base64url')
    const key = `${PREFIX}_${id}_${randomBytes(SECRET_BYTES).toString('base64url')}`
    const stored: StoredKey = { id, hash: sha256(key).toString('hex'), createdAt: Date.now(), ...more }
    this.#change((all) => [...all, stored])
    return { key, stored }
  }

  /** Returns what was revoked: by id or by name. */
  revoke(which: string): StoredKey[] {
    const meant = ({ id, name, revokedAt }: StoredKey) =>
      revokedAt === undefined && (id === which || name === which)
    let found: StoredKey[] = []
    this.#change((all) => {
      found = all.filter(meant)
      return all.map((one) => (meant(one) ? { ...one, revokedAt: Date.now() } : one))
    })
    return found
  }

  #look(now: number): void {
    if (now - this.#lookedAt < LOOK_MS) return
    this.#lookedAt = now
    if (!existsSync(this.#file)) return
    const { mtimeMs, size, ino } = statSync(this.#file)
    const version = `${mtimeMs} ${size} ${ino}`
    if (version === this.#version) return
    const first = this.#version === ''
    this.#version = version
    try {
      this.#keys = new Map(keysIn(this.#file).map((one) => [one.id, one]))
    } catch (error) {
      if (first) throw error
      process.emitWarning(`llmiter gateway: the keys stay as they were: ${(error as Error).message}`)
    }
  }

  /** One process at a time: what another one has just written is read first. */
  #change(to: (keys: readonly StoredKey[]) => readonly StoredKey[]): void {
    mkdirSync(join(this.#file, '..'), { recursive: true, mode: 0o700 })
    const unlock = lock(`${this.#file}.lock`)
    try {
      this.#look(Infinity)
      const draft = `${this.#file}.${process.pid}`
      const text = JSON.stringify({ version: 1, keys: to(this.all) }, undefined, 2)
      writeFileSync(draft, `${text}\n`, { mode: 0o600 })
      renameSync(draft, this.#file)
    } finally {
      unlock()
    }
    this.#lookedAt = -Infinity
    this.#look(Date.now())
  }
}

const LOCKED_MS = 10
/** Nobody holds a lock for so long: who left it there was killed. */
const STALE_MS = 5000

/** Waits until no other process has the lock. Returns what gives it back. */
function lock(file: string): () => void {
  for (;;) {
    try {
      closeSync(openSync(file, 'wx', 0o600))
      return () => rmSync(file, { force: true })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    const age = Date.now() - (statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? Date.now())
    // A clock that was set back makes it older than now.
    if (Math.abs(age) > STALE_MS) rmSync(file, { force: true })
    else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LOCKED_MS)
  }
}

/** @throws TypeError when it is no file of keys. */
function keysIn(file: string): StoredKey[] {
  try {
    const { keys } = JSON.parse(readFileSync(file, 'utf8')) as { keys: StoredKey[] }
    if (keys.some(({ id, hash }) => typeof id !== 'string' || !/^[\da-f]{64}$/.test(hash)))
      throw new TypeError('a key has no id or no hash')
    return keys
  } catch (error) {
    throw new TypeError(`${file} cannot be read: ${(error as Error).message}`, { cause: error })
  }
}
