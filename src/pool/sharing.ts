// Calls that need not be sent: identical ones in flight share one answer (`coalesce`), and an answer may be kept for a
// while (`cache`). Both are off by default. Tenants share nothing by default.

import type { Clock, Duration } from 'llmiter'
import { watch } from '../lib/abort.ts'
import { ByteCache } from '../lib/byte-cache.ts'
import { duration } from '../lib/duration.ts'
import { isStream } from '../lib/observe-stream.ts'
import { choice, fields, given, number } from '../lib/validate.ts'
import { isWithin } from './call-within.ts'
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

/** A result that can be read once belongs to one caller. */
const isSingle = (value: unknown) =>
  isStream(value) || (typeof Response === 'function' && value instanceof Response)

export class Sharing {
  readonly #clock: Clock
  readonly #coalesces: boolean
  readonly #ttlMs: number
  readonly #acrossTenants: boolean
  readonly #flying = new Map<string, Promise<{ readonly value: unknown } | undefined>>()
  readonly #kept: ByteCache<{ readonly value: unknown }> | undefined
  #coalesced = 0
  #cached = 0
  /** Counted by those who bundle requests. */
  batched = 0

  constructor(coalesce: boolean, cache: CacheOptions | undefined, clock: Clock) {
    this.#clock = clock
    this.#coalesces = coalesce
    this.#kept = cache && new ByteCache(cache.maxBytes)
    this.#ttlMs = cache ? duration(cache.ttl, 'cache.ttl') : 0
    this.#acrossTenants = cache?.acrossTenants ?? false
  }

  get stats(): SharingStats {
    const { batched } = this
    return { coalesced: this.#coalesced, cached: this.#cached, batched, cacheBytes: this.#kept?.bytes ?? 0 }
  }

  /** The answer of an identical call, or else of this one. */
  async run(call: PoolCall, send: () => Promise<unknown>): Promise<unknown> {
    const mayShare = (this.#coalesces || this.#kept) && call.share !== false
    const key = mayShare ? keyOf(call) : undefined
    if (key === undefined) return send()
    const own = JSON.stringify(call.tenant ?? null) + key
    const kept = this.#kept?.get(this.#acrossTenants ? key : own, this.#clock.now())
    if (kept) {
      this.#cached++
      return structuredClone(kept.value)
    }
    // A call within another call is sent: the answer that it would wait for may wait for the call around it.
    const flying = this.#coalesces && !isWithin(call) ? this.#flying.get(own) : undefined
    if (flying) {
      const found = await until(flying, call.signal)
      if (found) {
        this.#coalesced++
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

  #keep(key: string, answer: unknown): void {
    if (!this.#kept) return
    try {
      const value: unknown = structuredClone(answer)
      const bytes = 2 * (key.length + (JSON.stringify(value) ?? '').length)
      this.#kept.set(key, { value }, bytes, this.#clock.now() + this.#ttlMs)
    } catch {
      // It cannot be copied, so it cannot be kept.
    }
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
  if (cache !== undefined) {
    fields(cache, 'cache', ['maxBytes', 'ttl', 'acrossTenants'])
    number(cache.maxBytes, 'cache.maxBytes', 'a whole number of at least 1')
    duration(cache.ttl, 'cache.ttl')
    given(cache.acrossTenants, (value) => choice(value, 'cache.acrossTenants', [true, false]))
  }
  return coalesce || cache ? (clock) => new Sharing(coalesce ?? false, cache, clock) : undefined
}
