// The sliding log of one client and one limit: the times of the requests that passed in the window that ends now.
//
// Only a log guarantees at most n requests in any window. Fixed windows allow 2n around an edge, and averages of
// two windows guarantee nothing. The log is a ring of at most n times, 8 bytes each, which grows as needed: a
// client with one request stores one time. Refused requests are not stored. Otherwise a client that keeps trying
// would never be let in again, and anyone could fill the log.

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

  /** Call only after `count` has found room at `now`. */
  add({ amount }: GuardLimit, now: number): void {
    const end = this.#head + this.#size++
    // An array that starts empty would allocate room for sixteen, and most keys of a flood appear only once.
    if (this.#times.length === 0) this.#times = [now]
    else this.#times[end < amount ? end : end - amount] = now
  }
}
