// The store's clock, as seen from this process's monotonic one. What anyone does to the machine's wall clock does not
// matter here.
//
// An answer says what time it was in the store somewhere between request and answer: the middle is off by half
// the round trip at most. So the sample of the shortest recent round trip is kept. Clocks drift apart
// (200 ppm is a bad one), so a sample gets worse with age, and one that contradicts it beyond both errors replaces
// it: then the store's clock has been set.

import { SLOWEST_MS } from './timing.ts'

const DRIFT = 200e-6

export class ClockSync {
  /** Store time − local time. */
  #offset = NaN
  #error = Infinity
  #sampledAt = 0
  /** The round trips lately, in ms. */
  lagMs = 0

  learn(sentAt: number, receivedAt: number, storeNow: number): void {
    const lag = receivedAt - sentAt
    // An answer that came too late to be used tells nothing about the next ones.
    if (lag < SLOWEST_MS) this.lagMs = this.lagMs === 0 ? lag : this.lagMs + (lag - this.lagMs) / 8
    const offset = storeNow - (sentAt + receivedAt) / 2
    const error = lag / 2
    const known = this.#error + DRIFT * (receivedAt - this.#sampledAt)
    if (error > known && Math.abs(offset - this.#offset) <= error + known) return
    this.#offset = offset
    this.#error = error
    this.#sampledAt = receivedAt
  }

  toLocal(store: number): number {
    return store - this.#offset
  }

  toStore(local: number): number {
    return local + this.#offset
  }
}
