// A call of a pool within another call: of this pool, of another one, or of the limiter of a target. It is one call to
// the provider, as with a limiter's own `run`. So it takes over the ticket of the call around it, or else that ticket goes
// back unused: the call within never waits for a ticket that the call around it holds.

import type { BucketRateLimiter, Grant, InheritedGrant } from 'llmiter'
import { contextOf } from '../lib/async-context.ts'
import { duration } from '../lib/duration.ts'
import type { PoolCall } from './pool-call.ts'
import { type PoolMember, termsOf } from './pool-member.ts'
import type { TargetTier } from './strategy.ts'
import type { TargetHealth } from './target.ts'

/** A call, with what holds for the calls around it, and the ticket that it has taken over. */
export interface CallWithin {
  readonly call: PoolCall
  readonly grant: Grant | undefined
  /** Of the target whose ticket it is. */
  readonly index: number
}

export const isWithin = ({ signal }: PoolCall): boolean => contextOf(signal) !== undefined

export class CallsAround {
  readonly #health: readonly TargetHealth[]
  /** What calls of this pool that are under way have reserved in budgets. */
  readonly #members = new WeakMap<object, PoolMember>()
  #replaced: WeakSet<object> | undefined

  constructor(health: readonly TargetHealth[]) {
    this.#health = health
  }

  started(grant: Grant, member: PoolMember): void {
    this.#members.set(grant, member)
  }

  /** Whether a call within has taken the place of the call with this ticket. */
  replaced(grant: Grant): boolean {
    return this.#replaced?.has(grant) === true
  }

  /** Takes over a ticket of the calls around this one, for one of these targets. Their other tickets go back. */
  enter(call: PoolCall, tiers: readonly TargetTier[]): CallWithin {
    const terms = { ...termsOf(call), ...(call.signal && { signal: call.signal }) }
    for (const index of tiers.flatMap(({ indices }) => indices)) {
      const health = this.#health[index]!
      const grant = health.admitsNow() ? tryTakeOver(health.limiter, terms) : undefined
      if (grant) return { call: this.leave(this.#replace(call, grant)), grant, index }
    }
    return { call: this.leave(call), grant: undefined, index: -1 }
  }

  /** Gives back the tickets of all calls around this one. Returns it with what holds for these. */
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
    // What it uses is counted for the call within.
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
    return undefined // A wrong cost: the queue says which targets know it.
  }
}

/** What gives up the call around gives up this one, too: the call around waits for it. */
function withTerms<C extends PoolCall>(call: C, { signal, timeoutMs }: InheritedGrant['outerTerms']): C {
  const own = call.timeoutMs === undefined ? Infinity : duration(call.timeoutMs, 'timeoutMs')
  const least = Math.min(own, timeoutMs)
  return {
    ...call,
    ...(call.signal === undefined && signal && { signal }),
    ...(least < Infinity && { timeoutMs: least }),
  }
}
