// The targets of a pool.

import type { BucketRateLimiter } from 'llmiter'
import { text } from '../lib/validate.ts'
import type { BreakerOptions } from './breaker.ts'

/**
 * Anything with its own limits: a key, a model or a provider. Extra fields are allowed, and `run` passes them
 * back.
 */
export interface PoolTarget {
  /** Its name in errors, events and statistics. */
  readonly name: string
  /** The limits of this target. */
  readonly limiter: BucketRateLimiter
  /**
   * Its share among the targets of its tier that have room. 0 gives it no calls.
   * @default 1
   */
  readonly weight?: number
  /**
   * Tiers are tried in order, the lowest first.
   * @default 1
   */
  readonly tier?: number
  /**
   * The model that the target serves, for prices.
   * @default the model that the call or its request names
   */
  readonly model?: string
  /**
   * Its own circuit breaker. `false` disables it.
   * @default the breaker of the pool
   */
  readonly breaker?: BreakerOptions | false
}

/** @throws TypeError that names the known targets. */
export function indexOf(targets: readonly PoolTarget[], name: unknown): number {
  const index = targets.findIndex((target) => target.name === name)
  if (index >= 0) return index
  const known = targets.map((target) => target.name).join(', ')
  throw new TypeError(`the pool has no target ${text(name)}; known: ${known}`)
}
