/** Combines several rules: a call is accepted only if all of them accept it. */
import { playBacklog } from './optimum.ts'
import { provider, text } from './check.ts'
import type { Admitted, ModelProvider, ProviderAnswer, ProviderCall, ProviderLimit } from './provider.ts'

/**
 * Several providers as one. Each keeps its own rule.
 *
 * - **Found at**: Anthropic, with buckets for requests and tokens plus a limit on growth; a gateway with its own
 *   strict limiter in front of a provider that counts by the minute.
 * - **Rule**: all inner rules apply. A call that one of them refuses uses nothing of the others.
 * - **Optimum** for N calls: by simulating the backlog.
 *
 * Throws a `TypeError` if one of them is not a provider, or if there is none.
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
