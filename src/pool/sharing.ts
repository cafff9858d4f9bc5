// Calls that need not be sent: identical ones in flight share one answer (`coalesce`), and an answer may be kept for a
// while (`cache`). Both are off by default. Tenants share nothing, unless it is said.

import type { Clock, Duration } from 'llmiter'
import { watch } from '../lib/abort.ts'
import { duration } from '../lib/duration.ts'
import { isStream } from '../lib/observe-stream.ts'
import { choice, fields, given, number } from '../lib/validate.ts'
import { canonical } from './canonical.ts'
import type { PoolCall } from './pool-call.ts'

/** How answers are kept for identical calls. */
export interface CacheOptions {
  /** The least recently used answers go when all take more, counted as UTF-16 of their JSON. */
  readonly maxBytes: number
  /** How long an answer is kept. */
  readonly ttl: Duration
  /** Whether one tenant may get the answer of another. Default false. */
  readonly acrossTenants?: boolean
}

/** Calls that needed no request of their own. */
export interface SharingStats {
  /** Calls that got the answer of another one that was in flight. */
  coalesced: number
  /** Calls that were answered from the cache. */
  cached: number
  /** Calls of `pool.batched` that went in one request with others. */
  batched: number
  /** What the kept answers take. */
  cacheBytes: number
}

interface Kept {
  readonly value: unknown
  readonly bytes: number
  readonly until: number
}

/** A result that can be read once belongs to one caller. */
const isSingle = (value: unknown) =>
  isStream(value) || (typeof Response === 'function' && value instanceof Response)

export class Sharing {
  readonly stats: SharingStats = { coalesced: 0, cached: 0, batched: 0, cacheBytes: 0 }
  readonly #clock: Clock
  readonly #coalesces: boolean
  readonly #maxBytes: number
  readonly #ttlMs: number
  readonly #acrossTenants: boolean
  readonly #flying = new Map<string, Promise<{ readonly value: unknown } | undefined>>()
  /** The least recently used first. */
  readonly #kept = new Map<string, Kept>()

  constructor(coalesce: boolean, cache: CacheOptions | undefined, clock: Clock) {
    this.#clock = clock
    this.#coalesces = coalesce
    this.#maxBytes = cache?.maxBytes ?? 0
    this.#ttlMs = cache ? duration(cache.ttl, 'cache.ttl') : 0
    this.#acrossTenants = cache?.acrossTenants ?? false
  }

  /** The answer of an identical call, or else of this one. */
  async run(call: PoolCall, send: () => Promise<unknown>): Promise<unknown> {
    const key = call.share === false ? undefined : keyOf(call)
    if (key === undefined) return send()
    const own = JSON.stringify(call.tenant ?? null) + key
    const kept = this.#find(this.#acrossTenants ? key : own)
    if (kept) {
      this.stats.cached++
      return structuredClone(kept.value)
    }
    const flying = this.#coalesces ? this.#flying.get(own) : undefined
    if (flying) {
      const found = await until(flying, call.signal)
      if (found) {
        this.stats.coalesced++
        return found.value
      }
      // The other one was given up, or its answer can be read once only.
      return this.run(call, send)
    }
    return this.#lead(own, this.#acrossTenants ? key : own, call, send)
  }

  async #lead(key: string, cacheKey: string, call: PoolCall, send: () => Promise<unknown>): Promise<unknown> {
    const answer = send()
    const shared = answer.then(
      (value) => (isSingle(value) ? undefined : { value }),
      // Its own caller has given it up, or would wait no longer: that is not the answer of others.
      (error: unknown) => {
        if (call.signal?.aborted || call.maxWaitMs !== undefined) return undefined
        throw error
      },
    )
    shared.catch(() => {})
    this.#flying.set(key, shared)
    try {
      const value = await answer
      if (!isSingle(value)) this.#keep(cacheKey, value)
      return value
    } finally {
      this.#flying.delete(key)
    }
  }

  #find(key: string): Kept | undefined {
    const found = this.#kept.get(key)
    if (!found) return undefined
    this.#kept.delete(key)
    if (found.until > this.#clock.now()) this.#kept.set(key, found)
    else this.stats.cacheBytes -= found.bytes
    return this.#kept.get(key)
  }

  #keep(key: string, answer: unknown): void {
    if (this.#maxBytes === 0) return
    let value: unknown
    let bytes: number
    try {
      value = structuredClone(answer)
      bytes = 2 * (key.length + (JSON.stringify(value) ?? '').length)
    } catch {
      return // It cannot be copied, so it cannot be kept.
    }
    if (bytes > this.#maxBytes) return
    this.#drop(key)
    this.#kept.set(key, { value, bytes, until: this.#clock.now() + this.#ttlMs })
    this.stats.cacheBytes += bytes
    for (const oldest of this.#kept.keys()) {
      if (this.stats.cacheBytes <= this.#maxBytes) break
      this.#drop(oldest)
    }
  }

  #drop(key: string): void {
    this.stats.cacheBytes -= this.#kept.get(key)?.bytes ?? 0
    this.#kept.delete(key)
  }
}

/** Waits for the answer of another call, but no longer than its own caller does. */
function until<T>(answer: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return answer
  return new Promise((resolve, reject) => {
    const unwatch = watch(signal, () => reject(signal.reason))
    answer.then(resolve, reject).finally(unwatch)
  })
}

/** What makes calls identical: all of the request, the model and the target. Undefined: it cannot be told. */
function keyOf({ request, model, target }: PoolCall): string | undefined {
  return request === undefined ? undefined : canonical([target ?? null, model ?? null, request])
}

export function parseSharing(
  coalesce: boolean | undefined,
  cache: CacheOptions | undefined,
): ((clock: Clock) => Sharing) | undefined {
  given(coalesce, (value) => choice(value, 'coalesce', [true, false]))
  if (cache) {
    fields(cache, 'cache', ['maxBytes', 'ttl', 'acrossTenants'])
    number(cache.maxBytes, 'cache.maxBytes', 'a whole number of at least 1')
    duration(cache.ttl, 'cache.ttl')
    given(cache.acrossTenants, (value) => choice(value, 'cache.acrossTenants', [true, false]))
  }
  return coalesce || cache ? (clock) => new Sharing(coalesce ?? false, cache, clock) : undefined
}
