// The interface of every simulated client: it is given calls, and either gets them through or loses them.

import type { BoundBy } from 'llmiter'
import type { LogRecord } from '../../telemetry/log-record.ts'
import type { SimulatedCall } from './world.ts'

/** `sdk` is the SDK with its own two retries. `pool` is llmiter with several targets. */
export type ClientName = 'llmiter' | 'pool' | 'sdk' | `sdk-${number}`

/** How evenly processes that share a limit were served. */
export interface FleetShares {
  /** Of the first half of all calls: how many the least served process got through, and the most served one. */
  least: number
  most: number
  /** The number of requests to the store, if there is one. */
  questions?: number
}

export interface Client {
  /** Resolves when the call was answered. Rejects when the client gives it up. */
  call(call: SimulatedCall): Promise<unknown>
  /** The run is over, and waiting calls are dropped. */
  stop(): void
  fleet?(): FleetShares
  /** For a pool: the number of calls that each target answered. */
  served?(): number[]
  /** What its calls waited for, if known. */
  boundBy?(): BoundBy[]
  records(): LogRecord[]
}
