/** Simulates nginx's `limit_req`: at most one request per 1/rate, plus a burst. */
import { playBacklog } from './optimum.ts'
import { choice, fields, finite, MINUTE_MS, positive } from './check.ts'
import { LIMIT_SYNONYMS } from '../lib/synonyms.ts'
import type { ModelProvider, ProviderAnswer, ProviderCall, ProviderLimit } from './provider.ts'

/** Options of `LimitReqProvider`. */
export interface LimitReqOptions {
  /** The request limit. */
  requestsPerMinute: number
  /**
   * How many requests may come early, as with `burst=20 nodelay`.
   * @default 0
   */
  burst?: number
  /**
   * `limit_req_status`. The default is nginx's own.
   * @default 503
   */
  status?: 429 | 503
}

/** nginx counts in thousandths of a request. */
const ONE = 1000

/**
 * A strict limiter: nginx's `limit_req` with `nodelay`.
 *
 * - **Found at**: nginx and its ingress in front of a self-hosted server, and gateways that copied it. Its default
 *   answer is 503, which says nothing about a limit.
 * - **Rule**: two accepted requests are at least 1/rate apart, measured in whole ms, except for `burst` requests
 *   that may come early. A refused request changes nothing.
 * - **Optimum** for N calls: `(N − 1 − burst) ÷ rate`.
 * - **Simplified**: no queue (without `nodelay`, nginx delays early requests).
 *
 * Throws a `TypeError` that names an invalid value.
 *
 * @example
 * new LimitReqProvider({ requestsPerMinute: 600 })                         // rate=10r/s, answers 503
 * new LimitReqProvider({ requestsPerMinute: 600, burst: 20, status: 429 }) // burst=20 nodelay
 */
export class LimitReqProvider implements ModelProvider {
  readonly name: string
  readonly #options: LimitReqOptions
  readonly #burst: number
  /** Thousandths of a request per ms. */
  readonly #rate: number
  #excess = 0
  #at = -Infinity

  constructor(options: LimitReqOptions) {
    fields(options, 'LimitReqProvider', ['requestsPerMinute', 'burst', 'status'], LIMIT_SYNONYMS)
    const { requestsPerMinute, burst = 0, status = 503 } = options
    positive(requestsPerMinute, 'requestsPerMinute')
    if (finite(burst, 'burst') < 0) throw new TypeError(`burst must be at least 0, got ${burst}`)
    choice(status, 'status', [429, 503])
    this.#options = options
    this.#burst = burst * ONE
    this.#rate = (requestsPerMinute * ONE) / MINUTE_MS
    this.name = `limit_req, burst ${burst}, ${status}`
  }

  ask(now: number, { requests = 1 }: ProviderCall = {}): ProviderAnswer {
    const excess = this.#after(now, requests)
    if (excess > this.#burst) return this.#refusal(requests)
    this.#excess = excess
    this.#at = Math.floor(now)
    return { kind: 'admitted', finish: () => {} }
  }

  limits(): ProviderLimit[] {
    return []
  }

  waitMs(now: number, { requests = 1 }: ProviderCall = {}): number {
    if (this.#after(now, requests) <= this.#burst) return 0
    const due = this.#at + Math.ceil((this.#excess + requests * ONE - this.#burst) / this.#rate - 1e-9)
    return Math.max(0, due - now)
  }

  unused(): LimitReqProvider {
    return new LimitReqProvider(this.#options)
  }

  optimumMs(now: number, calls: number, call: ProviderCall | ((index: number) => ProviderCall) = {}): number {
    return playBacklog(this.unused(), now, calls, call)
  }

  #after(now: number, requests: number): number {
    if (this.#at === -Infinity) return 0
    const refilled = Math.floor(this.#rate * (Math.floor(now) - this.#at) + 1e-9)
    return Math.max(0, this.#excess - refilled + requests * ONE)
  }

  #refusal(requested: number): ProviderAnswer {
    const { requestsPerMinute: limit, status = 503 } = this.#options
    if (status === 503) return { kind: 'refused', why: 'overload', status }
    return { kind: 'refused', why: 'rate', status, of: 'requests', limit, used: limit, requested }
  }
}
