/** Prints the report on a terminal. */
import { isMet, printGoals, printSection } from '../table.ts'
import { isWorth, moreText, partsText, type AblationReport } from './ablation/report.ts'
import type { Report, Row, Table } from './report.ts'

export function printReport({ tables, goals }: Report): void {
  for (const table of tables) {
    const { title, notes, columns, rows } = table
    printSection({
      title,
      notes,
      columns: columns.map(({ name }) => name),
      rows: rows.map((row) => ({ name: `${row.title} | ${row.client}`, cells: textsOf(table, row) })),
      goals: [],
    })
  }
  console.log('\nGoals, each on the worst of its cases')
  printGoals(goals)
  console.log(`\n${goals.filter(isMet).length} of ${goals.length} goals met`)
}

export function textsOf({ columns }: Table, { values }: Row): string[] {
  return values.map((value, i) => {
    if (value === null) return '–'
    return typeof value === 'string' ? value : value.toFixed(columns[i]!.digits)
  })
}

export function printAblations({ rows, loss, seeds }: AblationReport): void {
  console.log(`\nThe law loses ${moreText(loss)} (${seeds} seeds). With one rule switched off:`)
  for (const row of rows) {
    const { name, without, more, stale } = row
    const parts = [1, -1].map((sign) => partsText(row, sign as 1 | -1)).filter(Boolean)
    const told = stale === undefined ? `${moreText(more)}  ${parts.join('; ')}` : `NOT RUN: ${stale}`
    console.log(`  ${isWorth(row) ? ' ' : '·'} ${name.padEnd(14)} ${told}  (${without})`)
  }
}
