// The public surface of 'llmiter/ai-sdk': a limiter as a middleware of the `ai` SDK, for any of its providers.
//
// The middleware stands below the SDK's own tries, so each of them has a ticket of its own, and above the provider's
// request, so the wait counts against no timeout. It sees no responses, only what the provider has made of them: errors with
// their headers, parts of a stream, and usage.

import { type AnyLimiter, mergeUsage, readUsage, type Usage } from 'llmiter'
import { azureCharge, byUsage, type Charge, inputOnly, openaiCharge } from './shared/charge.ts'
import { type Limited, limitedWith } from './shared/limited.ts'
import {
  checkCallOptions,
  type ClientCallOptions,
  type ClientLimits,
  type ClientOptions,
  type ClientTicket,
  type Limits,
  limitsOf,
} from './shared/limits.ts'
import type { ClientPool, Pooled } from './shared/pooled.ts'
import { poolMethods, type PooledMethods } from './shared/pooled-methods.ts'

export type { ClientPool, Pooled, PooledCallOptions } from './shared/pooled.ts'
export type { ClientCallOptions, ClientLimits, ClientOptions, LimitsByModel } from './shared/limits.ts'
export type { Limited } from './shared/limited.ts'

/** What of a call, a model and a result this rests on: the same in all versions of the SDK that are known. */
interface Call {
  params: { abortSignal?: AbortSignal | undefined; providerOptions?: { llmiter?: object } | undefined }
  model: { modelId: string; provider: string }
}
interface Result {
  usage?: unknown
  response?: { headers?: unknown } | undefined
}
interface StreamResult {
  stream: ReadableStream<unknown>
  response?: { headers?: unknown } | undefined
}

/** A middleware of the AI SDK with a limiter inside. */
export interface LimiterMiddleware {
  /** Each version of the SDK wants its own here, and none reads it. */
  readonly specificationVersion: never
  /** Limits a call that answers at once. */
  wrapGenerate<R extends Result>(call: Call & { doGenerate: () => PromiseLike<R> }): Promise<R>
  /** Limits a call that streams. */
  wrapStream<R extends StreamResult>(call: Call & { doStream: () => PromiseLike<R> }): Promise<R>
  /** Limits an embedding. */
  wrapEmbed<R extends Result>(call: Call & { doEmbed: () => PromiseLike<R> }): Promise<R>
}

/** By the names that providers give themselves: 'openai.responses', 'azure.chat', 'google.generative-ai'. */
const CHARGES: [RegExp, Charge][] = [
  [/^openai\b/, openaiCharge],
  [/^azure\b/, azureCharge],
  [/^google\b/, inputOnly],
]

/** What is thrown of a call that is never sent. */
const UNSENT =
  /^AI_(LoadAPIKey|LoadSetting|UnsupportedFunctionality|Invalid(Prompt|Argument)|TooManyEmbeddingValuesForCall)Error$/

const REFUSED = [402, 413, 429, 498, 503, 529]

/**
 * A middleware for `wrapLanguageModel` (and `wrapEmbeddingModel`), whose calls wait for their tickets. Each call is charged
 * by the rule of its model's provider, and belongs to the limiter of its `modelId`. One middleware may serve many models.
 *
 * Refused calls wait in the queue and do not count against `maxRetries`; other failures are retried by the SDK, each try with a
 * ticket of its own. A refusal that waiting does not help is given on with `isRetryable: false`, since the SDK would
 * try it again.
 *
 * @example
 * const limiter = limiterMiddleware({ models: { 'gpt-5*': { requestsPerMinute: 500, tokensPerMinute: 200_000 } } })
 * const model = wrapLanguageModel({ model: openai('gpt-5'), middleware: limiter })
 * const { text } = await generateText({ model, prompt: 'What is the capital of France?' })
 *
 * @throws TypeError when an option is wrong. Calls reject with the SDK's own errors, or with a `LimiterError`.
 */
export function limiterMiddleware(
  limits: ClientLimits,
  options: ClientOptions = {},
): Limited<LimiterMiddleware> {
  return limitedWith(limitsOf(limits, byUsage, options, 'limiterMiddleware'), middlewareOf)
}

const POOLED: PooledMethods = {
  generates: ['doGenerate', 'doStream', 'doEmbed'],
  signalOf: ([params]) => (params as Call['params'] | undefined)?.abortSignal,
  modelOf: (_, model) => (model as Call['model']).modelId,
  // Each model is asked for itself.
  rewrite: ([params, ...more], _model, signal) =>
    signal ? [{ ...(params as object), abortSignal: signal }, ...more] : [params, ...more],
}

/**
 * A model whose calls go to whichever model of a pool has room first: each target of the pool has a model of the AI SDK as
 * its `client`, all for the same kind of call. They may be of different keys and providers. Name them in the order of your
 * wish: what the SDK asks of a model itself, such as its id, the first one tells.
 *
 * @example
 * const model = poolModel(createPool({ targets: [{ name: 'a', limiter: a, client: openaiA('gpt-5') }, { name: 'b', limiter: b, client: openaiB('gpt-5') }] }))
 * const { text } = await generateText({ model, prompt: 'What is the capital of France?' })
 *
 * @throws TypeError when a target has no model. Calls reject with the SDK's own errors, or with a `LimiterError`.
 */
