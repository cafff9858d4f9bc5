/** From cells to what is told: sections with rows, and goals with the worst cell that they speak of. */
import { isMet, type Goal, type Section } from '../table.ts'
import type { Cell, SectionPlan, Target } from './case.ts'

export function sectionOf({ title, notes, columns, id }: SectionPlan, cells: readonly Cell[]): Section {
  const here = cells.filter((cell) => cell.case.section === id)
  const used = columns.filter(({ of }) => here.some(({ pooled }) => of(pooled) !== undefined))
  return {
    title,
    notes,
    columns: used.map(({ name }) => name),
    rows: here.map(({ case: { title }, client, pooled }) => ({
      name: `${title} | ${client}`,
      cells: used.map(({ of, digits }) => of(pooled)?.toFixed(digits)),
    })),
    goals: [],
  }
}

/** The goal with its worst cell; undefined when nothing was measured that it speaks of. */
export function judge({ what, of, measure, bound, unit }: Target, cells: readonly Cell[]): Goal | undefined {
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
  }
}
