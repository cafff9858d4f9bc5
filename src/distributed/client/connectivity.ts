// Whether the store answers: when it is given up, when it is asked again, and when it is back.
//
//   joining ──answer──▶ up ◀──answer in time── down        down: 1 s without an answer
//      └────────────no answer───────────────────▲
//
// A slow store answers, but late, and the next answer would be late again. So one that is down is back only when it answers in
// half the time that it is given, or several times in a row in all of it: it is not said to come and go with each request.
// Until then each request says that this process goes on alone, and the store keeps its share for it instead of leasing
// it anything.

import { RETRY_MS, TIMEOUT_MS } from './timing.ts'

/** So many answers in a row that are in time, though slow: the store is as good as it gets. */
const STEADY = 4

export class Connectivity {
  mode: 'joining' | 'up' | 'down' = 'joining'
  error: unknown
  /** The last moment at which a store that has answered may have heard that this process lives by it. */
  at = -Infinity
  #failedAt = -Infinity
  /** Answers in a row that were in time. */
  #inTime = 0

  answered(sentAt: number, alone: boolean, now: number): void {
    const ms = now - sentAt
    this.#inTime = ms < TIMEOUT_MS ? this.#inTime + 1 : 0
    const late = ms >= TIMEOUT_MS || (this.mode === 'down' && ms >= TIMEOUT_MS / 2 && this.#inTime < STEADY)
    if (late) this.#failedAt = -Infinity
    else this.mode = 'up'
    if (!alone) this.at = Math.max(this.at, late ? now : sentAt)
  }

  failed(error: unknown, now: number): void {
    this.#failedAt = now
    this.#inTime = 0
    this.error = error
    if (this.mode !== 'up' || now - this.at >= TIMEOUT_MS) this.mode = 'down'
  }

  /** While it is down: when the next request may go. */
  get retryAt(): number {
    return this.#failedAt + RETRY_MS
  }
}
