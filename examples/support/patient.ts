/**
 * Decides how long a call of the provider is worth waiting for: a set number of tries, with waits of 8, 16, 32 and 64 s
 * after refusals and failures alike, and then one error that says so.
 */
import { BucketRateLimiter, type LimiterOptions } from 'llmiter'

/** The provider was asked as often as was set. `cause` is what it said last. */
export class ProviderGaveUp extends Error {
  override name = 'ProviderGaveUp'
}

export interface Patience {
  /** Tries in all. */
  tries: number
  /** A second, in ms. */
  secondMs: number
}

export function patient<A extends unknown[], R>(
  call: (...args: A) => Promise<R>,
  options: LimiterOptions,
  { tries, secondMs }: Patience,
): (...args: A) => Promise<R> {
  const waits = { minMs: 8 * secondMs, maxMs: 64 * secondMs, factor: 2, jitter: 0 }
  const limiter = new BucketRateLimiter({
    // After a refusal all wait, and one call asks again.
    recovery: waits,
    // After another failure (5xx, connection lost) the one that has failed does.
    retry: { ...waits, attempts: tries },
    // The end of our patience is no refusal, whatever its cause was.
    classify: (outcome) => ('error' in outcome && outcome.error instanceof ProviderGaveUp ? 'ok' : undefined),
    ...options,
  })
  return (...args) => {
    let made = 0
    const attempt = async (): Promise<R> => {
      made++
      try {
        return await call(...args)
      } catch (error) {
        if (made < tries) throw error
        const { message } = error as Error
        throw new ProviderGaveUp(
          `'${limiter.name}' has not answered in ${tries} tries; the last said: ${message}`,
          {
            cause: error,
          },
        )
      }
    }
    return limiter.run(attempt)
  }
}
