// The public surface of 'llmiter/openai': the official client with a limiter inside, for OpenAI, for Azure, and for
// everyone who speaks OpenAI's language.

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
   * By whose rule a call is charged: `'openai'` at the start by `max_tokens` or the length of the prompt, `'azure'` at
   * the start by both, `'usage'` by what was used, as everyone else does. Default: by the base URL; one that is neither
   * OpenAI's nor Azure's charges by usage.
   */
  charge?: 'openai' | 'azure' | 'usage'
}

const CHARGES = { openai: openaiCharge, azure: azureCharge, usage: byUsage }

const GENERATES =
  /\/(completions|responses|embeddings|moderations|images\/(generations|edits|variations)|audio\/(speech|transcriptions|translations)|videos|runs)$/

/** What of Azure's client there is besides OpenAI's. */
interface Azure {
  apiVersion?: string
  deploymentName?: string | undefined
}

/**
 * A client whose calls go to whichever client of a pool has room first: each target of the pool has a `client` of this
 * kind. Lists, files and batches stay with the first target, or with the one that `withLimiterOptions({ target })` names.
 *
 * @example
 * const openai = limitOpenAI(createPool({ targets: [{ name: 'a', limiter: a, client: clientA }, { name: 'b', limiter: b, client: clientB }] }))
 */
export function limitOpenAI<C extends OpenAI>(pool: ClientPool<C>, options?: OpenAIOptions): Pooled<C>
/**
 * The same client, whose calls wait for their tickets: `instanceof`, types, streams, `.withResponse()` and all helpers
 * are as they were. The client that was passed in stays without limits.
 *
 * @example
 * const openai = limitOpenAI(new OpenAI(), { models: { 'gpt-5': { requestsPerMinute: 500, tokensPerMinute: 200_000 } } })
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
  // What is no client at all is refused below.
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
    // Older versions of Azure's client do not carry them over.
    ...(apiVersion && { remember: { apiVersion, deployment: deploymentName } }),
  }
}

/** The smallest call there is. */
const askBy = (client: OpenAI) => (model: string, signal: AbortSignal) =>
  client.chat.completions.create(
    { model, messages: [{ role: 'user', content: '.' }], max_completion_tokens: 1 },
    { signal, maxRetries: 0 },
  )

/**
 * OpenAI limits each model: `'gpt-5*'` is one limiter that a family shares, `default` is for each that is not listed.
 * With `probeWith`, a client without limits, a refused model is asked by a call of one token whether it accepts again;
 * without, the oldest call that waits is the probe.
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
 * Fireworks limits the account, across all models. With `probeWith`, a client without limits, and a `model`, it is asked by a
 * call of one token whether it accepts again; without, the oldest call that waits is the probe.
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
