/**
 * Decides who gets in where several laws hold at once: a call that all of them let in, or nobody.
 */
import { playBacklog } from './optimum.ts'
import { provider, text } from './check.ts'
import type { Admitted, ModelProvider, ProviderAnswer, ProviderCall, ProviderLimit } from './provider.ts'

/**
 * Several providers as one: each keeps its own law.
 *
 * - **Who behaves so**: Anthropic, with buckets for requests and tokens beside a limit on growth; a gateway with a
 *   strict limiter of its own in front of a provider that counts by the minute.
 * - **The law it keeps**: those of all within. A call that one of them refuses uses nothing up at the others.
 * - **Optimum** for N calls: by playing the backlog.
 *
 * Throws a `TypeError` where one of them is no provider, or there is none.
 *
 * @example
 * new CombinedProvider([
 *   new AccelerationProvider({ requestsPerMinute: 600, floorPerMinute: 60 }),
 *   new TokenBucketProvider({ outputTokensPerMinute: 80_000 }),
 * ])
 */
export class CombinedProvider implements ModelProvider {
  readonly name: string
  readonly #providers: readonly ModelProvider[]

  constructor(providers: readonly ModelProvider[]) {
    if (!Array.isArray(providers) || providers.length === 0)
      throw new TypeError(`CombinedProvider takes an array of providers, got ${text(providers)}`)
    providers.forEach((one, i) => provider(one, `providers[${i}]`))
    this.#providers = providers
    this.name = providers.map(({ name }) => name).join(' beside ')
  }

  ask(now: number, call: ProviderCall = {}): ProviderAnswer {
    const against = this.#providers.find((one) => one.waitMs(now, call) > 0)
    if (against) return against.ask(now, call)
    const admitted: Admitted[] = []
    for (const one of this.#providers) {
      const answer = one.ask(now, call)
      if (answer.kind !== 'admitted') return answer
      admitted.push(answer)
    }
    return {
      kind: 'admitted',
      finish: (at, usage) => admitted.forEach((answer) => answer.finish(at, usage)),
    }
  }

  limits(now: number): ProviderLimit[] {
    return this.#providers.flatMap((one) => one.limits(now))
  }

  waitMs(now: number, call: ProviderCall = {}): number {
    return Math.max(...this.#providers.map((one) => one.waitMs(now, call)))
  }

  unused(): CombinedProvider {
    return new CombinedProvider(this.#providers.map((one) => one.unused()))
  }

  optimumMs(now: number, calls: number, call: ProviderCall | ((index: number) => ProviderCall) = {}): number {
    return playBacklog(this.unused(), now, calls, call)
  }
}
