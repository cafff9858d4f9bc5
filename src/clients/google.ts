// The public surface of 'llmiter/google': the client of @google/genai with a limiter inside.
//
// Its `ApiClient` has one method in which every request begins, `apiCall`, before the timer of any attempt:
//
//   apiCall ── timeout removed ──▶ the SDK's own attempts ──▶ fetch: waits for the ticket ──▶ timeout ──▶ fetch
//
// So refused calls wait in the queue, each attempt has its own ticket, and the time in the queue is not part of
// the timeout. The public option `httpOptions.fetch` would run inside the timer. It would also lose the SDK's
// setup of Node's fetch, which removes the limit of five minutes until an answer begins. `apiCall` is private to
// the SDK, and a test checks that it still exists.

import type { AnyLimiter, LimitedService, ModelLimits } from 'llmiter'
import type { GoogleGenAI } from '@google/genai'
import type { Fetch } from './shared/attempt.ts'
import { inputOnly } from './shared/charge.ts'
import { type Describe, limitedFetch, type HeldTicket } from './shared/fetch.ts'
import { type Limited, limitedWith, refuseLimited } from './shared/limited.ts'
import { type ClientLimits, type ClientOptions, type Limits, limitsOf } from './shared/limits.ts'
import { type ClientPool, isPool, type Pooled } from './shared/pooled.ts'
import { poolMethods, type PooledMethods } from './shared/pooled-methods.ts'
import { describe, modelIn } from './shared/request.ts'
import { serviceByModel } from './shared/service.ts'

export type { ClientCallOptions, ClientLimits, ClientOptions, LimitsByModel } from './shared/limits.ts'
export type { Limited } from './shared/limited.ts'
export type { ClientPool, Pooled, PooledCallOptions } from './shared/pooled.ts'

interface RetryOptions {
  httpStatusCodes?: number[]
}

/** The parts of the SDK's `ApiClient` that are used here. */
interface ApiClient {
  apiCall(
    url: string,
    init: RequestInit,
    retryOptions: RetryOptions | undefined,
    timeout: number | undefined,
    signal: AbortSignal | undefined,
    fetch: Fetch | undefined,
  ): Promise<Response>
  processStreamResponse(response: Response): AsyncGenerator<unknown>
  getFetch(): Fetch | undefined
  clientOptions?: { httpOptions?: { retryOptions?: unknown } }
}

interface Inside {
  apiClient: ApiClient
  live?: { auth?: unknown }
}

const GENERATES =
  /:(generateContent|streamGenerateContent|embedContent|batchEmbedContents|predict|predictLongRunning|generateAnswer)$|\/interactions$/

/** The SDK's list of retried statuses, without those that wait in the queue. */
const TRIED_AGAIN = [408, 500, 502, 504]
const REFUSED = [429, 503]

const systemFetch: Fetch = (input, init) => fetch(input, init)

