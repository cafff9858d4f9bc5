// The limiter that functions share whose user named none. It lives on `globalThis`, so that the ESM and the CJS
// copy of the package share it too.

import { BucketRateLimiter } from './limiter.ts'
import type { LimiterOptions } from './options.ts'

const KEY = Symbol.for('llmiter.default')
type Global = typeof globalThis & { [KEY]?: BucketRateLimiter }

export function defaultLimiter(): BucketRateLimiter {
  return ((globalThis as Global)[KEY] ??= new BucketRateLimiter({ name: 'default', requestsPerMinute: 300 }))
}

/**
 * Sets the options of the limiter that is shared by all functions wrapped without one: 300 requests a minute unless
 * you say otherwise. Calls that wait already follow the new options.
 */
export function configureDefaultLimiter(
  options: Partial<Omit<LimiterOptions, 'name' | 'parent' | 'clock'>>,
): BucketRateLimiter {
  const limiter = defaultLimiter()
  limiter.update(options)
  return limiter
}
