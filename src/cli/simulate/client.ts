// What every client of a simulation is: it is given calls, and gets them through the world or loses them.

import type { BoundBy } from 'llmiter'
import type { LogRecord } from '../../telemetry/log-record.ts'
import type { SimulatedCall } from './world.ts'

/** `sdk` is the SDK with its own two retries; `pool` is llmiter with several targets. */
export type ClientName = 'llmiter' | 'pool' | 'sdk' | `sdk-${number}`

/** How the processes fared that share a limit. */
export interface FleetShares {
  /** Of the first half of all calls, how many the process got through that was served least, and most. */
  least: number
  most: number
  /** What they asked the store, if they have one. */
  questions?: number
}

export interface Client {
  /** Resolves when the call was answered; rejects when the client gives it up. */
  call(call: SimulatedCall): Promise<unknown>
  /** The run is over: what still waits is dropped. */
  stop(): void
  fleet?(): FleetShares
  /** Of a pool: how many calls each target has answered. */
  served?(): number[]
  /** What its calls waited for, where it knows. */
  boundBy?(): BoundBy[]
  records(): LogRecord[]
}
