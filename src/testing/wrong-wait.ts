/** Simulates providers that report a wrong wait. */
import { playBacklog } from './optimum.ts'
import { drawn, fields, provider, seconds } from './check.ts'
import type { ModelProvider, ProviderAnswer, ProviderCall, ProviderLimit } from './provider.ts'

/** Give one of the two. */
export interface WrongWaitOptions {
  /** The reported wait is this multiple of the actual one. */
  factor?: number
  /** The reported wait is always this, in ms. */
  constantMs?: number
}

/**
 * Any provider whose refusals report a wrong wait.
 *
 * - **Found at**: gateways with `Retry-After: 60` in their configuration; providers that report the wait of one of
 *   several limits, or the time until the whole budget is back.
 * - **Rule** and **optimum**: those of the inner provider.
 *
 * Throws a `TypeError` that names an invalid value.
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
