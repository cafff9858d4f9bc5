// The public surface of 'llmiter/google': the client of @google/genai with a limiter inside.
//
// Its `ApiClient` has one place where every request begins, `apiCall`, before the timer of any try:
//
//   apiCall ── timeout taken away ──▶ the SDK's own tries ──▶ fetch: waits for the ticket ──▶ timeout ──▶ fetch
//
// So refusals wait in the queue, each try has a ticket of its own, and the time in the queue is no part of the timeout. The
// public option `httpOptions.fetch` would come within the timer, and would lose what the SDK gives to Node's own
// fetch: no limit of five minutes for an answer to begin. `apiCall` is private to the SDK: a test pins it.

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

/** What of the SDK's `ApiClient` this rests on. */
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

/** The SDK's own list, without what waits in the queue. */
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

/** Chats have a way of their own to `models`, and stay with the first target. */
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
 * A client whose calls of `models` go to whichever client of a pool has room first: each target of the pool has a
 * `client` of this kind. Chats, files and all else stay with the first target, or with the one that
 * `withLimiterOptions({ target })` names.
 *
 * @example
 * const google = limitGoogle(createPool({ targets: [{ name: 'a', limiter: a, client: clientA }, { name: 'b', limiter: b, client: clientB }] }))
 */
export function limitGoogle<C extends GoogleGenAI>(pool: ClientPool<C>, options?: ClientOptions): Pooled<C>
/**
 * The same client, whose calls wait for their tickets: `instanceof`, types, chats, streams and all helpers are as they
 * were. The client that was passed in stays without limits. A call is charged its input alone, as Gemini does.
 *
 * A stream that is left early is cancelled (the bare SDK leaves its connection open). `interactions` wait within the
 * SDK's own `timeout`: give it a long one. The sockets of `live` are not limited.
 *
 * @example
 * const google = limitGoogle(new GoogleGenAI({ apiKey }), {
 *   models: { 'gemini-2.5*': { requestsPerMinute: 1000, inputTokensPerMinute: 1_000_000, requestsPerDay: 10_000 } },
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
 * Before 2.26: `apiCall` sends by the global `fetch`, and has its timeout in the signal that it is given, so that the
 * time in the queue is part of it.
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
  // It has a client of its own, which nothing here reaches.
  if ('interactions' in limited) {
    Object.defineProperty(limited, 'interactions', {
      get() {
        throw new TypeError('limitGoogle limits `interactions` of @google/genai from version 2.26 on')
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
    // For `interactions`, which have a client of their own below.
    getFetch: () => limitedFetch(bare.getFetch.call(apiClient) ?? systemFetch, limits, describeCall),
  }
  Object.assign(apiClient, own)
  return limited
}

/** The same client, of parts that share an `ApiClient` of their own: made by its constructor, which knows them all. */
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

/** One call, with all the tries that the SDK makes of it. */
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
  // The signal of a try hears nothing of its caller once that try is over, but the next one waits on the first one's place.
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
      // What the queue itself says is final: to try again would be to join it once more.
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

/** The SDK's own timeout: of one try, its body included, and without a word of why. */
function timed(init: RequestInit | undefined, timeout: number | undefined): RequestInit | undefined {
  if (!timeout || !(timeout > 0)) return init
  const late = new AbortController()
  const timer: unknown = setTimeout(() => late.abort(), timeout)
  ;(timer as { unref?: () => void }).unref?.()
  return { ...init, signal: init?.signal ? AbortSignal.any([init.signal, late.signal]) : late.signal }
}

/** The SDK lets go of the body of a stream that is left, and does not end it. */
async function* cancelled(chunks: AsyncGenerator<unknown>, { body }: Response): AsyncGenerator<unknown> {
  try {
    yield* chunks
  } finally {
    body?.cancel().catch(() => {})
  }
}

/**
 * Google limits each model: `'gemini-2.5*'` is one limiter that a family shares, `default` is for each that is not
 * listed. With `probeWith`, a client without limits, a refused model is asked by a call of one token whether it accepts
 * again; without, the oldest call that waits is the probe.
 *
 * @example
 * const limits = googleService({ 'gemini-2.5-flash': { requestsPerMinute: 1000 }, default: { requestsPerMinute: 10 } })
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
