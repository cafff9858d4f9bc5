// Who may answer a call. The targets of one route stand behind one queue; where limits are kept by model, there is a queue
// for each set of limiters.

import { createPool, type Pool, type PoolTarget, type TargetState } from 'llmiter/pool'
import type { Protocol } from './protocol.ts'
import type { SavedPools } from './state.ts'
import type { Target } from './target.ts'

/** A target within a route. */
export interface Leaf extends PoolTarget {
  readonly target: Target
}

const MOST_KNOWN = 1000

export class Route {
  readonly #targets: readonly Target[]
  readonly #pools = new Map<string, Pool<Leaf>>()
  /** Found before: by protocol and model. */
  readonly #known = new Map<string, Pool<Leaf> | undefined>()

  readonly #saved: SavedPools

  /** `saved`: what was known before a restart. */
  constructor(targets: readonly Target[], saved: SavedPools) {
    this.#targets = targets
    this.#saved = saved
  }

  snapshots(): SavedPools {
    return Object.fromEntries([...this.#pools].map(([key, pool]) => [key, pool.snapshot()]))
  }

  /** The states of a target, in each queue in which it stands. */
  statesOf({ name }: Target): TargetState[] {
    return [...this.#pools.values()].flatMap((pool) =>
      pool.stats().targets.flatMap((one) => (one.name === name ? [one.state] : [])),
    )
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
    const targets = this.#targets.filter(({ options }) => options.protocol === protocol)
    if (targets.length === 0) return undefined
    const leaves = targets.map((target): Leaf => {
      const { weight, tier } = target.options
      const limiter = target.limiterFor(model)
      return {
        name: target.name,
        limiter,
        target,
        ...(weight !== undefined && { weight }),
        ...(tier !== undefined && { tier }),
      }
    })
    const key = leaves.map(({ limiter }) => limiter.name).join('\n')
    const pool = this.#pools.get(key)
    if (pool) return pool
    const made = createPool({ targets: leaves })
    this.#pools.set(key, made)
    if (Object.hasOwn(this.#saved, key)) made.restore(this.#saved[key]!)
    return made
  }
}
