// Decides which targets may answer a call. The targets of a route share one queue. If limits are kept by model,
// there is one queue for each set of limiters.

import { createPool, type Pool, type PoolSnapshot, type PoolTarget, type TargetState } from 'llmiter/pool'
import { UpstreamError } from './errors.ts'
import type { LeafPlan, RoutePlan } from './portkey.ts'
import type { Protocol } from './protocol.ts'
import type { SavedPools } from './state.ts'
import type { Target } from './target.ts'

/** A target within a route. */
export interface Leaf extends PoolTarget {
  readonly plan: LeafPlan
}

const MOST_KNOWN = 1000

/** A plan with all targets, by their tiers and weights. */
export const planOf = (targets: readonly Target[]): RoutePlan => ({
  leaves: targets.map((target) => {
    const { weight, tier } = target.options
    return {
      name: target.name,
      target,
      ...(weight !== undefined && { weight }),
      ...(tier !== undefined && { tier }),
    }
  }),
})

export class Route {
  readonly #plan: RoutePlan
  readonly #pools = new Map<string, Pool<Leaf>>()
  /** Pools by protocol and model. */
  readonly #known = new Map<string, Pool<Leaf> | undefined>()
  readonly name: string
  readonly #saved: SavedPools

  /** `saved`: the state before a restart. */
  constructor(plan: RoutePlan, name: string, saved: SavedPools) {
    this.#plan = plan
    this.name = name
    this.#saved = saved
  }

  get cacheMs(): number | undefined {
    return this.#plan.cacheMs
  }

  /** Whether it decides by more of the body than the model. */
  get readsBody(): boolean {
    return this.#plan.readsBody ?? false
  }

  snapshots(): SavedPools {
    return Object.fromEntries([...this.#pools].map(([key, pool]) => [key, pool.snapshot()]))
  }

  /** The states of a target, one per queue that contains it. */
  statesOf({ name }: Target): TargetState[] {
    return [...this.#pools.values()].flatMap((pool) => {
      const { targets } = pool.stats()
      return targets.flatMap(({ state }, i) => (pool.targets[i]!.plan.target.name === name ? [state] : []))
    })
  }

  /** Undefined: none of its targets speaks this protocol. */
  poolFor(protocol: Protocol, model: string | undefined): Pool<Leaf> | undefined {
    const key = `${protocol}\n${model}`
    const known = this.#known.get(key)
    if (known) return known
    const pool = this.#find(protocol, model)
    if (this.#known.size >= MOST_KNOWN) this.#known.clear()
    this.#known.set(key, pool)
    return pool
  }

  #find(protocol: Protocol, model: string | undefined): Pool<Leaf> | undefined {
    const plans = this.#plan.leaves.filter(({ target }) => target.options.protocol === protocol)
    const strategy = this.#plan.strategyOf?.(new Set(plans.map(({ name }) => name)))
    if (plans.length === 0 || (this.#plan.strategyOf && strategy === undefined)) return undefined
    const isOnly = new Set(plans.map(({ target }) => target)).size === 1
    const leaves = plans.map((plan): Leaf => {
      const { name, weight, tier, overrides, target, breaker } = plan
      const own = overrides?.['model']
      const limiter = target.limiterFor(typeof own === 'string' ? own : model)
      return {
        name,
        limiter,
        plan,
        ...(weight !== undefined && { weight }),
        ...(tier !== undefined && { tier }),
        ...(breaker && { breaker }),
      }
    })
    const key = [this.name, ...leaves.map(({ limiter }) => limiter.name)].join('\n')
    const pool = this.#pools.get(key)
    if (pool) return pool
    const { sticky } = this.#plan
    const made = createPool({
      targets: leaves,
      ...(strategy !== undefined && { strategy }),
      ...(sticky && { sticky: { by: sticky.keyOf, ttl: sticky.ttlMs } }),
      fallbackOn: goesOn,
      // If no other target can answer, the client decides with cb_config whether to wait for a failing provider.
      ...(isOnly && { breaker: false }),
    })
    this.#pools.set(key, made)
    if (Object.hasOwn(this.#saved, key)) restore(made, this.#saved[key]!)
    return made
  }
}

/** A snapshot that cannot be read is ignored: a gateway with no history is better than none. */
function restore(pool: Pool<Leaf>, saved: PoolSnapshot): void {
  try {
    pool.restore(saved)
  } catch (error) {
    process.emitWarning(`llmiter gateway: what was kept of limits is left out: ${(error as Error).message}`)
  }
}

/** The error of an attempt says whether another target may be tried. */
const goesOn = (error: unknown): boolean => error instanceof UpstreamError && error.goesOn
