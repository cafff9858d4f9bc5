// Tracks whether the store answers: when it counts as down, when it is tried again, and when it is back.
//
//   joining ──answer──▶ up ◀──answer in time── down        down: no answer in time
//      └────────────no answer───────────────────▲
//
// A slow store is still usable: after a slow answer, the timeout becomes twice its duration, up to five seconds,
// and slots are leased further ahead. So the store goes down once when it becomes slow, and comes back with that
// answer. A store that needs longer than 2.5 s is down until it answers faster. Until then each request says that
// this process works alone, and the store reserves its share for it instead of leasing slots.

import { RETRY_MS, SLOW_MEMORY_MS, SLOWEST_MS, TIMEOUT_MS } from './timing.ts'

export class Connectivity {
  mode: 'joining' | 'up' | 'down' = 'joining'
  error: unknown
  /** The latest time at which an answering store may have received a sign of life from this process. */
  at = -Infinity
  /** The time until which the store has certainly received a sign of life from this process. */
  renewedAt = -Infinity
  #failedAt = -Infinity
  /** The slowest answer in the current memory period, and in the previous one. */
  #slowest: [now: number, before: number] = [0, 0]
  #periodFrom = -Infinity

  answered(sentAt: number, alone: boolean, now: number): void {
    const ms = now - sentAt
    const tooSlow = ms >= SLOWEST_MS
    if (tooSlow) this.#failedAt = -Infinity
    else {
      this.#remember(ms, now)
      this.mode = 'up'
    }
    this.renewedAt = Math.max(this.renewedAt, sentAt)
    if (!alone) this.at = Math.max(this.at, tooSlow ? now : sentAt)
  }

  failed(error: unknown, now: number): void {
    this.#failedAt = now
    this.error = error
    if (this.mode !== 'up' || now - this.at >= this.timeoutMs) this.mode = 'down'
  }

  /** The slowest recent answer, in ms. */
  get slowestMs(): number {
    return Math.max(...this.#slowest)
  }

  /** How long a request may take before the store is down. */
  get timeoutMs(): number {
    return Math.max(TIMEOUT_MS, Math.min(2 * this.slowestMs, 2 * SLOWEST_MS))
  }

  /** When the next request may be sent while the store is down. */
  get retryAt(): number {
    return this.#failedAt + RETRY_MS
  }

  #remember(ms: number, now: number): void {
    if (now - this.#periodFrom >= SLOW_MEMORY_MS) {
      this.#slowest = [0, now - this.#periodFrom < 2 * SLOW_MEMORY_MS ? this.#slowest[0] : 0]
      this.#periodFrom = now
    }
    this.#slowest[0] = Math.max(this.#slowest[0], ms)
  }
}
