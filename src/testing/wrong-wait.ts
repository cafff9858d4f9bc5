/**
 * Decides what a provider tells of the wait, where that is not the truth.
 */
import { playBacklog } from './optimum.ts'
import { drawn, fields, provider, seconds } from './check.ts'
import type { ModelProvider, ProviderAnswer, ProviderCall, ProviderLimit } from './provider.ts'

/** One of the two. */
export interface WrongWaitOptions {
  /** The told wait is so many times the true one. */
  factor?: number
  /** The told wait is always this, in ms. */
  constantMs?: number
}

/**
 * Any provider whose refusals tell a wrong wait.
 *
 * - **Who behaves so**: gateways with `Retry-After: 60` written into their configuration; providers that tell the
 *   wait of one of several limits, or the time until the whole budget is back.
 * - **The law it keeps** and its **optimum**: those of the provider within.
 *
 * Throws a `TypeError` that names a wrong value.
 *
 * @example
 * new WrongWaitProvider(new TokenBucketProvider({ requestsPerMinute: 600 }), { constantMs: 60_000 })
 */
export class WrongWaitProvider implements ModelProvider {
  readonly name: string
  readonly #provider: ModelProvider
  readonly #options: WrongWaitOptions

  constructor(within: ModelProvider, options: WrongWaitOptions) {
    provider(within, 'provider')
    fields(options, 'WrongWaitProvider', ['factor', 'constantMs'])
    const { factor, constantMs } = options
    if ((factor === undefined) === (constantMs === undefined))
      throw new TypeError('WrongWaitProvider takes either factor or constantMs')
    if (factor !== undefined) drawn(factor, 'factor')
    if (constantMs !== undefined) drawn(constantMs, 'constantMs')
    this.#provider = within
    this.#options = options
    this.name = `${within.name}, waits told ${factor === undefined ? `as ${seconds(constantMs!)}` : `× ${factor}`}`
  }

  ask(now: number, call: ProviderCall = {}): ProviderAnswer {
    const trueMs = this.#provider.waitMs(now, call)
    const answer = this.#provider.ask(now, call)
    if (answer.kind !== 'refused' || answer.why !== 'rate') return answer
    const { factor, constantMs } = this.#options
    return { ...answer, retryAfterMs: constantMs ?? factor! * trueMs }
  }

  limits(now: number): ProviderLimit[] {
    return this.#provider.limits(now)
  }

  waitMs(now: number, call: ProviderCall = {}): number {
    return this.#provider.waitMs(now, call)
  }

  unused(): WrongWaitProvider {
    return new WrongWaitProvider(this.#provider.unused(), this.#options)
  }

  optimumMs(now: number, calls: number, call: ProviderCall | ((index: number) => ProviderCall) = {}): number {
    return playBacklog(this.#provider.unused(), now, calls, call)
  }
}
