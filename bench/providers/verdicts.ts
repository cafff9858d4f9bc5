/** Turns cells into results: tables with rows, and goals with their worst cell. */
import { isMet } from '../table.ts'
import type { Cell, JudgedGoal, SectionPlan, Target } from './case.ts'
import type { Table } from './report.ts'

export function tableOf({ id, title, notes, columns }: SectionPlan, cells: readonly Cell[]): Table {
  const here = cells.filter((cell) => cell.case.section === id)
  const used = columns.filter(({ of }) => here.some(({ pooled, each }) => of(pooled, each) !== undefined))
  return {
    id,
    title,
    notes,
    columns: used.map(({ name, digits }) => ({ name, digits })),
    rows: here.map(({ case: { id, title }, client, pooled, each }) => ({
      case: id,
      title,
      client,
      values: used.map(({ of, digits }) => rounded(of(pooled, each), digits)),
    })),
  }
}

function rounded(value: number | undefined, digits: number): number | 'never' | null {
  if (value === undefined) return null
  return value === Infinity ? 'never' : Number(value.toFixed(digits))
}

/** The goal with its worst cell. Undefined if nothing was measured that it applies to. */
export function judge(
  { what, of, measure, bound, unit }: Target,
  cells: readonly Cell[],
): JudgedGoal | undefined {
  const judged = cells
    .filter((cell) => cell.client === 'llmiter' && of(cell))
    .flatMap((cell) => {
      const measured = measure(cell.pooled)
      return measured === undefined ? [] : [{ what, measured, ...bound, unit, where: cell.case.id }]
    })
  if (judged.length === 0) return undefined
  const worst = judged.reduce((a, b) =>
    bound.atLeast === undefined ? (b.measured > a.measured ? b : a) : b.measured < a.measured ? b : a,
  )
  const met = judged.filter(isMet).length
  return {
    ...worst,
    where: isMet(worst) ? `${met} cases` : `${worst.where}; met in ${met} of ${judged.length}`,
    cases: judged.length,
  }
}