export function poolModel<M extends object>(pool: ClientPool<M>, options: ClientOptions = {}): Pooled<M> {
  return poolMethods(pool, (model, limiter) => limitedModel(model, limiter, options), POOLED)
}

const WRAPPERS = { doGenerate: 'wrapGenerate', doStream: 'wrapStream', doEmbed: 'wrapEmbed' } as const

/** What `wrapLanguageModel` of the SDK makes, which this file does not import. */
function limitedModel<M extends object>(model: M, limiter: AnyLimiter, options: ClientOptions): M {
  const middleware = limiterMiddleware(limiter, options)
  return new Proxy(model, {
    get(target, key) {
      const value = Reflect.get(target, key, target) as unknown
      if (typeof value !== 'function') return value
      const send = value.bind(target) as (params: object) => PromiseLike<never>
      const wrapper = WRAPPERS[key as keyof typeof WRAPPERS] as
        (typeof WRAPPERS)[keyof typeof WRAPPERS] | undefined
      if (!wrapper) return send
      return (params: Call['params']) =>
        (middleware[wrapper] as (call: object) => unknown)({
          params,
          model: target,
          [key]: () => send(params),
        })
    },
  })
}

function middlewareOf(limits: Limits): LimiterMiddleware {
  return {
    specificationVersion: 'v4' as never,
    wrapGenerate: ({ doGenerate, ...call }) => whole(limits, call, boundable(call, 'doGenerate', doGenerate)),
    wrapEmbed: ({ doEmbed, ...call }) => whole(limits, call, boundable(call, 'doEmbed', doEmbed)),
    async wrapStream({ doStream, ...call }) {
      const [result, { ticket, used }] = await inLine(limits, call, boundable(call, 'doStream', doStream))
      ticket.accepted({ headers: result.response?.headers })
      let usage: Usage | undefined
      const stream = ticket.hold(result.stream, (part) => {
        const { type, error } = Object(part) as { type?: unknown; error?: unknown }
        if (type === 'error') ticket.fail(error)
        // Raw parts repeat it, under names that differ between providers.
        if (type === 'finish') usage = mergeUsage(usage, by(call.model, part))
        return usage && used(usage)
      })
      return { ...result, stream }
    },
  }
}

/** One try of a call. With another signal than its caller's, the model is asked with that. */
type Send<R> = (signal: AbortSignal | undefined) => PromiseLike<R>

/** What the SDK hands to a middleware knows its caller's signal alone. */
function boundable<R>({ params, model }: Call, method: string, send: () => PromiseLike<R>): Send<R> {
  const methods = model as unknown as Record<string, (params: object) => PromiseLike<R>>
  return (signal) =>
    signal === params.abortSignal ? send() : methods[method]!({ ...params, abortSignal: signal })
}

async function whole<R extends Result>(limits: Limits, call: Call, send: Send<R>): Promise<R> {
  const [result, { ticket, used }] = await inLine(limits, call, send)
  const usage = usageOf(result, call.model)
  ticket.finish({ usage: usage && used(usage), headers: result.response?.headers })
  return result
}

/** A result that names its provider, whose rule decides whether cache reads count. */
const by = ({ provider }: Call['model'], result: unknown): object => ({
  ...(result as object),
  providerMetadata: { [provider]: {} },
})

/** Embeddings report only their tokens. */
function usageOf(result: Result, model: Call['model']): Usage | undefined {
  const { tokens } = Object(result.usage) as { tokens?: unknown }
  return typeof tokens === 'number' ? { tokens, inputTokens: tokens } : readUsage(by(model, result))
}

async function inLine<R>(limits: Limits, { params, model }: Call, send: Send<R>): Promise<[R, ClientTicket]> {
  const { abortSignal: signal, ...request } = params
  const [, charge = byUsage] = CHARGES.find(([provider]) => provider.test(model.provider)) ?? []
  const own = params.providerOptions?.llmiter as ClientCallOptions | undefined
  if (own) checkCallOptions(own, 'providerOptions.llmiter')
  let grant = await limits.grant({
    ...{ model: model.modelId, request, generates: true, signal, charge },
    ...(own && { options: own }),
  })
  for (;;) {
    try {
      return [await grant.ticket.attempt(send), grant]
    } catch (error) {
      if (UNSENT.test((Object(error) as Error).name)) {
        grant.ticket.release()
        throw error
      }
      const ticket = await grant.ticket.refuse(error).catch((final: unknown) => {
        if (final === error) forbidRetry(error)
        throw final
      })
      grant = { ...grant, ticket }
    }
  }
}

/** What is refused for good is refused again when it is tried again. */
function forbidRetry(error: unknown): void {
  const { statusCode } = Object(error) as { statusCode?: unknown }
  if (REFUSED.includes(statusCode as number)) Object.assign(error as object, { isRetryable: false })
}
