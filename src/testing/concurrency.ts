/** Simulates providers that limit the number of calls in flight. */
import { fields, positive } from './check.ts'
import type { QuotaCounter } from './quota-counter.ts'
import { MeteredProvider } from './limited-provider.ts'

/** Options of `ConcurrencyProvider`. */
export interface ConcurrencyOptions {
  /** The maximum number of calls in flight. */
  concurrency: number
}

/**
 * Allows at most M calls in flight. Only the end of a call makes room, so each call must be ended with `finish`.
 *
 * - **Found at**: GitHub Models, which documents a limit on concurrent requests in addition to others; self-hosted
 *   servers such as Text Generation Inference with its `max-concurrent-requests`. The end of a call cannot be
 *   predicted, so no refusal names a wait.
 * - **Rule**: never more than M calls are in flight.
 * - **Optimum** for N calls that take s ms each: `(⌈N ÷ M⌉ − 1) · s`. For calls of different durations, pass a
 *   function of the index: `optimumMs` starts them in this order, each in the first slot that becomes free. The
 *   durations are up to the test, for example from `lognormal` or `pareto`.
 * - **Simplified**: the duration of a call does not depend on the load. A real server becomes slower first.
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

/** Settling a call refunds its cost, which frees its slot. */
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
