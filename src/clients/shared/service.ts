// Services of the known providers: where their limits hold, and, when asked for, how they are asked whether they
// accept again: by a call of one token, in place of a call that waits.

import {
  type AnyLimiter,
  type LimitedService,
  type LimiterOptions,
  type ModelLimits,
  perModel,
  shared,
} from 'llmiter'

/** Makes the smallest call of this model that there is. */
export type Ask = (model: string, signal: AbortSignal) => PromiseLike<unknown>

/** Statuses of refusals. Any other status answers a call that was accepted. */
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

/** A limiter for each model, each of which asks by a call of its own model. */
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
      // A family's limiter asks by the first of its models that was called: only now a name is known.
      if (model !== undefined && !asking.has(limiter)) {
        asking.add(limiter)
        limiter.update({ probe: (signal) => accepts(ask(model, signal)) })
      }
      return limiter
    },
  }
}

/** One limiter for the account, which asks by a call of this model. */
export function serviceOfAccount(
  name: string,
  limits: Omit<LimiterOptions, 'name'>,
  ask: ((signal: AbortSignal) => PromiseLike<unknown>) | undefined,
): LimitedService {
  return shared({ name, ...limits, ...(ask && { probe: (signal) => accepts(ask(signal)) }) })
}
