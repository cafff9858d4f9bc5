/**
 * Decides how much was written into a log within a span of time: the book-keeping of every provider that looks
 * back instead of counting windows.
 *
 * Entries carry the sum of all before them, so that a span is a difference and a search O(log n). Whoever
 * hammers a provider that logs failures makes the log long, and that is just when it is asked most.
 */
import { SAME_MOMENT_MS } from './quota-counter.ts'

interface Entry {
  at: number
  /** What was written up to here, this entry included. */
  upTo: number
}

const FORGET_ABOVE = 1024

export class CallLog {
  readonly #keepMs: number
  #entries: Entry[] = []

  /** Older entries may be forgotten. */
  constructor(keepMs: number) {
    this.#keepMs = keepMs
  }

  /** `at` never goes back. */
  write(at: number, amount: number): void {
    this.#entries.push({ at, upTo: (this.#entries.at(-1)?.upTo ?? 0) + amount })
    const old = this.#after(at - this.#keepMs)
    // Half of a long log at once: each entry is moved once on average.
    if (old > FORGET_ABOVE && 2 * old > this.#entries.length) this.#entries = this.#entries.slice(old - 1)
  }

  /** The sum of what was written later than `from`, up to and with `to`. */
  sum(from: number, to: number): number {
    return this.#upTo(this.#after(to)) - this.#upTo(this.#after(from))
  }

  /** When the first `amount` written after `from` was complete; undefined when it is not. */
  momentOf(from: number, amount: number): number | undefined {
    const enough = this.#upTo(this.#after(from)) + amount
    return this.#entries[this.#search(({ upTo }) => upTo >= enough)]?.at
  }

  /** The moments later than `from` at which something was written, in order. */
  *moments(from: number): Generator<number> {
    for (let i = this.#after(from); i < this.#entries.length; i++) yield this.#entries[i]!.at
  }

  last(): number {
    return this.#entries.at(-1)?.at ?? -Infinity
  }

  #upTo(index: number): number {
    // Before the first entry kept: what was forgotten is in nobody's span.
    return this.#entries[index - 1]?.upTo ?? 0
  }

  #after(moment: number): number {
    return this.#search(({ at }) => at - moment > SAME_MOMENT_MS)
  }

  /** The first entry for which `isThere`; it stays so for all later ones. */
  #search(isThere: (entry: Entry) => boolean): number {
    let low = 0
    let high = this.#entries.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (isThere(this.#entries[middle]!)) high = middle
      else low = middle + 1
    }
    return low
  }
}
