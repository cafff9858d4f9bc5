// What may be said to a job. A wrong option shows at once, not when the job has begun.

import { fields, text } from '../lib/validate.ts'

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
