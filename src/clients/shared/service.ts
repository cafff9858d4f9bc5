// Services of the known providers: the scope of their limits, and optionally a probe of one token that tests
// whether the provider accepts calls again, instead of a waiting call.

import {
  type AnyLimiter,
  type LimitedService,
  type LimiterOptions,
  type ModelLimits,
  perModel,
  shared,
} from 'llmiter'

/** Makes the smallest possible call of this model. */
export type Ask = (model: string, signal: AbortSignal) => PromiseLike<unknown>

/** Statuses of refusals. Any other status means that the call was accepted. */
const NOT_NOW = [408, 409, 429, 498]

async function accepts(asked: PromiseLike<unknown>): Promise<boolean> {
  try {
    await asked
    return true
  } catch (error) {
    const { status, statusCode = status } = Object(error) as { status?: unknown; statusCode?: unknown }
    return typeof statusCode === 'number' && statusCode < 500 && !NOT_NOW.includes(statusCode)
  }
}

/** Creates a limiter per model, each of which probes with its own model. */
export function serviceByModel(
  name: string,
  models: Record<string, ModelLimits>,
  parent: AnyLimiter | undefined,
  ask: Ask | undefined,
): LimitedService {
  const service = perModel(models, { name, ...(parent && { parent }) })
  if (!ask) return service
  const asking = new WeakSet<AnyLimiter>()
  return {
    ...service,
    limiterFor(model) {
      const limiter = service.limiterFor(model)
      // A family's limiter probes with the first of its models that was called, since only then a model name is
      // known.
      if (model !== undefined && !asking.has(limiter)) {
        asking.add(limiter)
        limiter.update({ probe: (signal) => accepts(ask(model, signal)) })
      }
      return limiter
    },
  }
}

/** Creates one limiter for the account, which probes with this model. */
export function serviceOfAccount(
  name: string,
  limits: Omit<LimiterOptions, 'name'>,
  ask: ((signal: AbortSignal) => PromiseLike<unknown>) | undefined,
): LimitedService {
  return shared({ name, ...limits, ...(ask && { probe: (signal) => accepts(ask(signal)) }) })
}
