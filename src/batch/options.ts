// The options of a job. An invalid option throws immediately, before the job starts.

import type { BucketRateLimiter, CallOptions, RateLimitedService } from 'llmiter'
import { callable, fields, notNumber, number, text } from '../lib/validate.ts'
import type { Progress } from './progress.ts'
import type { Summary } from './summary.ts'

/** Options of `runAll`. */
export interface BatchOptions<T, K = number> {
  /**
   * What sets the pace: a `BucketRateLimiter`, a service (`perModel`, `shared`), or a limited client or fetch. A
   * call that `fn` makes through the same limiter takes no second ticket.
   * @default none: only `concurrency` and the limiters of the calls inside `fn` bound the job
   */
  limiter?: object | undefined
  /**
   * Returns the model of an item, which selects the limiter of a service.
   * @default `item.model`
   */
  model?: ((item: T, index: number) => string | undefined) | undefined
  /**
   * Options of an item's call: cost, priority, tenant and so on. Needs `limiter`. Its signal aborts only that
   * call.
   */
  call?: CallOptions | ((item: T, index: number) => CallOptions) | undefined
  /**
   * The maximum number of calls that wait or run at the same time. `Infinity` starts all of them immediately. Set
   * a number if the limiter's `queue.max` is below 100.
   * @default 100 waiting calls and any number of running ones; without a limiter, 100 running calls
   */
  concurrency?: number | undefined
  /**
   * Whether results come in the order of the items. Otherwise they come in the order in which they finish.
   * @default false
   */
  ordered?: boolean | undefined
  /**
   * Throws the first error after the finished results, and aborts the rest. Otherwise an error is a result.
   * @default false
   */
  stopOnError?: boolean | undefined
  /**
   * Returns the key that identifies an item in its result and in `skip`.
   * @default its index
   */
  key?: ((item: T, index: number) => K) | undefined
  /** Keys of items to skip, for example those finished in an earlier run: a Set, a Map, or any object with `has`. */
  skip?: { has(key: K): boolean } | undefined
  /** Aborts the job. It returns the finished results, and then throws the signal's reason. */
  signal?: AbortSignal | undefined
  /** Called after each item. */
  onProgress?: ((progress: Progress) => void) | undefined
  /** Called once when the job ends, for whatever reason; `({ text }) => console.error(text)` prints it. */
  onSummary?: ((summary: Summary) => void) | undefined
  /**
   * The number of items, for `etaMs`.
   * @default their `length` or `size`
   */
  total?: number | undefined
}

/** The result of one item. */
export type BatchResult<T, R, K = number> = { index: number; key: K; item: T } & (
  { ok: true; value: R } | { ok: false; error: unknown }
)

const FUNCTIONS = ['model', 'key', 'onProgress', 'onSummary'] as const
const FLAGS = ['ordered', 'stopOnError'] as const
export const KEYS = ['limiter', 'call', 'concurrency', 'skip', 'signal', 'total', ...FUNCTIONS, ...FLAGS]

/** Option names of similar packages, by our name for each. */
const SYNONYMS = {
  concurrency: 'parallel parallelism maxconcurrent maxconcurrency limit workers batchsize',
  stopOnError: 'failfast bail throwonerror',
  ordered: 'inorder keeporder preserveorder',
  limiter: 'service limits',
  call: 'priority tenant cost maxwaitms timeoutms retry retries maxretries',
  key: 'id',
  onProgress: 'progress',
}

type Said = Record<string, unknown>

/** The key under which limited clients hold the service that maps their calls to limiters. */
const SERVICE = Symbol.for('llmiter.service')

/** Returns the limiter of an item, given its model. Undefined if only the client that `fn` calls knows it. */
export type LimiterOf = (model: () => string | undefined) => BucketRateLimiter | undefined

/** Finds where the tickets of a job come from. */
export function sourceOf(limiter: object | undefined): LimiterOf | undefined {
  if (!limiter) return undefined
  const { [SERVICE]: service } = limiter as { [SERVICE]?: RateLimitedService }
  if (service) {
    return (model) => {
      const name = model()
      // A service with a single limiter does not need the model.
      const known = name !== undefined || service.limiterFor.length === 0
      return known ? (service.limiterFor(name) as BucketRateLimiter) : undefined
    }
  }
  if ('limiterFor' in limiter) {
    return (model) => (limiter as RateLimitedService).limiterFor(model()) as BucketRateLimiter
  }
  return () => limiter as BucketRateLimiter
}

export function checked(items: unknown, fn: unknown, options: unknown): void {
  const source = Object(items) as Partial<Iterable<unknown> & AsyncIterable<unknown>>
  const iterable = source[Symbol.asyncIterator] ?? source[Symbol.iterator]
  must(
    typeof iterable === 'function' && typeof items !== 'string',
    'items',
    'an iterable or async iterable',
    items,
  )
  callable(fn, 'fn', items)
  fields(options, 'runAll', KEYS, SYNONYMS)
  const said = options as Said
  const has = (value: unknown, method: string) => typeof (Object(value) as Said)[method] === 'function'
  const { limiter, call, concurrency = 1, skip, signal, total = 0 } = said
  must(
    limiter === undefined ||
      has(limiter, 'limiterFor') ||
      SERVICE in (Object(limiter) as object) ||
      has(limiter, 'acquire'),
    'limiter',
    'a limited client, a BucketRateLimiter, or a service made by perModel or shared',
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
  must(call === undefined || limiter !== undefined, 'limiter', 'given where `call` is', limiter)
  const whole = concurrency === Infinity || Number.isInteger(concurrency)
  must(
    whole && (concurrency as number) >= 1,
    'concurrency',
    'a whole number of at least 1, or Infinity',
    concurrency,
    notNumber,
  )
  must(skip === undefined || has(skip, 'has'), 'skip', 'a Set, a Map or an object with has()', skip)
  must(signal === undefined || has(signal, 'addEventListener'), 'signal', 'an AbortSignal', signal)
  number(total, 'total', 'a whole number of at least 0')
}

function must(fine: boolean, name: string, allowed: string, value: unknown, got = text): void {
  if (!fine) throw new TypeError(`${name} must be ${allowed}, got ${got(value)}`)
}
