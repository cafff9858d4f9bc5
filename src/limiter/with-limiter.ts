// `withLimiter` wraps a function so that its calls wait for tickets. The signature stays the same.

import { dispatch, within } from '../call/execute.ts'
import { context } from '../lib/async-context.ts'
import { CALL_SYNONYMS } from '../lib/synonyms.ts'
import { fields, text } from '../lib/validate.ts'
import { type Duration, duration } from '../lib/duration.ts'
import { defaultLimiter } from './default-limiter.ts'
import type { LimiterRuntime } from './runtime.ts'
import type { Usage } from '../responses/usage.ts'
import { BucketRateLimiter, costOf, RUNTIME, runtimeOf, policyOf } from './bucket-rate-limiter.ts'
import type { AnyLimiter, LimiterOptions } from './options.ts'
import { callable } from '../lib/validate.ts'
import {
  type CallOptions,
  checkCall,
  checkCost,
  type Classify,
  type RetryOptions,
} from '../call/call-options.ts'
import type { RateLimitedService } from './per-model.ts'
import type { CallPolicy, PendingCall } from '../call/pending-call.ts'

/**
 * The arguments as the function declares them. Without this, a callback that names an optional argument makes it
 * required.
 */
type ArgsOf<A extends readonly unknown[]> = A extends infer B extends readonly unknown[] ? B : never

/** The argument of `usage`: the result, or each chunk of a stream. */
type StreamedOr<R> = R extends AsyncIterable<infer C> ? C : R

/** How the calls of one function are limited. Functions over the arguments are called once per call. */
export interface WrapOptions<A extends readonly unknown[], R> {
  /**
   * What a call takes of each limit.
   * @default one request, plus estimated tokens
   */
  cost?: ((...args: A) => CallOptions['cost']) | undefined
  /**
   * Reads the usage from a result, or from each chunk of a stream.
   * @default reads results of known shapes
   */
  usage?: ((result: R) => Usage | undefined) | undefined
  /**
   * Returns the model, for a service with one limiter per model.
   * @default `args[0].model`
   */
  model?: ((...args: A) => string | undefined) | undefined
  /** The tenant of a call. Tenants of one limiter take fair turns. */
  tenant?: ((...args: A) => string | undefined) | undefined
  /** Your name for a call. Its events carry it. */
  id?: ((...args: A) => string | undefined) | undefined
  /**
   * Returns the signal that aborts the call.
   * @default none
   */
  signal?: ((...args: A) => AbortSignal | undefined) | undefined
  /**
   * Higher goes first.
   * @default 0
   */
  priority?: number | undefined
  /**
   * How many slots of `maxConcurrent` a call takes.
   * @default 1
   */
  weight?: number | undefined
  /**
   * The maximum wait for a ticket. After it the call rejects with `WaitTimeoutError`.
   * @default the limiter's option
   */
  maxWaitMs?: Duration | undefined
  /**
   * How many refusals a call waits through. The next one is thrown unchanged.
   * @default the limiter's option
   */
  maxRefusals?: number | undefined
  /**
   * The maximum duration of one attempt. After it the call rejects with `CallTimeoutError`.
   * @default the limiter's option
   */
  timeoutMs?: Duration | undefined
  /**
   * Which transient failures are retried, and how often.
   * @default the limiter's option
   */
  retry?: RetryOptions | false | undefined
  /**
   * Your own classification of answers.
   * @default the built-in one
   */
  classify?: Classify | undefined
  /**
   * A stream that is not read for this long returns its ticket.
   * @default 5 minutes
   */
  streamIdleMs?: Duration | undefined
}

/** A limiter, a service, or the options for a new limiter. */
export type LimiterLike = AnyLimiter | RateLimitedService | LimiterOptions

const KEYS = [
  'cost',
  'usage',
  'model',
  'tenant',
  'id',
  'signal',
  'priority',
  'weight',
  'maxWaitMs',
  'maxRefusals',
  'timeoutMs',
  'retry',
  'classify',
  'streamIdleMs',
]

