/**
 * What a rule is worth: the goals' figures with it and without it, each on its worst case.
 *
 * Figures of different units are compared by the slack that their goal leaves: a goal of 98 % leaves 2 points, one
 * of 1.5 refusals leaves 1.5. What moves by less than a tenth of that is not told.
 */
import { isMet, type Goal } from '../../table.ts'

export interface Change {
  what: string
  unit: string
  full: number
  without: number
  /** By how many slacks it got worse; below 0 it got better. */
  worse: number
  met: { full: boolean; without: boolean }
}

export interface AblationRow {
  name: string
  without: string
  /** Largest first; all that moved by a tenth of the slack or more. */
  changes: Change[]
  /** How many goals are met without the rule. */
  met: number
  /** It could not be switched off: why. */
  stale?: string
}

export interface AblationReport {
  seeds: number
  /** Of the law as it is. */
  met: number
  of: number
  rows: AblationRow[]
}

const LEAST = 0.1

export function compare(full: readonly Goal[], without: readonly Goal[]): Change[] {
  const changes = full.flatMap((goal): Change[] => {
    const other = without.find(({ what }) => what === goal.what)
    if (!other) return []
    const rise = other.measured - goal.measured || 0
    const worse = (goal.atLeast === undefined ? rise : -rise) / slack(goal)
    if (Math.abs(worse) < LEAST) return []
    const { what, unit, measured } = goal
    const met = { full: isMet(goal), without: isMet(other) }
    return [{ what, unit, full: measured, without: other.measured, worse, met }]
  })
  return changes.sort((a, b) => Math.abs(b.worse) - Math.abs(a.worse))
}

/** A goal that leaves nothing is as strict as one that leaves one. */
function slack({ atLeast, atMost, unit }: Goal): number {
  return (atLeast === undefined ? atMost : unit === '%' ? 100 - atLeast : atLeast) || 1
}
