// The public surface of 'llmiter/mistral': the official client with a limiter inside.
//
// The SDK starts its timer when it creates the request, before it passes the request to its HTTP client, where
// calls wait. So the limited client creates requests without a timer, notes the timeout on each, and starts the
// timer once it has the ticket.

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

/** The parts of the SDK that are used here. */
interface Inside {
  _options?: SDKOptions & { hooks?: Hooks }
}

const GENERATES =
  /\/(completions|embeddings|moderations|classifications|ocr|audio\/(speech|transcriptions))$|\/conversations(\/[^/]+(\/restart)?)?$/

/** Carries the timeout from where a request is created to where it is sent. It is removed before sending. */
const TIMEOUT = 'x-llmiter-timeout-ms'
/** Carries the number of the caller's signal in the same way. */
const SIGNAL = 'x-llmiter-signal'
const DEFAULT_TIMEOUT_MS = 300_000

const describeCall: Describe = (input, init) => describe(input, init, (path) => GENERATES.test(path))

/** Conversations and agents belong to one account, so they stay with the first target. */
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
 * Returns a client whose calls go to the first client of a pool with room. Each target of the pool has a `client`
 * of this kind. Files, conversations and everything else go to the first target, or to the one named by
 * `withLimiterOptions({ target })`.
 *
 * @example
 * const mistral = limitMistral(createPool({ targets: [{ name: 'a', limiter: a, client: clientA }, { name: 'b',
 * limiter: b, client: clientB }] }))
 */
export function limitMistral<C extends Mistral>(pool: ClientPool<C>, options?: ClientOptions): Pooled<C>
/**
 * Returns a copy of the client whose calls wait for tickets. `instanceof`, types, streams and all helpers work
 * unchanged. The original client is not limited.
 *
 * The wait in the queue is not part of the client's `timeoutMs`. It is part of a `timeoutMs` given with a call.
 * The SDK wraps errors from below it: a `LimiterError` is the `cause` of its `UnexpectedClientError`.
 *
 * @example
 * const mistral = limitMistral(new Mistral({ apiKey }), mistralService({ requestsPerMinute: 60, tokensPerMinute:
 * 500_000 }))
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
 * Keeps the callers' signals. The SDK puts each signal into a `Request`, and then into a copy of that. Once the
 * first `Request` is garbage collected, the copy no longer receives an abort.
 */
class CallerSignals {
  readonly #signals = new Map<string, AbortSignal>()
  #last = 0

  /** Stores a signal until its request arrives. Returns its number. */
  keep(signal: AbortSignal): string {
    const id = String(++this.#last)
    this.#signals.set(id, signal)
    return id
  }

  /** An HTTP client that gives each request its caller's original signal. */
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

/** Writes the timeout, or the number of the caller's signal, on each request. The SDK itself gets no timeout. */
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
  // Also includes hooks that are registered later.
  return Object.create(hooks, { beforeCreateRequest: { value: beforeCreateRequest } }) as Hooks
}

/** The request with the signal that ends it: the caller's, the limiter's `signal`, or the SDK's timeout. */
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

/** Like `AbortSignal.timeout`, which does not survive garbage collection inside `AbortSignal.any`. */
function timeout(ms: number): AbortSignal {
  const controller = new AbortController()
  const late = new DOMException('The operation was aborted due to timeout', 'TimeoutError')
  const timer: unknown = setTimeout(() => controller.abort(late), ms)
  ;(timer as { unref?: () => void }).unref?.()
  return controller.signal
}

/** Keeps the requests of answers that are being read, because a garbage-collected Request does not forward aborts. */
const requests = new WeakMap<object, readonly unknown[]>()

/**
 * Creates the limiter for Mistral, which limits the whole account. With `probeWith`, an unlimited client, and a
 * `model`, a call of one token tests whether the provider accepts calls again. Without it, the oldest waiting call
 * is the probe.
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
