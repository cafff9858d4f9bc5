/** Simulates a busy provider that refuses random calls, whatever the rate of the client. */
import { playBacklog } from './optimum.ts'
import { choice, drawn, fields, finite, provider, notNumber } from './check.ts'
import type { ModelProvider, ProviderAnswer, ProviderCall, ProviderLimit, Refused } from './provider.ts'
import { seededRandom } from '../lib/random.ts'

/** Options of `NoiseProvider`. */
export interface NoiseOptions {
  /** The share of calls that are refused, above 0 and below 1. */
  share: number
  /**
   * 429, as Vertex and Bedrock answer when shared capacity is short, or 503.
   * @default 429
   */
  status?: 429 | 503
  /**
   * The wait that a refusal reports, in ms.
   * @default none
   */
  retryAfterMs?: number
  /**
   * The seed of the random numbers. The same seed refuses the same calls.
   * @default 1
   */
  seed?: number
}

/**
 * Any provider, with a share of all calls refused at random.
 *
 * - **Found at**: providers that serve from capacity shared by all customers (Vertex AI, Bedrock on demand). The
 *   refusals do not come from the account's limit, and a slower client is refused just as often.
 * - **Rule**: the rule of the inner provider. A refused call does not reach it, and uses nothing.
 * - **Optimum** for N calls: that of the inner provider, since a refused call may be sent again immediately.
 * - **Simplified**: refusals are independent. Real shortages come in periods.
 *
 * Throws a `TypeError` that names an invalid value.
 *
 * @example
 * new NoiseProvider(new TokenBucketProvider({ requestsPerMinute: 600 }), { share: 0.01, seed: 7 })
 */
export class NoiseProvider implements ModelProvider {
  readonly name: string
  readonly #provider: ModelProvider
  readonly #options: NoiseOptions
  readonly #random: () => number

  constructor(within: ModelProvider, options: NoiseOptions) {
    provider(within, 'provider')
    fields(options, 'NoiseProvider', ['share', 'status', 'retryAfterMs', 'seed'])
    const { share, status = 429, seed = 1 } = options
    if (!(typeof share === 'number' && share > 0 && share < 1))
      throw new TypeError(`share must be above 0 and below 1, got ${notNumber(share)}`)
    choice(status, 'status', [429, 503])
    if (options.retryAfterMs !== undefined) drawn(options.retryAfterMs, 'retryAfterMs')
    this.#provider = within
    this.#options = options
    this.#random = seededRandom(finite(seed, 'seed'))
    this.name = `${within.name}, ${100 * share} % refused by chance`
  }

  ask(now: number, call: ProviderCall = {}): ProviderAnswer {
    return this.#random() < this.#options.share ? this.#refusal() : this.#provider.ask(now, call)
  }

  limits(now: number): ProviderLimit[] {
    return this.#provider.limits(now)
  }

  waitMs(now: number, call: ProviderCall = {}): number {
    return this.#provider.waitMs(now, call)
  }

  unused(): NoiseProvider {
    return new NoiseProvider(this.#provider.unused(), this.#options)
  }

  optimumMs(now: number, calls: number, call: ProviderCall | ((index: number) => ProviderCall) = {}): number {
    return playBacklog(this.#provider.unused(), now, calls, call)
  }

  #refusal(): Refused {
    const { status = 429, retryAfterMs } = this.#options
    const told = retryAfterMs === undefined ? {} : { retryAfterMs }
    if (status === 503) return { kind: 'refused', why: 'overload', status, ...told }
    return { kind: 'refused', why: 'rate', status, of: 'requests', limit: 1, used: 1, requested: 1, ...told }
  }
}
