// Estimates the store's clock from this process's monotonic clock. Changes of the machine's wall clock have no
// effect.
//
// An answer contains the store's time at some moment between request and answer. The middle of that interval is
// off by at most half the round trip. So the sample with the shortest recent round trip is kept. Clocks drift
// apart (by up to 200 ppm), so a sample becomes less accurate with age. A sample that differs from it by more than
// both errors replaces it: then the store's clock has been set.

import { SLOWEST_MS } from './timing.ts'

const DRIFT = 200e-6

export class ClockSync {
  /** Store time − local time. */
  #offset = NaN
  #error = Infinity
  #sampledAt = 0
  /** The recent round trip time in ms. */
  lagMs = 0

  learn(sentAt: number, receivedAt: number, storeNow: number): void {
    const lag = receivedAt - sentAt
    // An answer that arrived too late to be used says nothing about later ones.
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