/**
 * Wraps a function that returns an async iterable synchronously, such as an async generator. The wrapped function
 * returns an `AsyncGenerator` that takes its ticket at the first `next()`.
 *
 * @example
 * const words = withLimiter.stream(async function* (prompt: string) { yield* await stream(prompt) }, gpt)
 * for await (const word of words('Tell me a story.')) console.log(word)
 */
function stream<A extends unknown[], C, T = unknown>(
  fn: (this: T, ...args: A) => AsyncIterable<C>,
  limiter?: LimiterLike,
  options: WrapOptions<ArgsOf<A>, C> = {},
): (this: T, ...args: A) => AsyncGenerator<C, void, void> {
  callable(fn, 'fn', limiter)
  const method = isMethod(fn)
  const start = withLimiter<A, Promise<AsyncIterable<C>>, T>(
    // The first item is requested while the ticket is held, so that a refusal there can still wait and start
    // again.
    async function (this: T, ...args: A) {
      const call = context.current as PendingCall
      const begin = async () => {
        const iterator = fn.apply(this, args)[Symbol.asyncIterator]()
        return resumed(iterator, await iterator.next(), call)
      }
      return method && this === undefined ? cutOff(fn, begin) : begin()
    },
    limiter,
    options as unknown as WrapOptions<ArgsOf<A>, C>,
  )
  return async function* (this: T, ...args: A) {
    yield* await start.apply(this, args)
  }
}

/**
 * Wraps a function so that its calls are sent at the limiter's pace. `fn` may be sync or async, and may resolve to
 * a stream, which keeps its ticket until it ends. `this` is passed on. All functions wrapped without a limiter
 * share one of 300 requests per minute (see `configureDefaultLimiter`).
 *
 * For an overloaded function, TypeScript keeps only the last overload. Wrap a lambda instead.
 *
 * @example
 * const ask = withLimiter((prompt: string) => openai.responses.create({ model: 'gpt-5', input: prompt }), gpt)
 * const answer = await ask('What is the capital of France?')
 *
 * @throws TypeError immediately when an option is wrong. Calls reject with what `fn` throws, unchanged, or with a
 * `LimiterError`.
 */
export const withLimiter = /* @__PURE__ */ Object.assign(
  function withLimiter<A extends unknown[], R, T = unknown>(
    fn: (this: T, ...args: A) => R,
    limiter?: LimiterLike,
    options: WrapOptions<ArgsOf<A>, StreamedOr<Awaited<R>>> = {},
  ): (this: T, ...args: A) => Promise<Awaited<R>> {
    const prepare = preparer(fn, limiter, options as unknown as WrapOptions<A, never>)
    const method = isMethod(fn)
    const wrapped = function (this: T, ...args: A): Promise<Awaited<R>> {
      try {
        const { policy, cost } = prepare(args)
        const call = () => fn.apply(this, args)
        return dispatch(
          policy,
          cost,
          method && this === undefined ? () => cutOff(fn, call) : call,
        ) as Promise<Awaited<R>>
      } catch (error) {
        return Promise.reject(error)
      }
    }
    return Object.defineProperty(wrapped, 'name', { value: fn.name, configurable: true })
  },
  // Part of the expression instead of a later assignment, so that bundlers drop all of it if it is unused.
  { stream },
)

