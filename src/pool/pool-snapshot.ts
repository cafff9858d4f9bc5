// The snapshot of a pool, and its validation on loading, since the file may have been edited.

import type { Snapshot } from 'llmiter'
import { isObject, text } from '../lib/validate.ts'
import type { BudgetSnapshot } from './budgets.ts'

/** What a pool has learned and spent, as plain JSON. */
export interface PoolSnapshot {
  /** The format version. */
  readonly version: 1
  /** Epoch ms at which it was made. */
  readonly wall: number
  /** The spending. */
  readonly budgets?: BudgetSnapshot
  /** The state and the learned limits of each target. */
  readonly targets: Readonly<Record<string, TargetSnapshot>>
}

export interface TargetSnapshot {
  readonly limiter: Snapshot
  /** Remaining times for which it is put aside, counted from `wall`. */
  readonly deadMs?: number
  readonly deaths?: number
  readonly brokenMs?: number
  readonly spentMs?: number
  readonly paused?: true
}

type Fields = Readonly<Record<string, unknown>>
const isCount = (value: unknown) => typeof value === 'number' && value >= 0 && value < Infinity
const isOptionalCount = (value: unknown) => value === undefined || isCount(value)

/** Throws an error that names the fault. Each limiter validates its own part. */
export function checkSnapshot(saved: PoolSnapshot): void {
  const { version = 1 } = Object(saved) as Fields
  if (version !== 1)
    throw new TypeError(
      `snapshot has the version ${text(version)}, and this version of llmiter reads version 1`,
    )
  if (!isObject(saved) || saved.version !== 1 || !isCount(saved.wall) || !isObject(saved.targets))
    throw wrong(saved)
  for (const [name, target] of Object.entries(saved.targets as Fields)) {
    const { limiter, deadMs, deaths, brokenMs, spentMs } = Object(target) as Fields
    if (!isObject(limiter) || ![deadMs, deaths, brokenMs, spentMs].every(isOptionalCount))
      throw wrong(target, ` in targets.${name}`)
  }
  const { budgets = [] } = saved
  const wrongBudget = Array.isArray(budgets) ? budgets.find((budget) => !isBudget(budget)) : budgets
  if (wrongBudget !== undefined) throw wrong(wrongBudget, ' in budgets')
}

function isBudget(budget: unknown): boolean {
  const { name, resetsAt, spent } = Object(budget) as Fields
  const isSpent = (one: unknown) =>
    Array.isArray(one) &&
    typeof one[0] === 'string' &&
    ['requests', 'tokens', 'usd'].every((of) => isCount((Object(one[1]) as Fields)[of]))
  return typeof name === 'string' && isCount(resetsAt) && Array.isArray(spent) && spent.every(isSpent)
}

const wrong = (value: unknown, where = '') =>
  new TypeError(`snapshot must be what snapshot() gave, got ${text(value)}${where}`)
