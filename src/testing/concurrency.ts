/**
 * Decides as providers do that count the calls inside: so many at once, and the next when one of them is over.
 */
import { fields, positive } from './check.ts'
import type { QuotaCounter } from './quota-counter.ts'
import { MeteredProvider } from './limited-provider.ts'

/** Options of `ConcurrencyProvider`. */
export interface ConcurrencyOptions {
  /** How many calls may be inside at once. */
  concurrency: number
}

/**
 * At most M calls at once. Only the end of a call makes room, so whoever uses it must `finish` each call.
 *
 * - **Who behaves so**: GitHub Models, which documents a limit on concurrent requests beside its others; servers of
 *   one's own, such as Text Generation Inference with its `max-concurrent-requests`. Nobody can say when a call
 *   ends, so no refusal tells a wait.
 * - **The law it keeps**: at no moment are more than M calls inside.
 * - **Optimum** for N calls that take s ms each: `(⌈N ÷ M⌉ − 1) · s`. For calls that take different times, tell
 *   them by index: `optimumMs` starts them in this order, each in the first slot that comes free. How long calls
 *   take is the bench's to draw, from `lognormal` or `pareto`.
 * - **Simplified**: a call takes as long as it takes, however many are inside; a real server slows down first.
 *
 * Throws a `TypeError` that names a value that is not above 0.
 *
 * @example
 * const provider = new ConcurrencyProvider({ concurrency: 8 })
 * const serviceMs = lognormal({ median: 800, sigma: 1, seed: 7 })
 * const times = Array.from({ length: 1000 }, serviceMs)
 * provider.optimumMs(0, 1000, (index) => ({ serviceMs: times[index]! }))
 */
export class ConcurrencyProvider extends MeteredProvider {
  constructor(options: ConcurrencyOptions) {
    fields(options, 'ConcurrencyProvider', ['concurrency'], { concurrency: 'maxconcurrent maxinflight' })
    const { concurrency } = options
    positive(concurrency, 'concurrency')
    super(
      `${concurrency} at once`,
      () => [{ counter: new SlotCounter(concurrency), charge: () => 1, settle: () => 0 }],
      { retryAfter: 'none', failuresCount: false },
    )
  }
}

/** A settled call costs nothing any more: that is how a slot comes back. */
class SlotCounter implements QuotaCounter {
  readonly of = 'concurrency'
  readonly perMs = 0
  amount: number
  readonly #amountAtFirst: number
  #inside = 0

  constructor(amount: number) {
    this.amount = this.#amountAtFirst = amount
  }

  waitMs(_now: number, cost: number): number {
    return this.#inside + cost > this.amount ? Infinity : 0
  }

  take(_now: number, cost: number): void {
    this.#inside += cost
  }

  penalise(): void {}

  remaining(): number {
    return Math.max(0, this.amount - this.#inside)
  }

  resetMs(): number {
    return this.#inside > 0 ? Infinity : 0
  }

  scale(_now: number, factor: number): void {
    this.amount = Math.ceil(this.#amountAtFirst * factor)
  }
}