/** Matches the source text of a method: not an arrow function, and no `function` or `class` at the start. */
const METHOD = /^(?!async\s*\(|(async\s+)?function\b|class\b)(async\b|\*|\s)*[\w$#[]+[^=]*?\(/

/** Whether a function needs its `this`: a method whose source mentions it. */
function isMethod(fn: (...args: never[]) => unknown): boolean {
  const source = Function.prototype.toString.call(fn)
  return METHOD.test(source) && /\bthis\b/.test(source)
}

/**
 * Calls a method that was detached from its object, such as `openai.chat.completions.create`. If it fails for that
 * reason, the error says so.
 */
function cutOff<R>({ name }: { readonly name: string }, call: () => R): R {
  const explain = (error: unknown): never => {
    if (!(error instanceof TypeError)) throw error
    const message = `'${name}' is a method and was called without its object: wrap (...args) => object.${name}(...args)`
    throw new TypeError(`${message}. ${error.message}`, { cause: error })
  }
  try {
    const result = call()
    const { then } = Object(result) as { then?: unknown }
    return typeof then === 'function' ? (Promise.resolve(result).catch(explain) as R) : result
  } catch (error) {
    return explain(error)
  }
}

/** An iterator whose first item has already been read. */
function resumed<C>(
  iterator: AsyncIterator<C>,
  first: IteratorResult<C>,
  call: PendingCall,
): AsyncIterableIterator<C> {
  let next: IteratorResult<C> | undefined = first
  return {
    next() {
      const result = next
      next = undefined
      return result ? Promise.resolve(result) : within(call, () => iterator.next(), call.policy.signal)
    },
    return: async (value) => (await iterator.return?.(value)) ?? { done: true, value },
    ...(iterator.throw && { throw: (error) => iterator.throw!(error) }),
    [Symbol.asyncIterator]() {
      return this
    },
  }
}

/** Checks the options once. Returns a function that creates the policy and the cost of each call. */
function preparer<A extends unknown[]>(
  fn: unknown,
  limiter: LimiterLike | undefined,
  options: WrapOptions<A, never>,
) {
  callable(fn, 'fn', limiter)
  fields(options, 'withLimiter', KEYS, CALL_SYNONYMS)
  const { cost, usage, model, tenant, id, signal, classify, streamIdleMs, ...call } = options
  for (const key of ['cost', 'usage', 'model', 'tenant', 'id', 'signal', 'classify'] as const) {
    if (options[key] !== undefined) callable(options[key], key)
  }
  checkCall(call)
  const runtime = resolver(fn as { name: string }, limiter)
  const idle = streamIdleMs === undefined ? undefined : duration(streamIdleMs, 'streamIdleMs')
  const fixed = {
    ...call,
    ...(classify && { classify }),
    ...(usage && { usage }),
    ...(idle && { streamIdleMs: idle }),
    wrapper: {},
  }
  let plain: CallPolicy | undefined
  let version = 0
  return (args: A) => {
    const at = runtime(() => (model ? model(...args) : (args[0] as { model?: string } | undefined)?.model))
    if (plain?.runtime !== at || version !== at.version) plain = policyOf(at, fixed)
    version = at.version
    const policy =
      tenant || signal || id
        ? { ...plain, tenant: tenant?.(...args), id: id?.(...args), signal: signal?.(...args) }
        : plain
    const said = cost?.(...args)
    if (said !== undefined) checkCost(said)
    return { policy, cost: costOf(at, said, args, call.weight) }
  }
}

/** Options without a name get this one, unless that would share them with other processes by accident. */
function namedAfter(name: string, options: LimiterOptions): LimiterOptions {
  return options.name === undefined && options.store === undefined && name ? { ...options, name } : options
}

/** Creates a function that finds the runtime of a call, once per wrapped function. */
function resolver(
  fn: { name: string },
  limiter: LimiterLike | undefined,
): (model: () => string | undefined) => LimiterRuntime {
  if (limiter === undefined) return () => runtimeOf(defaultLimiter(), 'the default limiter')
  if (typeof limiter !== 'object' || limiter === null) {
    throw new TypeError(
      `limiter must be a BucketRateLimiter, a RateLimitedService or options, got ${text(limiter)}`,
    )
  }
  if ('models' in limiter) throw new TypeError('limiter must be perModel(models), got { models }')
  if ('limiterFor' in limiter) {
    return (model) => {
      const runtime = runtimeOf(limiter.limiterFor(model()), `limiterFor() of '${limiter.name}'`)
      const { isBlocked } = limiter
      if (isBlocked) runtime.probe ??= async (signal) => !(await isBlocked.call(limiter, signal))
      return runtime
    }
  }
  const made = RUNTIME in limiter ? limiter : new BucketRateLimiter(namedAfter(fn.name, limiter))
  const runtime = runtimeOf(made, 'limiter')
  return () => runtime
}
