// What may be said to a job. A wrong option shows at once, not when the job has begun.

import type { BucketRateLimiter, CallOptions, LimitedService } from 'llmiter'
import { fields, text } from '../lib/validate.ts'
import type { Progress } from './progress.ts'

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

const FUNCTIONS = ['model', 'key', 'onProgress'] as const
const FLAGS = ['ordered', 'stopOnError'] as const
export const KEYS = ['limiter', 'call', 'concurrency', 'skip', 'signal', 'total', ...FUNCTIONS, ...FLAGS]

type Said = Record<string, unknown>

export function checked(items: unknown, fn: unknown, options: unknown): void {
  const source = Object(items) as Partial<Iterable<unknown> & AsyncIterable<unknown>>
  const iterable = source[Symbol.asyncIterator] ?? source[Symbol.iterator]
  must(
    typeof iterable === 'function' && typeof items !== 'string',
    'items',
    'an iterable or async iterable',
    items,
  )
  must(typeof fn === 'function', 'fn', 'a function', fn)
  fields(options, 'runAll', KEYS)
  const said = options as Said
  const has = (value: unknown, method: string) => typeof (Object(value) as Said)[method] === 'function'
  const { limiter, call, concurrency = 1, skip, signal, total = 0 } = said
  must(
    has(limiter, 'run') || has(limiter, 'limiterFor'),
    'limiter',
    'a BucketRateLimiter, or a service made by perModel or shared',
    limiter,
  )
  for (const key of FUNCTIONS)
    must(said[key] === undefined || typeof said[key] === 'function', key, 'a function', said[key])
  for (const key of FLAGS)
    must(said[key] === undefined || typeof said[key] === 'boolean', key, 'true or false', said[key])
  must(
    ['undefined', 'object', 'function'].includes(typeof call) && call !== null,
    'call',
    'options or a function',
    call,
  )
  const whole = concurrency === Infinity || Number.isInteger(concurrency)
  must(
    whole && (concurrency as number) >= 1,
    'concurrency',
    'a whole number of at least 1, or Infinity',
    concurrency,
  )
  must(skip === undefined || has(skip, 'has'), 'skip', 'a Set, a Map or an object with has()', skip)
  must(signal === undefined || has(signal, 'addEventListener'), 'signal', 'an AbortSignal', signal)
  must(Number.isInteger(total) && (total as number) >= 0, 'total', 'a whole number of at least 0', total)
}

function must(fine: boolean, name: string, allowed: string, value: unknown): void {
  if (!fine) throw new TypeError(`${name} must be ${allowed}, got ${text(value)}`)
}
