/** Simulates another client of the same organisation that uses up part of the limit. */
import { playBacklog } from './optimum.ts'
import { fields, finite, positive, provider } from './check.ts'
import { LIMIT_SYNONYMS } from '../lib/synonyms.ts'
import type { ModelProvider, ProviderAnswer, ProviderCall, ProviderLimit } from './provider.ts'

/** Options of `NeighbourProvider`. */
export interface NeighbourOptions {
  /** How many calls per minute the neighbour sends while active. */
  requestsPerMinute: number
  /** How long it is active, and then inactive, in turn, in ms. */
  spellMs: number
  /**
   * When its first active period begins, in ms.
   * @default 0
   */
  fromMs?: number
}

/**
 * Any provider whose limit is also used by another client, from time to time and without notice.
 *
 * - **Found at**: every provider that counts by organisation or project: the other client is another program or a
 *   colleague.
 * - **Rule**: the rule of the inner provider, for both clients together. The neighbour sends evenly, does not
 *   wait, and does not retry refused calls.
 * - **Optimum** for N calls: by simulating the backlog next to the neighbour.
 *
 * Throws a `TypeError` that names an invalid value.
 *
 * @example
 * // 60 % of the limit are used in every second period of two minutes
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

  /** Takes over `within`, which must not be used elsewhere. */
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

  /** Sends the neighbour's calls up to now. */
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
