// The public surface of 'llmiter/openai': the official client with a limiter inside, for OpenAI, Azure and
// OpenAI-compatible providers.

import type { AnyLimiter, LimitedService, LimiterOptions, ModelLimits } from 'llmiter'
import type { OpenAI } from 'openai'
import { azureCharge, byUsage, type Charge, openaiCharge } from './shared/charge.ts'
import { type ClientLimits, type ClientOptions, limitsOf } from './shared/limits.ts'
import type { Limited } from './shared/limited.ts'
import { type ClientPool, isPool, type Pooled, poolClient } from './shared/pooled.ts'
import { modelIn, modelOf } from './shared/request.ts'
import { serviceByModel, serviceOfAccount } from './shared/service.ts'
import { type Dialect, limitClient } from './shared/stainless.ts'

export type { ClientCallOptions, ClientLimits, ClientOptions, LimitsByModel } from './shared/limits.ts'
export type { Limited } from './shared/limited.ts'
export type { ClientPool, Pooled, PooledCallOptions } from './shared/pooled.ts'

/** Options of `limitOpenAI`. */
export interface OpenAIOptions extends ClientOptions {
  /**
   * How calls are charged. `'openai'`: at the start, by `max_tokens` or the prompt length, whichever is larger.
   * `'azure'`: at the start, by both. `'usage'`: by actual usage, as other providers do.
   * @default by the base URL: `'openai'` or `'azure'` for theirs, otherwise `'usage'`
   */
  charge?: 'openai' | 'azure' | 'usage'
}

const CHARGES = { openai: openaiCharge, azure: azureCharge, usage: byUsage }

const GENERATES =
  /\/(completions|responses|embeddings|moderations|images\/(generations|edits|variations)|audio\/(speech|transcriptions|translations)|videos|runs)$/

/** The fields of Azure's client in addition to those of OpenAI's. */
interface Azure {
  apiVersion?: string
  deploymentName?: string | undefined
}

/**
 * Returns a client whose calls go to the first client of a pool with room. Each target of the pool has a `client`
 * of this kind. Lists, files and batches go to the first target, or to the one named by `withLimiterOptions({
 * target })`.
 *
 * @example
 * const openai = limitOpenAI(createPool({ targets: [{ name: 'a', limiter: a, client: clientA }, { name: 'b',
 * limiter: b, client: clientB }] }))
 */
export function limitOpenAI<C extends OpenAI>(pool: ClientPool<C>, options?: OpenAIOptions): Pooled<C>
/**
 * Returns a copy of the client whose calls wait for tickets. `instanceof`, types, streams, `.withResponse()` and
 * all helpers work unchanged. The original client is not limited.
 *
 * @example
 * const openai = limitOpenAI(new OpenAI(), { models: { 'gpt-5': { requestsPerMinute: 500, tokensPerMinute: 200_000
 * } } })
 *
 * @throws TypeError when an option is wrong. Calls reject with the SDK's own errors, or with a `LimiterError`.
 */
export function limitOpenAI<C extends OpenAI>(
  client: C,
  limits: ClientLimits,
  options?: OpenAIOptions,
): Limited<C>
export function limitOpenAI<C extends OpenAI>(
  clientOrPool: C | ClientPool<C>,
  limitsOrOptions: ClientLimits | OpenAIOptions = {},
  options: OpenAIOptions = {},
): Limited<C> | Pooled<C> {
  if (!isPool<C>(clientOrPool)) return limited(clientOrPool, limitsOrOptions as ClientLimits, options)
  return poolClient(
    clientOrPool,
    (client, limiter) => limited(client, limiter, limitsOrOptions as OpenAIOptions),
    dialectOf,
  )
}

function limited<C extends OpenAI>(client: C, limits: ClientLimits, options: OpenAIOptions): Limited<C> {
  const { charge, ...others } = options
  return limitClient(
    client,
    limitsOf(limits, chargeOf(client, charge), others, 'limitOpenAI', ['charge']),
    dialectOf,
  )
}

function chargeOf(client: OpenAI & Azure, said: OpenAIOptions['charge']): Charge {
  if (said !== undefined && !Object.hasOwn(CHARGES, said))
    throw new TypeError(`charge must be 'openai', 'azure' or 'usage', got '${String(said)}'`)
  if (said) return CHARGES[said]
  // A value that is not a client is rejected later.
  if (!URL.canParse(client?.baseURL)) return byUsage
  const { hostname } = new URL(client.baseURL)
  if (client.apiVersion || hostname.endsWith('.azure.com')) return azureCharge
  return hostname.endsWith('.openai.com') ? openaiCharge : byUsage
}

function dialectOf({ apiVersion, deploymentName }: OpenAI & Azure): Dialect {
  return {
    name: 'limitOpenAI',
    sdk: 'openai 4 or later',
    generates: (path) => GENERATES.test(path),
    modelOf: ({ body, path, __metadata }) =>
      deploymentName ?? modelOf(body) ?? (__metadata?.['model'] as string | undefined) ?? modelIn(path),
    // Older versions of Azure's client do not copy these.
    ...(apiVersion && { remember: { apiVersion, deployment: deploymentName } }),
  }
}

/** The smallest possible call. */
const askBy = (client: OpenAI) => (model: string, signal: AbortSignal) =>
  client.chat.completions.create(
    { model, messages: [{ role: 'user', content: '.' }], max_completion_tokens: 1 },
    { signal, maxRetries: 0 },
  )

/**
 * Creates the limiters for OpenAI, which limits each model: `'gpt-5*'` is one limiter shared by a family, and
 * `default` applies to each model that is not listed. With `probeWith`, an unlimited client, a call of one token
 * tests whether a refused model accepts calls again. Without it, the oldest waiting call is the probe.
 *
 * @example
 * const limits = openaiService({ 'gpt-5': { requestsPerMinute: 500 }, default: { requestsPerMinute: 60 } })
 * const openai = limitOpenAI(new OpenAI(), limits)
 */
export function openaiService(
  models: Record<string, ModelLimits>,
  { parent, probeWith }: { parent?: AnyLimiter; probeWith?: OpenAI } = {},
): LimitedService {
  return serviceByModel('openai', models, parent, probeWith && askBy(probeWith))
}

/**
 * Creates the limiter for Fireworks, which limits the whole account. With `probeWith`, an unlimited client, and a
 * `model`, a call of one token tests whether the provider accepts calls again. Without it, the oldest waiting call
 * is the probe.
 *
 * @example
 * const fireworks = limitOpenAI(
 *   new OpenAI({ baseURL: 'https://api.fireworks.ai/inference/v1' }),
 *   fireworksService({ requestsPerMinute: 600 }),
 * )
 */
export function fireworksService(
  limits: Omit<LimiterOptions, 'name' | 'probe'>,
  {
    probeWith,
    model,
  }: { probeWith: OpenAI; model: string } | { probeWith?: undefined; model?: undefined } = {},
): LimitedService {
  const ask = probeWith && askBy(probeWith)
  return serviceOfAccount('fireworks', limits, ask && ((signal) => ask(model, signal)))
}
