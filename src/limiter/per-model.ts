// Services: decide which limiter a call belongs to, for providers that limit each model or the whole account.

import { didYouMean, meant } from '../lib/suggest.ts'
import { LIMIT_SYNONYMS } from '../lib/synonyms.ts'
import { fields, text } from '../lib/validate.ts'
import { BucketRateLimiter } from './bucket-rate-limiter.ts'
import { type LimiterGroup, limiterGroup } from './limiter-group.ts'
import { type AnyLimiter, LIMITER_KEYS, type LimiterOptions } from './options.ts'

/** The limiters of a provider. */
export interface RateLimitedService {
  /** The name in errors. */
  readonly name: string
  /** The limiter for calls to this model. Throws if the service does not know the model. */
  limiterFor(model?: string): AnyLimiter
  /** Asks the provider whether it still refuses calls, instead of sending a waiting call as the probe. */
  isBlocked?(signal: AbortSignal): boolean | Promise<boolean>
}

/** A service created by this package. */
export interface LimitedService extends RateLimitedService, LimiterGroup {
  limiterFor(model?: string): BucketRateLimiter
}

/** Options of a service with several limiters. */
export interface ServiceOptions {
  /** The name in errors and events. */
  name?: string | undefined
  /** Asks the provider whether it still refuses calls, instead of sending a waiting call as the probe. */
  isBlocked?: ((signal: AbortSignal) => boolean | Promise<boolean>) | undefined
  /** The account's limiter, above all models. */
  parent?: AnyLimiter | undefined
}

/** How many models get their own limiter. The rest share one. */
const MOST_MODELS = 1000

/** The options of one model's limiter. Its name and parent come from the service. */
export type ModelLimits = Omit<LimiterOptions, 'name' | 'parent'>

/** Whether options belong to the service instead of one of its models. */
const notHere = ({ name, parent }: LimiterOptions): boolean => (name ?? parent) !== undefined

/** Adds the model's name to errors in its options. */
function named<T>(key: string, make: () => T): T {
  try {
    return make()
  } catch (error) {
    if (error instanceof TypeError) error.message = `limits of the model '${key}': ${error.message}`
    throw error
  }
}

/** A hint for an option of a limiter in place of a model's name. */
function asOption(key: string): string {
  const option = meant(key, LIMITER_KEYS, LIMIT_SYNONYMS, 1)
  return option === undefined
    ? ''
    : ` (did you mean { 'gpt-5': { ${option} } }? One limiter for all models: shared())`
}

/**
 * Creates a limiter for each model, as for OpenAI and Google. `'gpt-5*'` is one limiter shared by a family.
 * `default` applies to each model that is not listed.
 *
 * @example
 * const openaiLimits = perModel({ 'gpt-5': { requestsPerMinute: 500 }, 'gpt-5-mini*': { requestsPerMinute: 2000 }
 * })
 * const ask = withLimiter(createResponse, openaiLimits, { model: (request) => request.model })
 *
 * @throws TypeError from `limiterFor` when a model is not listed and there is no `default`.
 */
export function perModel(models: Record<string, ModelLimits>, options: ServiceOptions = {}): LimitedService {
  fields(options, 'perModel', ['name', 'isBlocked', 'parent'])
  const { name = 'service', isBlocked, parent } = options
  const limiters = new Map<string, BucketRateLimiter>()
  const { add, group } = limiterGroup()
  const make = (key: string, limits: ModelLimits) => {
    if (typeof limits !== 'object' || limits === null || notHere(limits))
      throw new TypeError(
        `limits of the model '${key}' must be options without name and parent, got ${text(limits)}${asOption(key)}`,
      )
    const limiter = named(
      key,
      () => new BucketRateLimiter({ ...limits, name: key, ...(parent && { parent }) }),
    )
    limiters.set(key, limiter)
    add(limiter)
    return limiter
  }
  if (typeof models !== 'object' || models === null || Object.keys(models).length === 0)
    throw new TypeError(
      `models must be like { 'gpt-5': { requestsPerMinute: 500 }, default: … }, got ${text(models)}`,
    )
  const { default: rest, ...listed } = models
  // Created immediately, so that an invalid option is reported immediately.
  for (const [key, limits] of Object.entries(listed)) make(key, limits)
  if (rest !== undefined) make('default', rest)
  const families = Object.keys(listed)
    .filter((key) => key.endsWith('*'))
    .sort((a, b) => b.length - a.length)
  return {
    name,
    limiterFor(model) {
      const known = limiters.get(model ?? 'default')
      if (known) return known
      const family = model !== undefined && families.find((key) => model.startsWith(key.slice(0, -1)))
      if (family) return limiters.get(family)!
      if (rest) {
        // Model names may come from clients, who must not be able to fill the memory or evade the limit.
        const key = limiters.size < MOST_MODELS ? (model ?? 'default') : 'default'
        return limiters.get(key) ?? make(key, rest)
      }
      throw new TypeError(
        `'${name}' has no limits for the model ${text(model)}${model ? '' : ' (the option model names it)'} and no default${didYouMean(model, Object.keys(models))}; known: ${Object.keys(models).join(', ')}`,
      )
    },
    ...group,
    ...(isBlocked && { isBlocked }),
  }
}

/**
 * Creates one limiter for all models, as for Mistral and Fireworks.
 *
 * @example
 * const mistral = shared({ name: 'mistral', requestsPerMinute: 60, tokensPerMinute: 500_000 })
 */
export function shared(
  options: LimiterOptions,
  service: Pick<ServiceOptions, 'isBlocked'> = {},
): LimitedService {
  fields(service, 'shared', ['isBlocked'])
  const { isBlocked } = service
  const limiter = new BucketRateLimiter(options)
  const { group } = limiterGroup(limiter)
  return {
    name: limiter.name,
    limiterFor: () => limiter,
    ...group,
    ...(isBlocked && { isBlocked }),
  }
}
