// A job of many calls: `llmiter/batch`. Items in, results out, at the limiter's pace, in bounded memory.
//
// The limiter says when a call goes; this says how many calls may stand in its line. Few are enough to keep it busy:
// so items are read when they are needed, a hundred ahead, and not at all while a thousand results wait to be
// read. The number of calls in flight follows from the pace and from how long calls take; you need not guess it.

import { type BatchOptions, type BatchResult, checked } from './options.ts'
import { Batch } from './run.ts'

export type { BatchOptions, BatchResult } from './options.ts'
export type { Progress } from './progress.ts'
export type { LeastTime, Summary } from './summary.ts'

/**
 * Runs `fn` for each item at the limiter's pace. Nothing is run before the first result is asked for; to leave the
 * loop early gives up the calls that are not over.
 *
 * Items that cannot be read any further (their iterator throws) end the job with that error, after the results of
 * those that were read.
 *
 * When the provider says that the quota is used up, or the limiter is stopped, no later item could have its turn: the job
 * ends with `QuotaExhaustedError` or `LimiterStoppedError`, after the results of all that were sent. Its message says
 * how many were not tried; another run continues with them, by `skip`.
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
  options: BatchOptions<T, K> = {},
): AsyncGenerator<BatchResult<T, Awaited<R>, K>, void, void> {
  checked(items, fn, options)
  return new Batch<T, Awaited<R>, K>(items, fn as never, options).results()
}

/**
 * The same for items that all fit into memory: resolves with their results in the order of the items, those that were
 * skipped left out. No result is lost: when the job ends early (a quota that is used up, `limiter.stop()`, `signal`), each item
 * that was not tried has that error as its result. With `stopOnError` it rejects with the first error.
 *
 * @example
 * const results = await runAll.toArray(prompts, ask, { limiter: gpt })
 * const answers = results.map((result) => (result.ok ? result.value : undefined))
 */
runAll.toArray = async function toArray<T, R, K = number>(
  items: Iterable<T> | AsyncIterable<T>,
  fn: (item: T, index: number, signal: AbortSignal) => R,
  options: BatchOptions<T, K> = {},
): Promise<BatchResult<T, Awaited<R>, K>[]> {
  checked(items, fn, options)
  const all: T[] = []
  for await (const item of items) all.push(item)
  const found = new Map<number, BatchResult<T, Awaited<R>, K>>()
  let end: { error: unknown } | undefined
  try {
    for await (const result of runAll(all, fn, options)) found.set(result.index, result)
  } catch (error) {
    if (options.stopOnError) throw error
    end = { error }
  }
  const { key, skip } = options
  return all.flatMap((item, index): BatchResult<T, Awaited<R>, K>[] => {
    const result = found.get(index)
    if (result) return [result]
    const name = (key ? key(item, index) : index) as K
    return end && !skip?.has(name) ? [{ index, key: name, item, ok: false, ...end }] : []
  })
}
