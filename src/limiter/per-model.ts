// Which limiter a call belongs to: a provider that limits each model, or the account as a whole.

import { didYouMean, meant } from '../lib/suggest.ts'
import { LIMIT_SYNONYMS } from '../lib/synonyms.ts'
import { fields, text } from '../lib/validate.ts'
import { BucketRateLimiter } from './bucket-rate-limiter.ts'
import { type LimiterGroup, limiterGroup } from './limiter-group.ts'
import { type AnyLimiter, LIMITER_KEYS, type LimiterOptions } from './options.ts'

/** A provider, as far as limits go. */
export interface RateLimitedService {
  /** Its name in errors. */
  readonly name: string
  /** The limiter for calls to this model. Throws when the service does not know the model. */
  limiterFor(model?: string): AnyLimiter
  /** Asks the provider whether it still refuses calls; used in place of sending a waiting call as the probe. */
  isBlocked?(signal: AbortSignal): boolean | Promise<boolean>
}

/** A service whose limiters we made. */
export interface LimitedService extends RateLimitedService, LimiterGroup {
  limiterFor(model?: string): BucketRateLimiter
}

/** Options of a service with several limiters. */
export interface ServiceOptions {
  /** For errors and events. */
  name?: string | undefined
  /** Asks the provider whether it still refuses calls, instead of sending a waiting call as the probe. */
  isBlocked?: ((signal: AbortSignal) => boolean | Promise<boolean>) | undefined
  /** The account's limiter, above all models. */
  parent?: AnyLimiter | undefined
}

/** How many models get a limiter of their own; the rest share one. */
const MOST_MODELS = 1000

/** The options of one model's limiter, which gets its name and parent from the service. */
export type ModelLimits = Omit<LimiterOptions, 'name' | 'parent'>

/** What belongs to the service, not to one of its models. */
const notHere = ({ name, parent }: LimiterOptions): boolean => (name ?? parent) !== undefined

/** An error in the options of a model names the model. */
function named<T>(key: string, make: () => T): T {
  try {
    return make()
  } catch (error) {
    if (error instanceof TypeError) error.message = `limits of the model '${key}': ${error.message}`
    throw error
  }
}

/** An option of a limiter stands where the name of a model should. */
function asOption(key: string): string {
  const option = meant(key, LIMITER_KEYS, LIMIT_SYNONYMS, 1)
  return option === undefined
    ? ''
    : ` (did you mean { 'gpt-5': { ${option} } }? One limiter for all models: shared())`
}

/**
 * A limiter for each model, as at OpenAI and Google. `'gpt-5*'` is one limiter that a family shares; `default` is
 * for each model that is not listed.
 *
 * @example
 * const openaiLimits = perModel({ 'gpt-5': { requestsPerMinute: 500 }, 'gpt-5-mini*': { requestsPerMinute: 2000 } })
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
  // Made at once, so that a wrong option is reported at once.
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
        // Model names may come from clients: they must not grow the memory, nor get round the limit.
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
 * One limiter for all models, as at Mistral and Fireworks.
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
