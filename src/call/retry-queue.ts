// Calls that have failed for a moment: out of the line until their next try, and then back at their place.

import type { Desk } from '../limiter/runtime.ts'
import type { Waiter } from './pending-call.ts'

export class Backoff {
  readonly #desk: Desk
  readonly #waiters = new Set<Waiter>()

  constructor(desk: Desk) {
    this.#desk = desk
  }

  get waiters(): Waiter[] {
    return [...this.#waiters]
  }

  add(waiter: Waiter, delayMs: number, now: number): void {
    const { engine, office, chain } = this.#desk
    this.#waiters.add(waiter)
    for (const at of chain) at.backingOff++
    const back = () => {
      this.remove(waiter)
      const then = engine.now()
      office.enqueue(waiter, then)
      engine.pump(then)
    }
    waiter.more().backoff = engine.at(now + delayMs, back, true)
  }

  remove(waiter: Waiter): void {
    if (this.#waiters.delete(waiter)) for (const at of this.#desk.chain) at.backingOff--
  }
}
