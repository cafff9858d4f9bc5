// The public surface of 'llmiter/ai-sdk': a limiter as a middleware of the `ai` SDK, for any of its providers.
//
// The middleware runs inside the SDK's retry loop, so each attempt has its own ticket. It runs before the
// provider's request, so waiting does not count against a timeout. It sees no responses, only what the provider
// module makes of them: errors with headers, parts of a stream, and usage.

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

/**
 * The parts of a call, a model and a result that are used here. They are the same in all known versions of the
 * SDK.
 */
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
  /** Each version of the SDK requires its own value here, and none reads it. */
  readonly specificationVersion: never
  /** Limits a call without streaming. */
  wrapGenerate<R extends Result>(call: Call & { doGenerate: () => PromiseLike<R> }): Promise<R>
  /** Limits a call that streams. */
  wrapStream<R extends StreamResult>(call: Call & { doStream: () => PromiseLike<R> }): Promise<R>
  /** Limits an embedding. */
  wrapEmbed<R extends Result>(call: Call & { doEmbed: () => PromiseLike<R> }): Promise<R>
}

/** Matched against provider names: 'openai.responses', 'azure.chat', 'google.generative-ai'. */
const CHARGES: [RegExp, Charge][] = [
  [/^openai\b/, openaiCharge],
  [/^azure\b/, azureCharge],
  [/^google\b/, inputOnly],
]

/** Errors of calls that were never sent. */
const UNSENT =
  /^AI_(LoadAPIKey|LoadSetting|UnsupportedFunctionality|Invalid(Prompt|Argument)|TooManyEmbeddingValuesForCall)Error$/

const REFUSED = [402, 413, 429, 498, 503, 529]

/**
 * Creates a middleware for `wrapLanguageModel` (and `wrapEmbeddingModel`) whose calls wait for tickets. Each call
 * is charged by the rule of its model's provider, and uses the limiter of its `modelId`. One middleware can serve
 * many models.
 *
 * Refused calls wait in the queue and do not count against `maxRetries`. The SDK retries other failures, each
 * attempt with its own ticket. A refusal that waiting cannot resolve is thrown with `isRetryable: false`, since
 * the SDK would otherwise retry it.
 *
 * @example
 * const limiter = limiterMiddleware({ models: { 'gpt-5*': { requestsPerMinute: 500, tokensPerMinute: 200_000 } }
 * })
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
  // Each target's model is called as it is.
  rewrite: ([params, ...more], _model, signal) =>
    signal ? [{ ...(params as object), abortSignal: signal }, ...more] : [params, ...more],
}

/**
 * Creates a model whose calls go to the first model of a pool with room. Each target of the pool has an AI SDK
 * model as its `client`, all for the same kind of call, possibly with different keys and providers. Properties
 * that the SDK reads from a model, such as its id, come from the first target, so list the preferred model first.
 *
 * @example
 * const model = poolModel(createPool({ targets: [{ name: 'a', limiter: a, client: openaiA('gpt-5') }, { name: 'b',
 * limiter: b, client: openaiB('gpt-5') }] }))
 * const { text } = await generateText({ model, prompt: 'What is the capital of France?' })
 *
 * @throws TypeError when a target has no model. Calls reject with the SDK's own errors, or with a `LimiterError`.
 */
export function poolModel<M extends object>(pool: ClientPool<M>, options: ClientOptions = {}): Pooled<M> {
  return poolMethods(pool, (model, limiter) => limitedModel(model, limiter, options), POOLED)
}

const WRAPPERS = { doGenerate: 'wrapGenerate', doStream: 'wrapStream', doEmbed: 'wrapEmbed' } as const

/** The equivalent of the SDK's `wrapLanguageModel`, which this file does not import. */
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
        // Raw parts repeat the usage, under names that differ between providers.
        if (type === 'finish') usage = mergeUsage(usage, by(call.model, part))
        return usage && used(usage)
      })
      return { ...result, stream }
    },
  }
}

/** One attempt of a call. If the signal is not the caller's, the model is called with it. */
type Send<R> = (signal: AbortSignal | undefined) => PromiseLike<R>

/** The functions that the SDK passes to a middleware always use the caller's signal. */
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

/** Adds the provider's name to a result, which decides whether cache reads count. */
const by = ({ provider }: Call['model'], result: unknown): object => ({
  ...(result as object),
  providerMetadata: { [provider]: {} },
})

/** Embedding results report only tokens. */
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

/** Marks a refusal as not retryable, if another attempt would be refused too. */
function forbidRetry(error: unknown): void {
  const { statusCode } = Object(error) as { statusCode?: unknown }
  if (REFUSED.includes(statusCode as number)) Object.assign(error as object, { isRetryable: false })
}
