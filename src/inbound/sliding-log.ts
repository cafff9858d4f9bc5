// The sliding log of one client and one limit: the times of the requests that passed in the window that ends now.
//
// Only a log keeps the promise "never more than n in any window": windows that begin at fixed moments let
// 2n pass around an edge, and averages of two of them promise nothing. It is a ring of at most n times, 8 bytes each,
// made as it is needed: a client that comes once costs one. Refused requests leave no trace: else a client that goes
// on asking would never be let in again, and anybody could fill the log.

import type { GuardCount, GuardLimit } from 'llmiter'

export class SlidingLog {
  #times: number[] = []
  #head = 0
  #size = 0

  count({ amount, windowMs }: GuardLimit, now: number): GuardCount {
    while (this.#size > 0 && this.#times[this.#head]! + windowMs <= now) {
      this.#head = this.#head + 1 === amount ? 0 : this.#head + 1
      this.#size--
    }
    if (this.#size === 0) this.#head = 0
    const leavesAt = this.#size > 0 ? this.#times[this.#head]! + windowMs : now
    // Sums of times have rounding errors, and no wait is longer than the window.
    return { used: this.#size, resetMs: Math.min(leavesAt - now, windowMs) }
  }

  /** Only after `count` has found room at `now`. */
  add({ amount }: GuardLimit, now: number): void {
    const end = this.#head + this.#size++
    // An array that begins empty would take room for sixteen, and most keys of a flood come once.
    if (this.#times.length === 0) this.#times = [now]
    else this.#times[end < amount ? end : end - amount] = now
  }
}
