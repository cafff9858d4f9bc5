/**
 * Decides when somebody else of the same organisation uses the limit up.
 */
import { playBacklog } from './optimum.ts'
import { fields, finite, positive, provider } from './check.ts'
import { LIMIT_SYNONYMS } from '../lib/synonyms.ts'
import type { ModelProvider, ProviderAnswer, ProviderCall, ProviderLimit } from './provider.ts'

/** Options of `NeighbourProvider`. */
export interface NeighbourOptions {
  /** How many calls a minute the neighbour sends while it is there. */
  requestsPerMinute: number
  /** It is there for so long, then away for as long, and so on, in ms. */
  spellMs: number
  /** Its first spell begins then. Default: 0. */
  fromMs?: number
}

/**
 * Any provider that another client uses too, in spells, and that tells nobody so.
 *
 * - **Who behaves so**: every provider that counts by organisation or project: another program, or a colleague.
 * - **The law it keeps**: that of the provider within, for both together. The neighbour sends evenly, does not wait
 *   for anybody, and gives up what is refused.
 * - **Optimum** for N calls: by playing the backlog beside the neighbour.
 *
 * Throws a `TypeError` that names a wrong value.
 *
 * @example
 * // 60 % of the limit are gone for every second two minutes
 * new NeighbourProvider(new TokenBucketProvider({ requestsPerMinute: 600, capacityMs: 1000 }), {
 *   requestsPerMinute: 360,
 *   spellMs: 120_000,
 * })
 */
export class NeighbourProvider implements ModelProvider {
  readonly name: string
  readonly #provider: ModelProvider
  readonly #options: NeighbourOptions
  readonly #everyMs: number
  #next: number

  /** `within` becomes this one's own: nobody else should ask it. */
  constructor(within: ModelProvider, options: NeighbourOptions) {
    provider(within, 'provider')
    fields(options, 'NeighbourProvider', ['requestsPerMinute', 'spellMs', 'fromMs'], LIMIT_SYNONYMS)
    const { requestsPerMinute, spellMs, fromMs = 0 } = options
    this.#everyMs = 60_000 / positive(requestsPerMinute, 'requestsPerMinute')
    positive(spellMs, 'spellMs')
    this.#next = finite(fromMs, 'fromMs')
    this.#provider = within
    this.#options = options
    this.name = `${within.name}, beside a neighbour`
  }

  ask(now: number, call: ProviderCall = {}): ProviderAnswer {
    this.#visit(now)
    return this.#provider.ask(now, call)
  }

  limits(now: number): ProviderLimit[] {
    this.#visit(now)
    return this.#provider.limits(now)
  }

  waitMs(now: number, call: ProviderCall = {}): number {
    this.#visit(now)
    return this.#provider.waitMs(now, call)
  }

  unused(): NeighbourProvider {
    return new NeighbourProvider(this.#provider.unused(), this.#options)
  }

  optimumMs(now: number, calls: number, call: ProviderCall | ((index: number) => ProviderCall) = {}): number {
    return playBacklog(this.unused(), now, calls, call)
  }

  /** What the neighbour has sent until now. */
  #visit(now: number): void {
    const { spellMs, fromMs = 0 } = this.#options
    for (; this.#next <= now; this.#next += this.#everyMs) {
      const spell = Math.floor((this.#next - fromMs) / spellMs)
      if (spell % 2 === 1) this.#next = fromMs + (spell + 1) * spellMs
      if (this.#next > now) return
      const answer = this.#provider.ask(this.#next)
      if (answer.kind === 'admitted') answer.finish(this.#next)
    }
  }
}
