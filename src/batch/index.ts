// A job of many calls: `llmiter/batch`. Items in, results out, at the limiter's pace, in bounded memory.
//
// The limiter says when a call goes; this says how many calls may stand in its line. Few are enough to keep it busy:
// so items are read when they are needed, a hundred ahead, and not at all while a thousand results wait for whoever
// reads them. How many are in flight follows from the pace and from how long calls take; nobody has to guess it.

import { type BatchOptions, type BatchResult, checked } from './options.ts'
import { Batch } from './run.ts'

export type { BatchOptions, BatchResult } from './options.ts'
export type { Progress } from './progress.ts'

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
