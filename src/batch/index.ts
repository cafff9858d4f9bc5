// Runs a job of many calls: `llmiter/batch`. Items in, results out, at the limiter's pace and in bounded memory.
//
// The limiter decides when a call goes. A job decides how many calls wait in the limiter's queue. A hundred are
// enough to keep the limiter busy, so items are read only when needed, and not at all while a thousand results
// wait to be read. The number of calls in flight follows from the pace and the duration of calls, so you do not
// have to guess it.

import { type BatchOptions, type BatchResult, checked } from './options.ts'
import { Batch } from './run.ts'

export type { BatchOptions, BatchResult } from './options.ts'
export type { Progress } from './progress.ts'
export type { LeastTime, Summary } from './summary.ts'

/**
 * Runs `fn` for each item at the limiter's pace. Nothing runs before the first result is requested. Leaving the
 * loop early aborts the calls in flight.
 *
 * If the iterator of the items throws, the job ends with that error, after the results of the items read so far.
 *
 * If the provider reports a used-up quota, or the limiter is stopped, no later item could run. The job then ends
 * with `QuotaExhaustedError` or `LimiterStoppedError`, after the results of all calls that were sent. The error
 * message says how many items were not tried. Another run can continue with them, using `skip`.
 *
 * @example
 * for await (const result of runAll(prompts, ask, { limiter: gpt, skip: done })) {
 *   if (result.ok) save(result.key, result.value)
 *   else console.warn(`${result.index}: ${result.error}`)
 * }
 *
 * @throws TypeError immediately when an argument or option is wrong.
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
 * Like `runAll`, for items that fit into memory. Resolves with the results in the order of the items, without
 * skipped items. No result is lost: if the job ends early (quota used up, `limiter.stop()`, `signal`), the result
 * of each item that was not tried is that error. With `stopOnError` it rejects with the first error.
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
