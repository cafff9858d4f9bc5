// A job of many calls: `llmiter/batch`. Items in, results out, at the limiter's pace, in bounded memory.
//
// The limiter says when a call goes; this says how many calls may stand in its line. Few are enough to keep it busy:
// so items are read when they are needed, a hundred ahead, and not at all while a thousand results wait for whoever
// reads them. How many are in flight follows from the pace and from how long calls take; nobody has to guess it.

import type { BucketRateLimiter, CallOptions, LimitedService } from 'llmiter'
import { checked } from './options.ts'
import { Batch } from './run.ts'
import type { Progress } from './progress.ts'

export type { Progress } from './progress.ts'

export interface BatchOptions<T, K = number> {
  /** Whose pace holds. Of a service, the limiter of each item's `model`. */
  limiter: BucketRateLimiter | LimitedService
  model?: (item: T, index: number) => string | undefined
  /** Cost, priority, tenant and so on of an item's call. Its signal gives up that call alone. */
  call?: CallOptions | ((item: T, index: number) => CallOptions)
  /**
   * How many calls may be begun and not over, those in line too. Default: 100 in line, any number in flight; a
   * limiter whose `queue.max` is less needs a number here. `Infinity` begins as many as there are.
   */
  concurrency?: number
  /** Results in the order of the items. Default false: as they come. */
  ordered?: boolean
  /** Throws the first error, after the results that are over, and gives up the rest. Default false: an error is a result. */
  stopOnError?: boolean
  /** What an item is called in its result, and in `skip`. Default: its index. */
  key?: (item: T, index: number) => K
  /** Keys of items that are not to be run, as of an earlier run that broke off: a Set, a Map, or your own. */
  skip?: { has(key: K): boolean }
  /** Gives the job up: it hands out the results that are over, and throws the signal's reason. */
  signal?: AbortSignal
  /** Told after each item. */
  onProgress?: (progress: Progress) => void
  /** How many items there are, for `etaMs`. Default: their `length` or `size`. */
  total?: number
}

export type BatchResult<T, R, K = number> = { index: number; key: K; item: T } & (
  { ok: true; value: R } | { ok: false; error: unknown }
)

/**
 * Runs `fn` for each item at the limiter's pace. Nothing is run before the first result is asked for; to leave the
 * loop early gives up the calls that are not over.
 *
 * Items that cannot be read any further (their iterator throws) end the job with that error, after the results of
 * those that were read.
 *
 * When the provider says that the quota is used up, or the limiter is stopped, no later item could have its turn: the job
 * ends with `QuotaExhaustedError` or `LimiterStoppedError`, after the results of all that were sent. Its message tells
 * how many were not tried; another run goes on with them, by `skip`.
 *
 * @example
 * for await (const result of runAll(prompts, ask, { limiter: gpt, skip: done })) {
 *   if (result.ok) save(result.key, result.value)
 *   else console.warn(`${result.index}: ${result.error}`)
 * }
 *
 * @throws TypeError at once when an argument or option is wrong.
 */
export function runAll<T, R, K = number>(
  items: Iterable<T> | AsyncIterable<T>,
  fn: (item: T, index: number, signal: AbortSignal) => R,
  options: BatchOptions<T, K>,
): AsyncGenerator<BatchResult<T, Awaited<R>, K>, void, void> {
  checked(items, fn, options)
  return new Batch<T, Awaited<R>, K>(items, fn as never, options).results()
}
