// Whether the store answers: when it is given up, when it is asked again, and when it is back.
//
//   joining ──answer──▶ up ◀──answer in time── down        down: no answer in time
//      └────────────no answer───────────────────▲
//
// A slow store is still a store: after an answer that took long, twice its time is waited for, up to five seconds, and
// slots are leased further ahead. So it goes down once when it becomes slow, and comes back with that answer. A store
// that needs longer than 2.5 s is down until it answers faster. Until then each request says that this process goes on
// alone, and the store keeps its share for it instead of leasing it anything.

import { RETRY_MS, SLOW_MEMORY_MS, SLOWEST_MS, TIMEOUT_MS } from './timing.ts'

export class Connectivity {
  mode: 'joining' | 'up' | 'down' = 'joining'
  error: unknown
  /** The last moment at which a store that has answered may have heard that this process lives by it. */
  at = -Infinity
  /** The last moment before which the store has heard from this process for certain. */
  renewedAt = -Infinity
  #failedAt = -Infinity
  /** The slowest answer of this period of memory, and of the one before. */
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

  /** The slowest answer lately, in ms. */
  get slowestMs(): number {
    return Math.max(...this.#slowest)
  }

  /** How long a request may be out before the store is down. */
  get timeoutMs(): number {
    return Math.max(TIMEOUT_MS, Math.min(2 * this.slowestMs, 2 * SLOWEST_MS))
  }

  /** While it is down: when the next request may go. */
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
