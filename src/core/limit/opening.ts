// How many calls may go where no limit is known, and none has been refused: one, then two for each that is accepted.

import { Throughput } from '../rate/throughput.ts'

/** A call that was not refused for this long counts as accepted: its answer may come much later. */
const UNREFUSED_MS = 2000

export class Opening {
  /** How many calls may be out that are not accepted yet. */
  #most = 1
  /** When they went, the earliest first. */
  readonly #out: number[] = []
  /** When the provider was too busy for a call; and whether it has accepted an earlier one since. */
  #downAt = Infinity
  #accepts = false
  /** The throughput meanwhile: a first estimate if a limit shows up. */
  readonly throughput = new Throughput()

  /** When one more may go, if none is answered. */
  at(now: number): number {
    const accepted = this.#accepted(now)
    const out = this.#out.length - accepted
    if (out < this.#most + accepted) return now
    // Each that is accepted leaves its place to two.
    const lacking = Math.ceil((out + 1 - this.#most - accepted) / 2)
    return this.#out[accepted + lacking - 1]! + UNREFUSED_MS
  }

  sent(now: number): void {
    const accepted = this.#accepted(now)
    this.#out.splice(0, accepted)
    this.#most += accepted
    this.#out.push(now)
    this.throughput.sent(1, now, 1)
  }

  /** A call sent at `sentAt` came to nothing. */
  lost(sentAt: number): void {
    this.#remove(sentAt)
  }

  /** A call sent at `sentAt` was answered. Returns whether the provider was down and is back: then all may go. */
  answered(sentAt: number): boolean {
    if (this.#remove(sentAt)) this.#most++
    // A provider that accepts some of a few calls was not down.
    if (sentAt < this.#downAt) this.#accepts = true
    return !this.#accepts
  }

  /** The provider was too busy for a call. */
  down(now: number): void {
    if (!this.#accepts) this.#downAt = now
  }

  #remove(sentAt: number): boolean {
    const place = this.#out.indexOf(sentAt)
    if (place >= 0) this.#out.splice(place, 1)
    return place >= 0
  }

  #accepted(now: number): number {
    const next = this.#out.findIndex((sentAt) => sentAt + UNREFUSED_MS > now)
    return next < 0 ? this.#out.length : next
  }
}
