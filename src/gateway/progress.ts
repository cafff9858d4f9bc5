// The progress of one call, and what its client is told about it.

import type { Ticket } from 'llmiter'
import type { BudgetHold } from './spend.ts'

export class CallProgress {
  readonly startedAt = performance.now()
  /** What its budgets have reserved for it. */
  charge: BudgetHold | undefined
  waitedMs = 0
  attempts = 0
  target = ''
  /** The position of the target in the route. */
  option: string | undefined
  /** The ticket of its key's limits. */
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
