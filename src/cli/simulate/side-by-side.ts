// Several providers, of which a call needs one: the best that a client of a pool could achieve.

import type { ModelProvider, ProviderAnswer, ProviderCall, ProviderLimit } from 'llmiter/testing'
import { playBacklog } from '../../testing/optimum.ts'

export class SideBySide implements ModelProvider {
  readonly name: string
  readonly providers: readonly ModelProvider[]

  constructor(providers: readonly ModelProvider[]) {
    this.providers = providers
    this.name = [...new Set(providers.map(({ name }) => name))].join(' or ')
  }

  /** Accepted by the first provider that lets it in. */
  ask(now: number, call?: ProviderCall): ProviderAnswer {
    const waits = this.providers.map((provider) => provider.waitMs(now, call))
    return this.providers[waits.indexOf(Math.min(...waits))]!.ask(now, call)
  }

  limits(now: number): ProviderLimit[] {
    return this.providers.flatMap((provider) => provider.limits(now))
  }

  waitMs(now: number, call?: ProviderCall): number {
    return Math.min(...this.providers.map((provider) => provider.waitMs(now, call)))
  }

  unused(): SideBySide {
    return new SideBySide(this.providers.map((provider) => provider.unused()))
  }

  optimumMs(now: number, calls: number, call?: ProviderCall | ((index: number) => ProviderCall)): number {
    return playBacklog(this.unused(), now, calls, call ?? {})
  }
}
