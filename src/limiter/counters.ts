// The counters of a limiter. Keeping them costs almost nothing.

/** Eight histogram buckets per doubling, so percentiles are off by at most an eighth. */
const STEPS = 8
const SLOTS = 32 * STEPS

/** How many calls did what. */
type Counts = Pick<Counters, 'requests' | 'issued' | 'finished' | 'failed' | 'refused' | 'rejected'>

export class Counters {
  requests = 0
  issued = 0
  finished = 0
  failed = 0
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
    // The position of the highest bit, and the three bits after it.
    const whole = Math.min(ms * STEPS, 2 ** 31 - 1) | 0
    const doubling = 31 - Math.clz32(whole)
    this.#waits[doubling * STEPS + ((whole >> (doubling - 3)) & (STEPS - 1))]!++
  }

  copy(): Counters {
    const copy = Object.assign(new Counters(), this)
    copy.#waits = this.#waits?.slice()
    copy.#zero = this.#zero
    return copy
  }

  /** The counts since an earlier copy. */
  since(before: Counters = NOTHING): Counts {
    const counts: Counts = { ...this }
    for (const name in counts) counts[name as keyof Counts] -= before[name as keyof Counts]
    return counts
  }

  /** The wait in ms that this share of the tickets since `since` did not exceed. */
  percentile(share: number, since: Counters = NOTHING): number {
    let left = share * (this.issued - since.issued) - (this.#zero - since.#zero)
    if (left <= 0 || !this.#waits) return 0
    const before = since.#waits
    for (let i = 0; i < SLOTS; i++) {
      left -= this.#waits[i]! - (before ? before[i]! : 0)
      if (left <= 0) return Math.round((2 ** Math.floor(i / STEPS) * (1 + ((i % STEPS) + 1) / STEPS)) / STEPS)
    }
    return 0
  }
}

/** The counters of a new limiter. */
const NOTHING = new Counters()
