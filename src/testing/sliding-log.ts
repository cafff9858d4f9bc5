/**
 * Simulates gateways that keep a log: at every moment the last 60 s count, and a request is logged whether it was
 * accepted or not.
 */
import { CallLog } from './call-log.ts'
import { promptAndMaximum, requestsOf } from './charge.ts'
import { limitsAnd, MINUTE_MS, positive } from './check.ts'
import type { QuotaCounter, MeterSpec } from './quota-counter.ts'
import { MeteredProvider, type MeteredLimit, type RefusalOptions } from './limited-provider.ts'
import type { ProviderDimension } from './provider.ts'

/** At least one limit; each a number above 0. */
export interface SlidingLogOptions extends RefusalOptions {
  /**
   * The request limit.
   * @default none
   */
  requestsPerMinute?: number
  /** Charged at the start with the prompt and `maxOutputTokens`. Nothing is refunded. */
  tokensPerMinute?: number
}

/**
 * Looks back over the last 60 s.
 *
 * - **Found at**: gateways and open model servers whose limiter is a sorted set in Redis, to which every request
 *   is added before it is counted. OpenAI, Azure and Gemini document that failures count too, but not what their
 *   windows look like.
 * - **Rule**: at most n in any span of 60 s. This is the strictest rule. A client that sends n or more refused
 *   calls per minute is never accepted again, and is not told when to come back.
 * - **Optimum** for N calls, n of which fit a minute: `(⌈N ÷ n⌉ − 1) · 60 s`. Earlier calls leave the log earlier,
 *   so waiting never helps.
 * - **Simplified**: the tokens of refused requests are not logged.
 *
 * `failuresCount` is true and `retryAfter` `'none'` by default. Throws a `TypeError` that names a value that is
 * not above 0.
 *
 * @example
 * new SlidingLogProvider({ requestsPerMinute: 600 })
 */
export class SlidingLogProvider extends MeteredProvider {
  constructor(options: SlidingLogOptions) {
    limitsAnd(options, 'SlidingLogProvider', ['requestsPerMinute', 'tokensPerMinute'])
    const { retryAfter = 'none', failuresCount = true } = options
    super('sliding log of 60 s', () => limitsOf(options), { retryAfter, failuresCount })
  }
}

function limitsOf({ requestsPerMinute, tokensPerMinute }: SlidingLogOptions): MeteredLimit[] {
  const limits: MeteredLimit[] = []
  const counter = (of: ProviderDimension, amount: number): QuotaCounter =>
    new LogCounter({ of, amount: positive(amount, `${of}PerMinute`), perMs: MINUTE_MS })
  if (requestsPerMinute !== undefined) {
    limits.push({ counter: counter('requests', requestsPerMinute), charge: requestsOf })
  }
  if (tokensPerMinute !== undefined) {
    limits.push({ counter: counter('tokens', tokensPerMinute), charge: promptAndMaximum })
  }
  return limits
}

/** At most `amount` in any `perMs`. A log has no corrections, so refunds are ignored. */
class LogCounter implements QuotaCounter {
  readonly of: ProviderDimension
  amount: number
  readonly perMs: number
  readonly #amountAtFirst: number
  readonly #log: CallLog

  constructor({ of, amount, perMs }: MeterSpec) {
    this.of = of
    this.amount = amount
    this.#amountAtFirst = amount
    this.perMs = perMs
    this.#log = new CallLog(perMs)
  }

  waitMs(now: number, cost: number): number {
    const excess = this.#used(now) + cost - this.amount
    if (excess <= 0) return 0
    const freedBy = this.#log.momentOf(now - this.perMs, excess)
    return freedBy === undefined ? Infinity : freedBy + this.perMs - now
  }

  take(now: number, cost: number): void {
    if (cost > 0) this.#log.write(now, cost)
  }

  penalise(now: number): void {
    this.take(now, 1)
  }

  remaining(now: number): number {
    return Math.max(0, this.amount - this.#used(now))
  }

  resetMs(now: number): number {
    return Math.max(0, this.#log.last() + this.perMs - now)
  }

  scale(_now: number, factor: number): void {
    this.amount = Math.ceil(this.#amountAtFirst * factor)
  }

  #used(now: number): number {
    return this.#log.sum(now - this.perMs, now)
  }
}
