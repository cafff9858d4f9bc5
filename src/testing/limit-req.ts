/**
 * Decides as nginx's `limit_req` does: at most one request in each 1/rate, but for a burst.
 */
import { playBacklog } from './optimum.ts'
import { choice, fields, finite, MINUTE_MS, positive } from './check.ts'
import { LIMIT_SYNONYMS } from '../lib/synonyms.ts'
import type { ModelProvider, ProviderAnswer, ProviderCall, ProviderLimit } from './provider.ts'

/** Options of `LimitReqProvider`. */
export interface LimitReqOptions {
  /** The limit of requests. */
  requestsPerMinute: number
  /** How many may come before their time, as with `burst=20 nodelay`. Default: 0. */
  burst?: number
  /** `limit_req_status`. Default: 503, which is nginx's own. */
  status?: 429 | 503
}

/** nginx counts in thousandths of a request. */
const ONE = 1000

/**
 * A strict limiter: nginx's `limit_req`, with `nodelay`.
 *
 * - **Who behaves so**: nginx and its ingress in front of a server of your own, and gateways that copied it. Its
 *   default answer is 503, which says nothing of a limit.
 * - **The law it keeps**: between two requests that are let in lie at least 1/rate, counted in whole ms, but for
 *   `burst` requests that may come before their time. A refused request changes nothing.
 * - **Optimum** for N calls: `(N − 1 − burst) ÷ rate`.
 * - **Simplified**: no queue (nginx without `nodelay` lets early requests wait).
 *
 * Throws a `TypeError` that names a wrong value.
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
