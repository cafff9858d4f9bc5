// When the provider's window ends, learned from when it accepted again.
//
// Many providers count by the minute and do not say when their minute begins. Where the gate could open at the
// same second of the minute twice in a row, that second is known: the next wait ends there, and saves the probes
// between. Some probes still go early, fewer with each time it was right: a coincidence must not be believed.

const PERIOD_MS = 60_000
/** A moment known less exactly than this is useless. */
const VAGUE_MS = 12_000
/** Calls drift on their way: J. */
const MARGIN_MS = 50
/** Only a window of a minute or longer refuses for longer than this. */
const LONG_MS = 12_000

export class WindowPhase {
  /** The provider accepted again between these two moments. */
  #from = NaN
  #to = NaN
  #hits = 0
  #long = false

  /** The remaining doubt: the share of waits that the phase does not decide. */
  get doubt(): number {
    return this.known ? 1 / this.#hits : 1
  }

  get known(): boolean {
    return this.#hits > 1 && this.#long
  }

  /** Refused for the last time at `from`, accepted at `to`; the gate had closed at `closedAt`. */
  found(closedAt: number, from: number, to: number): void {
    if (to - closedAt > LONG_MS) this.#long = true
    const shift = Math.round((to - this.#to) / PERIOD_MS) * PERIOD_MS
    const [low, high] = [Math.max(from, this.#from + shift), Math.min(to, this.#to + shift)]
    if (low < high) {
      if (to - from < VAGUE_MS) this.#hits++
      this.#from = low
      this.#to = high
    } else if (to - from < VAGUE_MS) {
      this.#from = from
      this.#to = to
      this.#hits = 1
    } else this.#hits = 0
  }

  /** The provider was expected to accept at the edge of its window, but refused. */
  missed(): void {
    this.#hits = 0
  }

  /** How long until the next edge. */
  waitMs(now: number): number {
    const wait = (this.#to + MARGIN_MS - now) % PERIOD_MS
    return wait < 0 ? wait + PERIOD_MS : wait
  }
}
