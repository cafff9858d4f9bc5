// A call of a pool nested in another call: of this pool, another pool, or the limiter of a target. As with `run`
// of a limiter, both are one call to the provider. So the inner call takes over the ticket of the outer call. If
// it cannot use that ticket, the ticket is returned unused. So the inner call never waits for a ticket that the
// outer call holds.

import type { BucketRateLimiter, Grant, InheritedGrant } from 'llmiter'
import { contextOf } from '../lib/async-context.ts'
import { duration } from '../lib/duration.ts'
import type { PoolCall } from './pool-call.ts'
import { type PoolMember, termsOf } from './pool-member.ts'
import type { TargetTier } from './strategy.ts'
import type { TargetHealth } from './target.ts'

/** A call with the terms of its enclosing calls, and the ticket it took over. */
export interface CallWithin {
  readonly call: PoolCall
  readonly grant: Grant | undefined
  /** The target of the ticket. */
  readonly index: number
}

export const isWithin = ({ signal }: PoolCall): boolean => contextOf(signal) !== undefined

export class CallsAround {
  readonly #health: readonly TargetHealth[]
  /** The members of this pool in flight, which may hold budget reservations. */
  readonly #members = new WeakMap<object, PoolMember>()
  #replaced: WeakSet<object> | undefined

  constructor(health: readonly TargetHealth[]) {
    this.#health = health
  }

  started(grant: Grant, member: PoolMember): void {
    this.#members.set(grant, member)
  }

  /** Whether a nested call took over this ticket. */
  replaced(grant: Grant): boolean {
    return this.#replaced?.has(grant) === true
  }

  /**
   * Takes over a ticket of the enclosing calls that is for one of these targets. Their other tickets are returned.
   */
  enter(call: PoolCall, tiers: readonly TargetTier[]): CallWithin {
    const terms = { ...termsOf(call), ...(call.signal && { signal: call.signal }) }
    for (const index of tiers.flatMap(({ indices }) => indices)) {
      const health = this.#health[index]!
      const grant = health.admitsNow() ? tryTakeOver(health.limiter, terms) : undefined
      if (grant) return { call: this.leave(this.#replace(call, grant)), grant, index }
    }
    return { call: this.leave(call), grant: undefined, index: -1 }
  }

  /** Returns the tickets of all enclosing calls. Returns the call with the terms of those calls. */
  leave<C extends PoolCall>(call: C): C {
    const { signal } = call
    let merged = call
    for (const { limiter } of this.#health) {
      const next = () => limiter.takeOver(signal ? { signal } : {}, false)
      for (let grant = next(); grant; grant = next()) {
        merged = this.#replace(merged, grant)
        grant.release()
      }
    }
    return merged
  }

  #replace<C extends PoolCall>(call: C, { outer, outerTerms }: InheritedGrant): C {
    ;(this.#replaced ??= new WeakSet()).add(outer)
    // The usage is counted for the inner call instead.
    for (const held of this.#members.get(outer)?.takeHeld() ?? []) held.release()
    return withTerms(call, outerTerms)
  }
}

function tryTakeOver(
  limiter: BucketRateLimiter,
  terms: Parameters<BucketRateLimiter['takeOver']>[0],
): InheritedGrant | undefined {
  try {
    return limiter.takeOver(terms, true)
  } catch {
    return undefined // The cost is invalid. The queue finds out which targets know it.
  }
}

/** An abort or timeout of the enclosing call also ends this call, because the enclosing call waits for it. */
function withTerms<C extends PoolCall>(call: C, { signal, timeoutMs }: InheritedGrant['outerTerms']): C {
  const own = call.timeoutMs === undefined ? Infinity : duration(call.timeoutMs, 'timeoutMs')
  const least = Math.min(own, timeoutMs)
  return {
    ...call,
    ...(call.signal === undefined && signal && { signal }),
    ...(least < Infinity && { timeoutMs: least }),
  }
}
