// The error of a call that no target can answer, and its reason for each target.

import { LimiterError } from 'llmiter'
import { BudgetExceededError } from './budgets.ts'
import type { Ending, PoolMember } from './pool-member.ts'
import type { TargetHealth } from './target.ts'

/**
 * No target can answer the call: none fits it, or all that may are dead, spent or stopped. `cause` gives the
 * reason.
 */
export class NoTargetError extends LimiterError {
  /** The name of the class. */
  override name = 'NoTargetError'
  static readonly code = 'NO_TARGET'
}

/** What the caller gets: the last answer, if the call was sent, and otherwise the reason why it could not be. */
export function noTarget(
  { trouble, tiers }: PoolMember,
  healthOf: (index: number) => TargetHealth,
  now: number,
): Ending {
  const { last, excluded, visited } = trouble
  if (last) return last
  const all = [...new Set(tiers.flatMap(({ indices }) => indices))]
  const causes = all.map((i) => healthOf(i).hopeless(now)?.cause ?? excluded.get(i))
  // If only budgets are exceeded, the error says when the next period begins. If only options are wrong, that
  // error is thrown.
  const alike = [BudgetExceededError, TypeError].some((kind) =>
    causes.every((cause) => cause instanceof kind),
  )
  if (alike) return { error: causes[0] }
  const states = all.map((i) => {
    const health = healthOf(i)
    const tried = visited.has(i) ? 'tried' : health.state(now).state
    return `${health.target.name} (${excluded.has(i) ? whyExcluded(excluded.get(i)) : tried})`
  })
  const message = `no target can answer the call: ${states.join(', ')}`
  const cause = causes.find((one) => one !== undefined)
  return { error: new NoTargetError(message, cause) }
}

function whyExcluded(error: unknown): string {
  if (error instanceof BudgetExceededError) return 'no budget'
  return error instanceof TypeError ? 'wrong cost' : 'too small'
}
