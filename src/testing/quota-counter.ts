/**
 * Counts one limit: with a bucket that refills continuously, or with a window that starts again.
 *
 * A provider is a few counters and a charging rule for each (limited-provider.ts). A new kind of provider usually
 * needs only a new counter or a new rule.
 */
import type { ProviderDimension } from './provider.ts'

/** One limit of a provider. Times are in ms, and `now` never decreases. */
export interface QuotaCounter {
  readonly of: ProviderDimension
  readonly amount: number
  readonly perMs: number
  /** Ms until `cost` fits if nothing else is taken. 0 if it fits now. */
  waitMs(now: number, cost: number): number
  /** Charges `cost`. A negative cost is a refund. */
  take(now: number, cost: number): void
  /** Charges a refused request, as far as anything is left. */
  penalise(now: number): void
  remaining(now: number): number
  /** Ms until the counter is as if it had never been used. */
  resetMs(now: number): number
  /**
   * From `now` on, the limit is `factor` times its initial value, rounded up if it counts whole calls. Past usage
   * still counts.
   */
  scale(now: number, factor: number): void
}

/**
 * Times closer than a nanosecond are equal. Otherwise a client that comes back at the exact time it was given
 * could be refused because of a rounding error.
 */
export const SAME_MOMENT_MS = 1e-6

export interface MeterSpec {
  of: ProviderDimension
  amount: number
  perMs: number
}

/**
 * A bucket of `capacityMs` of refill, implemented as the virtual scheduling algorithm (ITU-T I.371). It stores
 * only the time when it will be full, so no error accumulates.
 *
 * A cost above the capacity fits when the bucket is full, and leaves a debt. Otherwise 10 per minute with a
 * capacity of one second would accept nothing.
 */
export class BucketCounter implements QuotaCounter {
  readonly of: ProviderDimension
  amount: number
  readonly perMs: number
  readonly #amountAtFirst: number
  readonly #capacityMs: number
  #fullAt = -Infinity

  constructor({ of, amount, perMs }: MeterSpec, capacityMs: number) {
    this.of = of
    this.amount = amount
    this.#amountAtFirst = amount
    this.perMs = perMs
    this.#capacityMs = capacityMs
  }

  waitMs(now: number, cost: number): number {
    const fitsAt = this.#fullAt - this.#capacityMs + Math.min(this.#refillMs(cost), this.#capacityMs)
    return fitsAt - now > SAME_MOMENT_MS ? fitsAt - now : 0
  }

  take(now: number, cost: number): void {
    this.#fullAt = Math.max(this.#fullAt, now) + this.#refillMs(cost)
  }

  penalise(now: number): void {
    const charged = Math.max(this.#fullAt, now) + this.#refillMs(1)
    this.#fullAt = Math.max(this.#fullAt, Math.min(charged, now + this.#capacityMs))
  }

  remaining(now: number): number {
    return ((this.#capacityMs - this.resetMs(now)) * this.amount) / this.perMs
  }

  resetMs(now: number): number {
    return Math.max(0, this.#fullAt - now)
  }

  /** Keeps the content of the bucket, as far as it still fits. */
  scale(now: number, factor: number): void {
    const held = this.remaining(now)
    this.amount = this.#amountAtFirst * factor
    this.#fullAt = now + Math.max(0, this.#capacityMs - this.#refillMs(held))
  }

  #refillMs(cost: number): number {
    return (cost * this.perMs) / this.amount
  }
}

/** A counter that starts from zero every `perMs`. At time 0 it is `phaseMs` into its window. */
export class FixedWindowCounter implements QuotaCounter {
  readonly of: ProviderDimension
  amount: number
  readonly perMs: number
  readonly #amountAtFirst: number
  readonly #phaseMs: number
  #window = -Infinity
  #used = 0

  constructor({ of, amount, perMs }: MeterSpec, phaseMs: number) {
    this.of = of
    this.amount = amount
    this.#amountAtFirst = amount
    this.perMs = perMs
    this.#phaseMs = phaseMs
  }

  waitMs(now: number, cost: number): number {
    return this.#usedAt(now) + cost > this.amount ? this.#untilNext(now) : 0
  }

  take(now: number, cost: number): void {
    this.#used = Math.max(0, this.#usedAt(now) + cost)
  }

  penalise(now: number): void {
    this.take(now, 1)
  }

  remaining(now: number): number {
    return Math.max(0, this.amount - this.#usedAt(now))
  }

  resetMs(now: number): number {
    return this.#usedAt(now) > 0 ? this.#untilNext(now) : 0
  }

  scale(_now: number, factor: number): void {
    this.amount = Math.ceil(this.#amountAtFirst * factor)
  }

  #windowAt(now: number): number {
    return Math.floor((now + this.#phaseMs + SAME_MOMENT_MS) / this.perMs)
  }

  #untilNext(now: number): number {
    return (this.#windowAt(now) + 1) * this.perMs - this.#phaseMs - now
  }

  #usedAt(now: number): number {
    const window = this.#windowAt(now)
    if (window !== this.#window) {
      this.#window = window
      this.#used = 0
    }
    return this.#used
  }
}
