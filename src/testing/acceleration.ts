/**
 * Simulates providers that limit how fast traffic may grow: the calls allowed in a minute depend on the calls in
 * the previous minute.
 */
import { CallLog } from './call-log.ts'
import { requestsOf } from './charge.ts'
import { fields, MINUTE_MS, positive, notNumber } from './check.ts'
import { LIMIT_SYNONYMS } from '../lib/synonyms.ts'
import type { QuotaCounter } from './quota-counter.ts'
import { MeteredProvider, type RefusalOptions } from './limited-provider.ts'

/** Options of `AccelerationProvider`. */
export interface AccelerationOptions extends Pick<RefusalOptions, 'retryAfter'> {
  /** The limit of the account, at which growth ends. Headers report only this. */
  requestsPerMinute: number
  /** The number of calls allowed after a minute without calls. */
  floorPerMinute: number
  /**
   * The maximum growth factor from one minute to the next.
   * @default 2
   */
  growth?: number
}

/**
 * Lets traffic double from one minute to the next, but not grow faster.
 *
 * - **Found at**: Anthropic, which documents 429s from acceleration limits after a sharp increase in usage, below
 *   the published limits. OpenAI answers `slow_down` in the same situation. Neither publishes the rule, so this is
 *   the simplest one. It takes a client from a tenth of the limit to the whole limit after four minutes.
 * - **Rule**: when a call is accepted, the last 60 s contain at most `growth` times as many calls as the 60 s
 *   before them. The floor is always allowed, and more than `requestsPerMinute` never. Both minutes slide.
 * - **Optimum** for N calls: 60 s · k, where the first k + 1 minutes allow N in total, each `growth` times the
 *   previous one, from the floor up to the limit. All calls of a minute are sent at its start. Waiting never
 *   helps, because 60 s after any moment the same amount is allowed as if that moment had been the start. A client
 *   that spreads its calls evenly is about two minutes slower, once: in its second minute the previous one is
 *   still filling up, so it may not double yet.
 * - **Simplified**: requests only. Refused requests count neither against the limit nor as traffic to grow from.
 *
 * Throws a `TypeError` that names a value that is not above 0.
 *
 * @example
 * new AccelerationProvider({ requestsPerMinute: 600, floorPerMinute: 60 }) // 60, 120, 240, 480, 600, 600 …
 */
export class AccelerationProvider extends MeteredProvider {
  constructor(options: AccelerationOptions) {
    fields(
      options,
      'AccelerationProvider',
      ['requestsPerMinute', 'floorPerMinute', 'growth', 'retryAfter'],
      LIMIT_SYNONYMS,
    )
    const { requestsPerMinute, floorPerMinute, growth = 2, retryAfter = 'exact' } = options
    positive(requestsPerMinute, 'requestsPerMinute')
    positive(floorPerMinute, 'floorPerMinute')
    if (!(Number.isFinite(growth) && growth >= 1))
      throw new TypeError(`growth must be a number of at least 1, got ${notNumber(growth)}`)
    super(
      `growth × ${growth} a minute`,
      () => [{ counter: new GrowthCounter(requestsPerMinute, floorPerMinute, growth), charge: requestsOf }],
      { retryAfter, failuresCount: false },
    )
  }
}

class GrowthCounter implements QuotaCounter {
  readonly of = 'requests'
  readonly perMs = MINUTE_MS
  amount: number
  readonly #amountAtFirst: number
  readonly #floorAtFirst: number
  readonly #growth: number
  readonly #log = new CallLog(2 * MINUTE_MS)
  #floor: number

  constructor(amount: number, floor: number, growth: number) {
    this.amount = this.#amountAtFirst = amount
    this.#floor = this.#floorAtFirst = floor
    this.#growth = growth
  }

  /** Only a call that leaves the last minute makes room, so only those times are checked. */
  waitMs(now: number, cost: number): number {
    if (this.#fits(now, cost)) return 0
    for (const moment of this.#log.moments(now - MINUTE_MS)) {
      if (this.#fits(moment + MINUTE_MS, cost)) return moment + MINUTE_MS - now
    }
    return Infinity
  }

  take(now: number, cost: number): void {
    this.#log.write(now, cost)
  }

  penalise(): void {}

  /** Relative to the limit of the account. The amount that growth allows is not reported anywhere. */
  remaining(now: number): number {
    return Math.max(0, this.amount - this.#lastMinute(now))
  }

  resetMs(now: number): number {
    return Math.max(0, this.#log.last() + MINUTE_MS - now)
  }

  scale(_now: number, factor: number): void {
    this.amount = Math.ceil(this.#amountAtFirst * factor)
    this.#floor = Math.ceil(this.#floorAtFirst * factor)
  }

  #fits(now: number, cost: number): boolean {
    const grown = this.#growth * this.#lastMinute(now - MINUTE_MS)
    return this.#lastMinute(now) + cost <= Math.min(this.amount, Math.max(this.#floor, grown))
  }

  #lastMinute(now: number): number {
    return this.#log.sum(now - MINUTE_MS, now)
  }
}
