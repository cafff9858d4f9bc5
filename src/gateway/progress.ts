// How one call has gone so far, and what its client is told of that.

import type { Ticket } from 'llmiter'
import type { BudgetHold } from './spend.ts'

export class CallProgress {
  readonly startedAt = performance.now()
  /** What its budgets hold for it. */
  charge: BudgetHold | undefined
  waitedMs = 0
  attempts = 0
  target = ''
  /** Where the target stands in the route. */
  option: string | undefined
  /** Of the limits of its key. */
  ticket: Ticket | undefined
  cost: number | undefined

  headers(): Record<string, string> {
    const { target, waitedMs, attempts, cost, option } = this
    return {
      'x-llmiter-target': target,
      'x-llmiter-waited-ms': String(Math.round(waitedMs)),
      'x-llmiter-attempts': String(attempts),
      'x-portkey-retry-attempt-count': String(attempts - 1),
      ...(option !== undefined && { 'x-portkey-last-used-option-index': option }),
      ...(cost !== undefined && { 'x-llmiter-cost': String(cost) }),
    }
  }
}
