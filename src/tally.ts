// What a limiter has done, in a few numbers that cost next to nothing to keep.

/** Steps of the histogram of waits: eight to a doubling, so a percentile is off by 9 % at most. */
const STEPS = 8
const SLOTS = 34 * STEPS

export class Tally {
  issued = 0
  finished = 0
  refused = 0
  rejected = 0
  #waits: Uint32Array | undefined
  #zero = 0

  waited(ms: number): void {
    this.issued++
    if (ms < 1) {
      this.#zero++
      return
    }
    this.#waits ??= new Uint32Array(SLOTS)
    this.#waits[Math.min(SLOTS - 1, Math.floor(Math.log2(ms) * STEPS))]!++
  }

  /** The wait that this share of all tickets did not exceed, in ms. */
  percentile(share: number): number {
    let left = share * this.issued - this.#zero
    if (left <= 0 || !this.#waits) return 0
    for (let i = 0; i < SLOTS; i++) {
      left -= this.#waits[i]!
      if (left <= 0) return Math.round(2 ** ((i + 1) / STEPS))
    }
    return 0
  }
}
