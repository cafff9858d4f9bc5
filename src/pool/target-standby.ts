// The standby of a pool at one target: its place in the queue of the target's limiter, what that limiter counts of
// the calls behind it, and the timer that looks again at a target that is put aside.

import type { Clock, Grant, StandbyWaiter } from 'llmiter'
import type { PoolMember, Terms } from './pool-member.ts'
import type { TargetHealth } from './target.ts'

/** Gets the results of the standby. */
interface StandbyOwner {
  /** The call that gets the next ticket of this target. */
  first(standby: TargetStandby): PoolMember | undefined
  /** How many calls wait for this target. Undefined: none wants it. */
  waitingFor(index: number): number | undefined
  granted(standby: TargetStandby, terms: Terms | undefined, grant: Grant): void
  unable(standby: TargetStandby, member: PoolMember, error: unknown): void
  fill(index: number): void
}

export class TargetStandby implements StandbyWaiter {
  readonly index: number
  readonly health: TargetHealth
  /**
   * What it waits for. A call with other terms must rejoin the limiter's queue. Undefined: it does not wait there.
   */
  terms: Terms | undefined = undefined
  filling = false
  round = 0
  readonly #owner: StandbyOwner
  readonly #clock: Clock
  #first: PoolMember | undefined = undefined
  #leave: (() => void) | undefined = undefined
  #alarm: { readonly at: number; readonly cancel: () => void } | undefined = undefined

  constructor(owner: StandbyOwner, health: TargetHealth, index: number, clock: Clock) {
    this.#owner = owner
    this.health = health
    this.index = index
    this.#clock = clock
  }

  get since(): number | undefined {
    return this.#owner.first(this)?.since
  }

  get waiting(): number | undefined {
    return this.#owner.waitingFor(this.index)
  }

  get standsBy(): boolean {
    return this.terms !== undefined
  }

  /**
   * Waits in the limiter's queue with the terms of this call. Returns whether a ticket was there immediately.
   *
   * @throws TypeError when the limiter does not know the cost.
   */
  standBy(first: PoolMember): boolean {
    this.terms = first.terms
    this.#first = first
    try {
      const leave = this.health.limiter.standBy(first.terms, this)
      if (!this.terms) return true
      this.#leave = leave
      this.health.full = true
      this.health.limiter.frontQueues.add(this)
      return false
    } catch (error) {
      this.#over()
      throw error
    }
  }

  leave(): void {
    const leave = this.#leave
    this.#over()
    leave?.()
  }

  granted(grant: Grant): void {
    const { terms } = this
    this.#over()
    this.#owner.granted(this, terms, grant)
  }

  failed(error: unknown): void {
    const first = this.#first!
    this.#over()
    this.#owner.unable(this, first, error)
  }

  #over(): void {
    this.terms = this.#first = this.#leave = undefined
    this.health.full = false
  }

  /** No call here wants this target. */
  idle(): void {
    this.lookAgain(false)
    this.health.limiter.frontQueues.remove(this)
  }

  /** Sets a timer for a target that is put aside while calls wait for it, and removes the timer otherwise. */
  lookAgain(isAside: boolean): void {
    if (isAside) this.health.limiter.frontQueues.add(this)
    else if (!this.#alarm) return
    const at = isAside ? this.health.opensAt() : Infinity
    const now = this.#clock.now()
    if (this.#alarm?.at === at) return
    this.#alarm?.cancel()
    this.#alarm = undefined
    if (at === Infinity || at <= now) return
    const ring = () => {
      this.#alarm = undefined
      this.#owner.fill(this.index)
    }
    this.#alarm = { at, cancel: this.#clock.setTimer(ring, at - now, true) }
  }
}
