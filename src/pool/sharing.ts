// Calls that do not need to be sent: identical calls in flight share one answer (`coalesce`), and answers may be
// kept for a while (`cache`). Both are off by default. Tenants share nothing by default.

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
  /**
   * The maximum size of all kept answers, as UTF-16 bytes of their JSON. The least recently used are dropped
   * first.
   */
  readonly maxBytes: number
  /** How long an answer is kept. */
  readonly ttl: Duration
  /**
   * Whether a tenant may get the answer of another tenant.
   * @default false
   */
  readonly acrossTenants?: boolean
}

/** Calls that needed no request of their own. */
export interface SharingStats {
  /** Calls that got the answer of another call in flight. */
  coalesced: number
  /** Calls that were answered from the cache. */
  cached: number
  /** Calls of `pool.batched` that shared a request with other calls. */
  batched: number
  /** The size of the cached answers in bytes. */
  cacheBytes: number
}

/** A result that can be read only once belongs to one caller. */
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
  /** Counted by the code that bundles requests. */
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

  /** Returns the answer of an identical call, or else sends this one. */
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
    // A nested call is always sent: the answer it would wait for may in turn wait for the enclosing call.
    const flying = this.#coalesces && !isWithin(call) ? this.#flying.get(own) : undefined
    if (flying) {
      const found = await until(flying, call.signal)
      if (found) {
        this.#coalesced++
        return found.value
      }
      // The other call was aborted, or its answer can be read only once.
      return this.run(call, send)
    }
    return this.#lead(own, this.#acrossTenants ? key : own, call, send)
  }

  async #lead(key: string, cacheKey: string, call: PoolCall, send: () => Promise<unknown>): Promise<unknown> {
    const answer = send()
    const shared = answer.then(
      (value) => (isSingle(value) ? undefined : { value }),
      // Its own caller aborted it or stopped waiting, which must not affect the others.
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
      // It cannot be copied, so it is not cached.
    }
  }
}

/** Waits for the answer of another call until its own signal aborts. */
function until<T>(answer: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return answer
  return new Promise((resolve, reject) => {
    const unwatch = watch(signal, () => reject(signal.reason))
    answer.then(resolve, reject).finally(unwatch)
  })
}

/**
 * The key for identical calls: the whole request, the model and the target. Undefined: the call cannot be
 * compared.
 */
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
