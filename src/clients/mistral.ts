// The public surface of 'llmiter/mistral': the official client with a limiter inside.
//
// The SDK starts its timer when it makes the request, before it hands it to its HTTP client, which is the place to
// wait. So the limited client makes requests without a timer, notes on each how long it may take, and starts the timer
// when the ticket is there.

import type { AnyLimiter, LimitedService, LimiterOptions } from 'llmiter'
import type { HTTPClient, Mistral, SDKOptions } from '@mistralai/mistralai'
import type { Fetch } from './shared/attempt.ts'
import { byUsage } from './shared/charge.ts'
import { type Describe, limitedFetch } from './shared/fetch.ts'
import { type Limited, limitedWith, refuseLimited } from './shared/limited.ts'
import { type ClientLimits, type ClientOptions, limitsOf } from './shared/limits.ts'
import { type ClientPool, isPool, type Pooled } from './shared/pooled.ts'
import { poolMethods, type PooledMethods } from './shared/pooled-methods.ts'
import { describe } from './shared/request.ts'
import { serviceOfAccount } from './shared/service.ts'

export type { ClientCallOptions, ClientLimits, ClientOptions, LimitsByModel } from './shared/limits.ts'
export type { Limited } from './shared/limited.ts'
export type { ClientPool, Pooled, PooledCallOptions } from './shared/pooled.ts'

interface RequestInput {
  url: URL
  options?: RequestInit | undefined
}

interface Hooks {
  beforeCreateRequest(context: unknown, input: RequestInput): RequestInput
}

/** What of the SDK this rests on. */
interface Inside {
  _options?: SDKOptions & { hooks?: Hooks }
}

const GENERATES =
  /\/(completions|embeddings|moderations|classifications|ocr|audio\/(speech|transcriptions))$|\/conversations(\/[^/]+(\/restart)?)?$/

/** Carries the timeout from where a request is made to where it is sent, and no further. */
const TIMEOUT = 'x-llmiter-timeout-ms'
/** Carries the number of the caller's signal in the same way. */
const SIGNAL = 'x-llmiter-signal'
const DEFAULT_TIMEOUT_MS = 300_000

const describeCall: Describe = (input, init) => describe(input, init, (path) => GENERATES.test(path))

/** Conversations and agents are kept by one account, and stay with the first target. */
const POOLED: PooledMethods = {
  generates: [
    ...['chat.complete', 'chat.parse', 'chat.stream', 'chat.parseStream', 'fim.complete', 'fim.stream'],
    ...['embeddings.create', 'classifiers.moderate', 'classifiers.moderateChat', 'ocr.process'],
  ],
  signalOf: ([, options]) => (options as RequestInit | undefined)?.signal ?? undefined,
  modelOf: ([request]) => (request as { model?: string } | undefined)?.model,
  rewrite: ([request, options, ...more], model, signal) => [
    { ...(request as object), ...(model !== undefined && { model }) },
    signal ? { ...(options as object | undefined), signal } : options,
    ...more,
  ],
}

/**
 * A client whose calls go to whichever client of a pool has room first: each target of the pool has a `client` of this
 * kind. Files, conversations and all else stay with the first target, or with the one that
 * `withLimiterOptions({ target })` names.
 *
 * @example
 * const mistral = limitMistral(createPool({ targets: [{ name: 'a', limiter: a, client: clientA }, { name: 'b', limiter: b, client: clientB }] }))
 */
export function limitMistral<C extends Mistral>(pool: ClientPool<C>, options?: ClientOptions): Pooled<C>
/**
 * The same client, whose calls wait for their tickets: `instanceof`, types, streams and all helpers are as they were.
 * The client that was passed in stays without limits.
 *
 * The wait in the queue is no part of the client's `timeoutMs`. It is part of a `timeoutMs` that is given with a call. The SDK
 * encloses what is thrown below it: a `LimiterError` is the `cause` of its `UnexpectedClientError`.
 *
 * @example
 * const mistral = limitMistral(new Mistral({ apiKey }), mistralService({ requestsPerMinute: 60, tokensPerMinute: 500_000 }))
 *
 * @throws TypeError when an option is wrong. Calls reject with the SDK's own errors.
 */
export function limitMistral<C extends Mistral>(
  client: C,
  limits: ClientLimits,
  options?: ClientOptions,
): Limited<C>
export function limitMistral<C extends Mistral>(
  clientOrPool: C | ClientPool<C>,
  limitsOrOptions: ClientLimits | ClientOptions = {},
  options: ClientOptions = {},
): Limited<C> | Pooled<C> {
  if (!isPool<C>(clientOrPool)) return limited(clientOrPool, limitsOrOptions as ClientLimits, options)
  const each = (client: C, limiter: AnyLimiter) => limited(client, limiter, limitsOrOptions as ClientOptions)
  return poolMethods(clientOrPool, each, POOLED)
}

