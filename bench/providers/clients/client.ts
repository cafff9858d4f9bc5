/** The interface of a client of this bench: it is given calls, and either gets them through a world or loses them. */
import type { LimiterOptions, Usage } from '../../../src/index.ts'
import type { Call, World } from '../world.ts'

export interface Setup {
  /** The limit configured by the user. */
  toldRpm: number
  /** The provider's own window, if the user knows it. */
  window?: '1s' | '10s'
  /** Options specific to llmiter. */
  limiter?: Partial<LimiterOptions>
  /** How llmiter reads the provider's own way of charging, if answers do not report it. */
  used?(body: unknown): Usage | undefined
}

export interface Client {
  /** Resolves when the call was answered. Rejects when the client gives it up. */
  call(call: Call): Promise<unknown>
  /** The run is over, and waiting calls may be dropped. */
  stop(): void
}

export type ClientMaker = (world: World, setup: Setup) => Client | Promise<Client>