const describeCall: Describe = async (input, init) => {
  const call = await describe(input, init, (path) => GENERATES.test(path))
  const model = call && (/\/(tunedModels\/[^/:]+)/.exec(call.path)?.[1] ?? modelIn(call.path) ?? call.model)
  return call && { ...call, model: model?.replace(/^models\//, '') }
}

interface Asked {
  model?: string
  config?: { abortSignal?: AbortSignal }
}

/** Chats access `models` directly, and stay with the first target. */
const POOLED: PooledMethods = {
  generates: [
    ...['generateContent', 'generateContentStream', 'embedContent'],
    ...['generateImages', 'editImage', 'upscaleImage', 'recontextImage', 'segmentImage'],
  ].map((name) => `models.${name}`),
  signalOf: ([asked]) => (asked as Asked | undefined)?.config?.abortSignal,
  modelOf: ([asked]) => (asked as Asked | undefined)?.model,
  rewrite: ([given, ...more], model, signal) => {
    const asked = Object(given) as Asked
    const config = signal ? { config: { ...asked.config, abortSignal: signal } } : {}
    return [{ ...asked, ...(model !== undefined && { model }), ...config }, ...more]
  },
}

/**
 * Returns a client whose `models` calls go to the first client of a pool with room. Each target of the pool has a
 * `client` of this kind. Chats, files and everything else go to the first target, or to the one named by
 * `withLimiterOptions({ target })`.
 *
 * @example
 * const google = limitGoogle(createPool({ targets: [{ name: 'a', limiter: a, client: clientA }, { name: 'b',
 * limiter: b, client: clientB }] }))
 */
export function limitGoogle<C extends GoogleGenAI>(pool: ClientPool<C>, options?: ClientOptions): Pooled<C>
/**
 * Returns a copy of the client whose calls wait for tickets. `instanceof`, types, chats, streams and all helpers
 * work unchanged. The original client is not limited. A call is charged only its input, as Gemini does.
 *
 * A stream that is left early is cancelled (the original SDK leaves its connection open). `interactions` wait
 * inside the SDK's own `timeout`, so set a long one. The sockets of `live` are not limited.
 *
 * @example
 * const google = limitGoogle(new GoogleGenAI({ apiKey }), {
 *   models: { 'gemini-2.5*': { requestsPerMinute: 1000, inputTokensPerMinute: 1_000_000, requestsPerDay: 10_000 }
 *   },
 * })
 *
 * @throws TypeError when an option is wrong. Calls reject with the SDK's own errors, or with a `LimiterError`.
 */
export function limitGoogle<C extends GoogleGenAI>(
  client: C,
  limits: ClientLimits,
  options?: ClientOptions,
): Limited<C>
export function limitGoogle<C extends GoogleGenAI>(
  clientOrPool: C | ClientPool<C>,
  limitsOrOptions: ClientLimits | ClientOptions = {},
  options: ClientOptions = {},
): Limited<C> | Pooled<C> {
  if (!isPool<C>(clientOrPool)) return limited(clientOrPool, limitsOrOptions as ClientLimits, options)
  const each = (client: C, limiter: AnyLimiter) => limited(client, limiter, limitsOrOptions as ClientOptions)
  return poolMethods(clientOrPool, each, POOLED)
}

function limited<C extends GoogleGenAI>(client: C, limits: ClientLimits, options: ClientOptions): Limited<C> {
  const own = limitsOf(limits, inputOnly, options, 'limitGoogle')
  refuseLimited(client, 'limitGoogle')
  const bare = (Object(client) as Partial<Inside>).apiClient
  const old = bare?.apiCall?.length === 2
  if (!(old || bare?.apiCall?.length === 6) || typeof bare?.processStreamResponse !== 'function') {
    throw new TypeError(
      `limitGoogle needs a client of @google/genai 1.0 or later, got ${Object(client).constructor?.name}`,
    )
  }
  return limitedWith(own, (limits) => (old ? limitedOldCopy : limitedCopy)(client, bare as ApiClient, limits))
}

/**
 * For versions before 2.26: `apiCall` uses the global `fetch`, and its timeout is in the signal that it receives.
 * So the time in the queue is part of the timeout.
 */
function limitedOldCopy<C extends GoogleGenAI>(client: C, bare: ApiClient, limits: Limits): C {
  const { retryOptions } = bare.clientOptions?.httpOptions ?? {}
  if (retryOptions) {
    throw new TypeError(
      'limitGoogle: before 2.26, @google/genai retries past the limiter: remove retryOptions, and give the limiter retry: { attempts }',
    )
  }
  const limited = copyOf(client)
  const { apiClient } = limited as unknown as Inside
  const inLine = limitedFetch(systemFetch, limits, describeCall)
  Object.assign(apiClient, {
    apiCall: (url: string, init: RequestInit) => inLine(url, init),
    processStreamResponse: (response: Response) =>
      cancelled(bare.processStreamResponse.call(apiClient, response), response),
  })
  // It has its own client, which cannot be reached from here.
  if ('interactions' in limited) {
    Object.defineProperty(limited, 'interactions', {
      get() {
        throw new TypeError('limitGoogle limits `interactions` only with @google/genai 2.26 or later')
      },
    })
  }
  return limited
}

function limitedCopy<C extends GoogleGenAI>(client: C, bare: ApiClient, limits: Limits): C {
  const limited = copyOf(client)
  const { apiClient } = limited as unknown as Inside
  const own: ApiClient = {
    apiCall(url, init, retryOptions, timeout, signal, fetch = systemFetch) {
      return tried(limits, signal, timeout, fetch, retryOptions, (...changed) =>
        bare.apiCall.call(apiClient, url, init, ...changed),
      )
    },
    processStreamResponse: (response) =>
      cancelled(bare.processStreamResponse.call(apiClient, response), response),
    // For `interactions`, which have their own client.
    getFetch: () => limitedFetch(bare.getFetch.call(apiClient) ?? systemFetch, limits, describeCall),
  }
  Object.assign(apiClient, own)
  return limited
}

/** Copies a client whose parts share an `ApiClient`. The copy is made by the constructor, which knows all parts. */
function copyOf<C extends GoogleGenAI>(client: C): C {
  const { apiClient, live, ...settings } = client as unknown as Inside
  const make = client.constructor as new (options: { apiKey: string; vertexai: false }) => C & Inside
  const copy = new make({ apiKey: 'replaced below', vertexai: false })
  Object.assign(copy.apiClient, apiClient)
  if (copy.live && live?.auth) Object.assign(copy.live, { auth: live.auth })
  for (const [key, value] of Object.entries(settings))
    if (typeof value !== 'object' || key === 'httpOptions') Object.assign(copy, { [key]: value })
  return copy
}

type Changed = [RetryOptions | undefined, number | undefined, AbortSignal | undefined, Fetch]

/** One call, with all attempts that the SDK makes. */
function tried(
  limits: Limits,
  signal: AbortSignal | undefined,
  timeout: number | undefined,
  fetch: Fetch,
  retryOptions: RetryOptions | undefined,
  call: (...changed: Changed) => Promise<Response>,
): Promise<Response> {
  const place: HeldTicket = {}
  let lost: unknown
  const send: Fetch = async (input, init) => {
    try {
      return await fetch(input, timed(init, timeout))
    } catch (error) {
      lost = error
      throw error
    }
  }
  // The signal of an attempt no longer follows its caller after that attempt, but the next attempt waits in the
  // same place.
  const ofCaller: Describe = async (input, init) => {
    const described = await describeCall(input, init)
    return described && { ...described, signal }
  }
  const inLine = limitedFetch(send, limits, ofCaller, place)
  const stop = new AbortController()
  const once: Fetch = async (input, init) => {
    try {
      return await inLine(input, init)
    } catch (error) {
      if (signal?.aborted) init?.signal?.throwIfAborted()
      // An error from the queue is final: a retry would only join the queue again.
      if (error !== lost) stop.abort()
      throw error
    }
  }
  if (!retryOptions) return call(undefined, undefined, signal, once)
  const { httpStatusCodes = TRIED_AGAIN } = retryOptions
  const others = httpStatusCodes.filter((status) => !REFUSED.includes(status))
  const either = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal
  return call({ ...retryOptions, httpStatusCodes: others }, undefined, either, once)
}

/** The SDK's own timeout: for one attempt, including its body, and without a reason. */
function timed(init: RequestInit | undefined, timeout: number | undefined): RequestInit | undefined {
  if (!timeout || !(timeout > 0)) return init
  const late = new AbortController()
  const timer: unknown = setTimeout(() => late.abort(), timeout)
  ;(timer as { unref?: () => void }).unref?.()
  return { ...init, signal: init?.signal ? AbortSignal.any([init.signal, late.signal]) : late.signal }
}

/** The SDK releases the body of a stream that is left, but does not cancel it. */
async function* cancelled(chunks: AsyncGenerator<unknown>, { body }: Response): AsyncGenerator<unknown> {
  try {
    yield* chunks
  } finally {
    body?.cancel().catch(() => {})
  }
}

/**
 * Creates the limiters for Google, which limits each model: `'gemini-2.5*'` is one limiter shared by a family, and
 * `default` applies to each model that is not listed. With `probeWith`, an unlimited client, a call of one token
 * tests whether a refused model accepts calls again. Without it, the oldest waiting call is the probe.
 *
 * @example
 * const limits = googleService({ 'gemini-2.5-flash': { requestsPerMinute: 1000 }, default: { requestsPerMinute: 10
 * } })
 * const google = limitGoogle(new GoogleGenAI({ apiKey }), limits)
 */
export function googleService(
  models: Record<string, ModelLimits>,
  { parent, probeWith }: { parent?: AnyLimiter; probeWith?: GoogleGenAI } = {},
): LimitedService {
  const ask =
    probeWith &&
    ((model: string, abortSignal: AbortSignal) =>
      probeWith.models.generateContent({ model, contents: '.', config: { maxOutputTokens: 1, abortSignal } }))
  return serviceByModel('google', models, parent, ask)
}