function limited<C extends Mistral>(client: C, limits: ClientLimits, options: ClientOptions): Limited<C> {
  const own = limitsOf(limits, byUsage, options, 'limitMistral')
  const { _options: given } = Object(client) as Inside
  const hooks = given?.hooks
  if (typeof hooks?.beforeCreateRequest !== 'function') {
    throw new TypeError(
      `limitMistral needs a client of @mistralai/mistralai 1.3 or later, got ${Object(client).constructor?.name}`,
    )
  }
  refuseLimited(client, 'limitMistral')
  const http = given!.httpClient
  const send: Fetch = async (input, init) => {
    const { request, signal } = timed(input as Request, init?.signal)
    const sent = http && signal ? new Request(request, { signal }) : request
    const response = await (http ? http.request(sent) : fetch(sent, signal && { signal }))
    requests.set(response.body ?? response, [input, sent])
    return response
  }
  const { timeoutMs = DEFAULT_TIMEOUT_MS } = given!
  const signals = new CallerSignals()
  const make = client.constructor as new (options: SDKOptions & { hooks: Hooks }) => C
  return limitedWith(
    own,
    (limits) =>
      new make({
        ...given,
        hooks: noting(hooks, timeoutMs, signals),
        timeoutMs: -1,
        httpClient: signals.client(limitedFetch(send, limits, describeCall)),
      }),
  )
}

/**
 * The signals that callers gave. The SDK puts each into a `Request`, and then into a copy of that. Once the first
 * `Request` is garbage collected, the copy hears nothing of an abort.
 */
class CallerSignals {
  readonly #signals = new Map<string, AbortSignal>()
  #last = 0

  /** Remembers a signal until its request comes. Returns its number. */
  keep(signal: AbortSignal): string {
    const id = String(++this.#last)
    this.#signals.set(id, signal)
    return id
  }

  /** An HTTP client that gives each request its caller's own signal. */
  client(fetch: Fetch): HTTPClient {
    const request: Fetch = (input, init) => {
      const id = (input as Request).headers.get(SIGNAL)
      const signal = id === null ? undefined : this.#signals.get(id)
      if (id !== null) this.#signals.delete(id)
      return fetch(input, signal ? { ...init, signal } : init)
    }
    return { request } as unknown as HTTPClient
  }
}

/** Writes the timeout on each request, or the number of its caller's signal: the SDK has no timeout then. */
function noting(hooks: Hooks, timeoutMs: number, signals: CallerSignals): Hooks {
  const beforeCreateRequest: Hooks['beforeCreateRequest'] = (context, input) => {
    const { url, options } = hooks.beforeCreateRequest(context, input)
    const signal = options?.signal
    if (!signal && !(timeoutMs > 0)) return { url, options }
    const headers = new Headers(options?.headers)
    if (signal) headers.set(SIGNAL, signals.keep(signal))
    else headers.set(TIMEOUT, String(timeoutMs))
    return { url, options: { ...options, headers } }
  }
  // Hooks that are registered later are heard too.
  return Object.create(hooks, { beforeCreateRequest: { value: beforeCreateRequest } }) as Hooks
}

/** The request, and the signal that ends it: by the caller, by the limiter's `signal`, or by the SDK's timeout. */
function timed(request: Request, signal: AbortSignal | null | undefined) {
  const timeoutMs = request.headers.get(TIMEOUT)
  if (timeoutMs === null && !signal) return { request, signal: undefined }
  const headers = new Headers(request.headers)
  headers.delete(TIMEOUT)
  headers.delete(SIGNAL)
  const signals = [request.signal]
  if (signal) signals.push(signal)
  if (timeoutMs !== null) signals.push(timeout(Number(timeoutMs)))
  return { request: new Request(request, { headers }), signal: AbortSignal.any(signals) }
}

/** As `AbortSignal.timeout`, which is lost when it is garbage collected as a part of `AbortSignal.any`. */
function timeout(ms: number): AbortSignal {
  const controller = new AbortController()
  const late = new DOMException('The operation was aborted due to timeout', 'TimeoutError')
  const timer: unknown = setTimeout(() => controller.abort(late), ms)
  ;(timer as { unref?: () => void }).unref?.()
  return controller.signal
}

/** The requests of answers that are being read: a Request that is garbage collected passes no abort on. */
const requests = new WeakMap<object, readonly unknown[]>()

/**
 * Mistral limits the account, across all models. With `probeWith`, a client without limits, and a `model`, it is asked by a
 * call of one token whether it accepts again; without, the oldest call that waits is the probe.
 *
 * @example
 * const limits = mistralService({ requestsPerMinute: 60, tokensPerMinute: 500_000 })
 * const mistral = limitMistral(new Mistral({ apiKey }), limits)
 */
export function mistralService(
  limits: Omit<LimiterOptions, 'name' | 'probe'>,
  {
    probeWith,
    model,
  }: { probeWith: Mistral; model: string } | { probeWith?: undefined; model?: undefined } = {},
): LimitedService {
  const ask =
    probeWith &&
    ((signal: AbortSignal) =>
      probeWith.chat.complete(
        { model, messages: [{ role: 'user', content: '.' }], maxTokens: 1 },
        { signal },
      ))
  return serviceOfAccount('mistral', limits, ask)
}
