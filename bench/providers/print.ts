/** The report on a terminal. */
import { figure, isMet, printGoals, printSection } from '../table.ts'
import type { AblationReport, Change } from './ablation/compare.ts'
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

/** `told twice the limit: goodput 98.4 → 91.2 %`. */
export function changeText({ what, unit, full, without }: Change): string {
  return `${what} ${figure(full)} → ${figure(without)} ${unit}`
}

export function printAblations({ rows, met, of }: AblationReport): void {
  console.log(`\nThe law meets ${met} of ${of} goals. With one rule switched off:`)
  for (const { name, without, changes, met, stale } of rows) {
    console.log(`\n${name}: ${without}${stale === undefined ? ` (${met} goals met)` : ''}`)
    if (stale !== undefined) console.log(`  NOT RUN: ${stale}`)
    for (const change of changes)
      console.log(`  ${change.worse > 0 ? 'worse ' : 'better'}  ${changeText(change)}`)
  }
}
