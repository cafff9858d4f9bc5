/** What a client of this bench is: something that is given calls and gets them through a world, or loses them. */
import type { LimiterOptions, Usage } from '../../../src/index.ts'
import type { Call, World } from '../world.ts'

export interface Setup {
  /** The limit as the user believes it to be. */
  toldRpm: number
  /** The provider's own window, where the user knows it. */
  window?: '1s' | '10s'
  /** Options of llmiter's own. */
  limiter?: Partial<LimiterOptions>
  /** How the provider's own way of charging is told to llmiter, where its answers do not tell it. */
  used?(body: unknown): Usage | undefined
}

export interface Client {
  /** Resolves when the call was answered; rejects when the client gives it up. */
  call(call: Call): Promise<unknown>
  /** The run is over: what still waits may be dropped. */
  stop(): void
}

export type ClientMaker = (world: World, setup: Setup) => Client | Promise<Client>
