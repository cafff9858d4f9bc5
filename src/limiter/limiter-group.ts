// A group of limiters, including limiters that are created later.

import { text } from '../lib/validate.ts'
import type { BucketRateLimiter } from './bucket-rate-limiter.ts'
import type { EventName, LimiterEvent } from './events.ts'
import type { LimiterStats } from './limiter-stats.ts'

/** The limiters of a service or of a limited client. */
export interface LimiterGroup {
  /** All limiters created so far. */
  limiters(): BucketRateLimiter[]
  /**
   * Calls the listener with each limiter, immediately for existing ones and on creation for later ones. Returns a
   * function that removes the listener.
   */
  onLimiter(listener: (limiter: BucketRateLimiter) => void): () => void
  /** The statistics of each limiter, by its name. */
  stats(): Record<string, LimiterStats>
  /** Listens to an event of all limiters, including later ones. Returns a function that removes the listener. */
  on<E extends EventName>(event: E, listener: (event: LimiterEvent<E>) => void): () => void
  /** Resolves when no limiter has a call waiting or in flight. */
  drain(): Promise<void>
  /** Stops all limiters created so far. */
  stop(reason?: unknown): void
}

/** Creates a group, with a function that adds a limiter to it. For your own service. */
export function limiterGroup(...first: BucketRateLimiter[]): {
  group: LimiterGroup
  add: (limiter: BucketRateLimiter) => void
} {
  const all = new Set(first)
  const listeners = new Set<(limiter: BucketRateLimiter) => void>()
  const onLimiter: LimiterGroup['onLimiter'] = (listener) => {
    // The listener may throw here, to the code that added it, but not later into a call.
    for (const limiter of all) listener(limiter)
    const show = (limiter: BucketRateLimiter) => {
      try {
        listener(limiter)
      } catch (error) {
        limiter.report(error, 'listener of onLimiter')
      }
    }
    listeners.add(show)
    return () => void listeners.delete(show)
  }
  const add = (limiter: BucketRateLimiter) => {
    if (all.has(limiter)) return
    all.add(limiter)
    for (const show of listeners) show(limiter)
  }
  const group: LimiterGroup = {
    limiters: () => [...all],
    onLimiter,
    stats: () => Object.fromEntries([...all].map((limiter) => [limiter.name, limiter.stats()])),
    on(event, listener) {
      const offs: (() => void)[] = []
      offs.push(onLimiter((limiter) => void offs.push(limiter.on(event, listener))))
      return () => offs.forEach((off) => off())
    },
    async drain() {
      await Promise.all([...all].map((limiter) => limiter.drain()))
    },
    stop: (reason) => all.forEach((limiter) => limiter.stop(reason)),
  }
  return { group, add }
}

/** The key under which limited clients hold their limiters. The same in all copies of the package. */
const LIMITED = Symbol.for('llmiter.limited')

/**
 * The limiters of a client returned by `limitOpenAI` and the like, by `limitFetch`, or by `limiterMiddleware`.
 *
 * @example
 * const openai = limitOpenAI(new OpenAI(), { requestsPerMinute: 500 })
 * const limiters = limitersOf(openai)
 * limiters.on('refuse', ({ limiter, verdict }) => console.warn(limiter, verdict.reason))
 * console.log(limiters.stats())
 *
 * @throws TypeError when the client has no limiter.
 */
export function limitersOf(client: object): LimiterGroup {
  const group = (Object(client) as { [LIMITED]?: LimiterGroup })[LIMITED]
  if (!group)
    throw new TypeError(
      `limitersOf needs a limited client, the one that limitOpenAI(client, …) returns, got ${text(client)}`,
    )
  return group
}
