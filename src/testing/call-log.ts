/**
 * Counts how much was logged within a span of time, for providers that look back instead of counting windows.
 *
 * Entries contain the sum of all previous ones, so a span is a difference and a search takes O(log n). A client
 * that hammers a provider that logs failures makes the log long, exactly when it is read most often.
 */
import { SAME_MOMENT_MS } from './quota-counter.ts'

interface Entry {
  at: number
  /** The sum up to and including this entry. */
  upTo: number
}

const FORGET_ABOVE = 1024

export class CallLog {
  readonly #keepMs: number
  #entries: Entry[] = []

  /** Entries older than this may be removed. */
  constructor(keepMs: number) {
    this.#keepMs = keepMs
  }

  /** `at` never decreases. */
  write(at: number, amount: number): void {
    this.#entries.push({ at, upTo: (this.#entries.at(-1)?.upTo ?? 0) + amount })
    const old = this.#after(at - this.#keepMs)
    // Removes half of a long log at a time, so that each entry is moved once on average.
    if (old > FORGET_ABOVE && 2 * old > this.#entries.length) this.#entries = this.#entries.slice(old - 1)
  }

  /** The sum logged after `from`, up to and including `to`. */
  sum(from: number, to: number): number {
    return this.#upTo(this.#after(to)) - this.#upTo(this.#after(from))
  }

  /** When the first `amount` logged after `from` was complete. Undefined if it is not. */
  momentOf(from: number, amount: number): number | undefined {
    const enough = this.#upTo(this.#after(from)) + amount
    return this.#entries[this.#search(({ upTo }) => upTo >= enough)]?.at
  }

  /** The times after `from` at which something was logged, in order. */
  *moments(from: number): Generator<number> {
    for (let i = this.#after(from); i < this.#entries.length; i++) yield this.#entries[i]!.at
  }

  last(): number {
    return this.#entries.at(-1)?.at ?? -Infinity
  }

  #upTo(index: number): number {
    // For a time before the first kept entry. Removed entries are in no span that is still read.
    return this.#entries[index - 1]?.upTo ?? 0
  }

  #after(moment: number): number {
    return this.#search(({ at }) => at - moment > SAME_MOMENT_MS)
  }

  /** The first entry for which `isThere` is true. It must be true for all later ones. */
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
