// The events and the statistics of a pool.

import type { BudgetStats } from './budgets.ts'
import type { SharingStats } from './sharing.ts'
import type { TargetState } from './target.ts'

/** The data of each event of a pool. */
export interface PoolEvents {
  /** The state of a target changed. */
  state: { target: string; state: TargetState }
  /** A call is tried again, at the first target with room. */
  fallback: { from: string; error: unknown; attempts: number }
}

/** The statistics of a pool: a copy. */
export interface PoolStats {
  /** Calls in the queue. */
  waiting: number
  /** Calls that left the queue, or never joined it: aborted, too late, over budget, without a target. */
  rejected: number
  /** The state of each budget. */
  budgets: BudgetStats[]
  /** Calls that needed no request of their own because of `coalesce`, `cache` or `batched`. */
  sharing: SharingStats | undefined
  /** The state and the counts of each target. */
  targets: {
    name: string
    state: TargetState
    inFlight: number
    sent: number
    answered: number
    failed: number
    refused: number
  }[]
}
