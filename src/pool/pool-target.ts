// Where the calls of a pool may go.

import type { BucketRateLimiter } from 'llmiter'
import type { BreakerOptions } from './breaker.ts'

/** A key, a model or a provider: whatever has limits of its own. Add fields of your own; `run` hands them back. */
export interface PoolTarget {
  /** Its name in errors, events and statistics. */
  readonly name: string
  /** The limits of this target. */
  readonly limiter: BucketRateLimiter
  /** Its share among targets of its tier that have room. Default 1; 0 gives it nothing. */
  readonly weight?: number
  /** Tiers are tried in order, the lowest first. Default 1. */
  readonly tier?: number
  /** The model that it asks, for prices. Default: the one that the call or its request names. */
  readonly model?: string
  /** Its own circuit breaker; `false`: none. Default: that of the pool. */
  readonly breaker?: BreakerOptions | false
}
