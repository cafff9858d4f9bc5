// The keys that the gateway issues to programs. Only their hashes are stored. The file is read again when it
// changes, so that keys can be revoked without a restart. It is append-only with one line per change, and the last
// line of an id applies. So processes that write at the same time need no lock.

import { randomBytes, timingSafeEqual } from 'node:crypto'
import { appendFileSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { BucketRateLimiter } from 'llmiter'
import type { BudgetOptions } from 'llmiter/pool'
import { parseBudgets } from '../pool/budgets.ts'
import { versionOf } from './file-version.ts'
import type { TargetLimits } from './options.ts'
import { sha256 } from './secrets.ts'

/** A stored key. Times are epoch ms. */
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
/** How long it takes to notice a change of the file. */
const LOOK_MS = 250

/** @throws TypeError when the limits or the budgets of a key are wrong. */
export function checkKey({ limits, budgets }: Pick<StoredKey, 'limits' | 'budgets'>): void {
  parseBudgets(budgets)
  if (limits) new BucketRateLimiter({ name: 'key', ...limits }).stop()
}

export class KeyRing {
  readonly #dir: string
  readonly #file: string
  #keys = new Map<string, StoredKey>()
  #lookedAt = -Infinity
  #version = ''

  constructor(dir: string) {
    this.#dir = dir
    this.#file = join(dir, 'keys.jsonl')
    this.#read()
  }

  /** Whether programs need a key: one exists or has existed. */
  get used(): boolean {
    this.#look(Date.now())
    return this.#keys.size > 0
  }

  get all(): readonly StoredKey[] {
    return [...this.#keys.values()]
  }

  /** The stored key that matches the client's key, if it is still valid. */
  find(key: string | undefined, now: number): StoredKey | undefined {
    this.#look(now)
    const id = /^llmiter_([\w-]{8})_[\w-]{43}$/.exec(key ?? '')?.[1]
    const found = id === undefined ? undefined : this.#keys.get(id)
    if (!found || found.revokedAt !== undefined) return undefined
    if (found.expiresAt !== undefined && now >= found.expiresAt) return undefined
    return timingSafeEqual(sha256(key!), Buffer.from(found.hash, 'hex')) ? found : undefined
  }

  /** Creates a key. The key itself is returned only here. */
  add(more: Omit<StoredKey, 'id' | 'hash' | 'createdAt'>): { key: string; stored: StoredKey } {
    const id = randomBytes(ID_BYTES).toString('base64url')
    const key = `${PREFIX}_${id}_${randomBytes(SECRET_BYTES).toString('base64url')}`
    const stored: StoredKey = { id, hash: sha256(key).toString('hex'), createdAt: Date.now(), ...more }
    this.#append([stored])
    return { key, stored }
  }

  /** Revokes keys by id or name. Returns the revoked keys. */
  revoke(which: string): StoredKey[] {
    this.#read()
    const found = this.all.filter(
      ({ id, name, revokedAt }) => revokedAt === undefined && (id === which || name === which),
    )
    this.#append(found.map((one) => ({ ...one, revokedAt: Date.now() })))
    return found
  }

  #look(now: number): void {
    if (now - this.#lookedAt < LOOK_MS) return
    this.#lookedAt = now
    try {
      this.#read()
    } catch (error) {
      process.emitWarning(`llmiter gateway: the keys stay as they were: ${(error as Error).message}`)
    }
  }

  #read(): void {
    const version = versionOf(this.#file)
    if (version === '' || version === this.#version) return
    this.#version = version
    this.#keys = new Map(keysIn(this.#file).map((one) => [one.id, one]))
  }

  #append(keys: readonly StoredKey[]): void {
    mkdirSync(this.#dir, { recursive: true, mode: 0o700 })
    appendFileSync(this.#file, keys.map((key) => `${JSON.stringify(key)}\n`).join(''), { mode: 0o600 })
    this.#read()
  }
}

/** @throws TypeError when it is not a file of keys. */
function keysIn(file: string): StoredKey[] {
  const lines = readFileSync(file, 'utf8').split('\n')
  return lines.flatMap((line, i) => (line.trim() ? [keyIn(line, `${file}, line ${i + 1}`)] : []))
}

function keyIn(line: string, where: string): StoredKey {
  try {
    const key = JSON.parse(line) as StoredKey
    if (typeof key.id !== 'string' || !/^[\da-f]{64}$/.test(key.hash))
      throw new TypeError('a key has no id or no hash')
    return key
  } catch (error) {
    throw new TypeError(`${where} cannot be read: ${(error as Error).message}`, { cause: error })
  }
}
