/** Simulates a provider that fails for a while: all calls or some, with an error or without an answer. */
import { playBacklog } from './optimum.ts'
import { choice, drawn, fields, finite, provider, seconds, notNumber } from './check.ts'
import type { ModelProvider, ProviderAnswer, ProviderCall, ProviderLimit, Refused } from './provider.ts'
import { seededRandom } from '../lib/random.ts'

/** Options of `OutageProvider`. */
export interface OutageOptions {
  /** The start of the outage, on the `now` passed to the provider, in ms. */
  fromMs: number
  /** The end of the outage, in ms. */
  toMs: number
  /**
   * The answer to an affected call.
   *
   * - `overloaded`: 529, as from Anthropic
   * - `unavailable`: 503
   * - `slow down`: 503 with OpenAI's `slow_down`
   * - `limited`: 429 without a wait, as from gateways that lost their backend
   * - `nothing`: no answer; the call hangs until the client gives up
   *
   * @default 'overloaded'
   */
  says?: 'overloaded' | 'unavailable' | 'slow down' | 'limited' | 'nothing'
  /**
   * The share of affected calls, above 0 and at most 1. They are selected at random.
   * @default 1
   */
  share?: number
  /**
   * The seed of the random numbers. The same seed affects the same calls.
   * @default 1
   */
  seed?: number
  /**
   * The wait that a refusal reports, in ms.
   * @default none
   */
  retryAfterMs?: number
}

/**
 * Any provider, with an outage from one moment to another.
 *
 * - **Found at**: all providers. Anthropic answers 529 `overloaded_error`. OpenAI answers 503 and, if traffic grew
 *   too fast, 503 `slow_down`. Most outages are partial. Behind some load balancers, requests hang.
 * - **Rule**: the rule of the inner provider. An affected call does not reach it, so it uses nothing, and the
 *   limits recover during the outage.
 * - **Optimum** for N calls: that of the inner provider, as if nobody had called during the outage. For a partial
 *   outage, as if there were none, since an affected call may be sent again immediately.
 * - **Simplified**: it ends abruptly and with full limits, while a real provider recovers gradually.
 *
 * Nest several of these for several outages. Throws a `TypeError` that names an invalid value.
 *
 * @example
 * const bucket = new TokenBucketProvider({ requestsPerMinute: 600, capacityMs: 1000 })
 * new OutageProvider(bucket, { fromMs: 60_000, toMs: 180_000 })
 * new OutageProvider(bucket, { fromMs: 60_000, toMs: 180_000, share: 0.3, seed: 7 })
 * new OutageProvider(bucket, { fromMs: 60_000, toMs: 180_000, says: 'nothing' })
 */
export class OutageProvider implements ModelProvider {
  readonly name: string
  readonly #provider: ModelProvider
  readonly #options: OutageOptions
  readonly #share: number
  readonly #random: () => number

  constructor(within: ModelProvider, options: OutageOptions) {
    provider(within, 'provider')
    fields(options, 'OutageProvider', ['fromMs', 'toMs', 'says', 'share', 'seed', 'retryAfterMs'])
    const { fromMs, toMs, says = 'overloaded', share = 1, seed = 1 } = options
    finite(fromMs, 'fromMs')
    finite(toMs, 'toMs')
    if (toMs < fromMs) throw new TypeError(`toMs must not be before fromMs (${fromMs}), got ${toMs}`)
    finite(seed, 'seed')
    if (options.retryAfterMs !== undefined) drawn(options.retryAfterMs, 'retryAfterMs')
    if (!(typeof share === 'number' && share > 0 && share <= 1))
      throw new TypeError(`share must be above 0 and at most 1, got ${notNumber(share)}`)
    choice(says, 'says', Object.keys(outageNames))
    this.#provider = within
    this.#options = options
    this.#share = share
    this.#random = seededRandom(seed)
    const part = share < 1 ? `${Math.round(100 * share)} % ` : ''
    this.name = `${within.name}, ${part}${outageNames[says]} from ${seconds(fromMs)} to ${seconds(toMs)}`
  }

  ask(now: number, call: ProviderCall = {}): ProviderAnswer {
    if (this.#isOut(now) && (this.#share === 1 || this.#random() < this.#share)) return this.#strike()
    return this.#provider.ask(now, call)
  }

  /** A provider that does not answer does not report limits either. */
  limits(now: number): ProviderLimit[] {
    return this.#isOut(now) && this.#share === 1 ? [] : this.#provider.limits(now)
  }

  waitMs(now: number, call: ProviderCall = {}): number {
    if (this.#isOut(now) && this.#share === 1) return this.#options.toMs - now
    return this.#provider.waitMs(now, call)
  }

  unused(): OutageProvider {
    return new OutageProvider(this.#provider.unused(), this.#options)
  }

  optimumMs(now: number, calls: number, call: ProviderCall | ((index: number) => ProviderCall) = {}): number {
    return playBacklog(this.unused(), now, calls, call)
  }

  #isOut(now: number): boolean {
    return now >= this.#options.fromMs && now < this.#options.toMs
  }

  #strike(): ProviderAnswer {
    const { says = 'overloaded', retryAfterMs } = this.#options
    if (says === 'nothing') return { kind: 'silent' }
    const told = retryAfterMs === undefined ? {} : { retryAfterMs }
    if (says === 'limited') return { ...LIMITED, ...told }
    const refused = { kind: 'refused', why: 'overload', status: says === 'overloaded' ? 529 : 503 } as const
    return { ...refused, ...(says === 'slow down' && { slowDown: true }), ...told }
  }
}

const LIMITED: Refused = {
  kind: 'refused',
  why: 'rate',
  status: 429,
  of: 'requests',
  limit: 1,
  used: 1,
  requested: 1,
}

const outageNames = {
  overloaded: 'overloaded',
  unavailable: 'unavailable',
  'slow down': 'slow down',
  limited: 'limited',
  nothing: 'silent',
}
