/**
 * How a bench tells what it measured: sections with aligned columns, and under each the goals it is judged by.
 *
 * A figure is never printed without the peers' beside it, and a goal that was missed says so in capitals.
 */
import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'

export interface Goal {
  what: string
  measured: number
  /** The most that is allowed, in `unit`. */
  atMost: number
  unit: string
}

export interface Section {
  title: string
  /** How it was measured, where the title does not say it all. */
  notes?: string[]
  columns: string[]
  rows: { name: string; cells: (number | undefined)[] }[]
  goals: Goal[]
}

export const isMet = ({ measured, atMost }: Goal) => measured <= atMost

/** Three significant digits: what a noisy machine can tell. */
export function figure(value: number | undefined): string {
  if (value === undefined) return '–'
  if (Number.isInteger(value)) return value.toLocaleString('en')
  return Math.abs(value) >= 100 ? Math.round(value).toLocaleString('en') : value.toPrecision(3)
}

export function printSection({ title, notes = [], columns, rows, goals }: Section): void {
  const table = [['', ...columns], ...rows.map(({ name, cells }) => [name, ...cells.map(figure)])]
  const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0)))
  console.log(`\n${title}`)
  for (const note of notes) console.log(`  ${note}`)
  for (const [name, ...cells] of table) {
    const padded = cells.map((cell, i) => cell.padStart(widths[i + 1]!))
    console.log(`  ${[name!.padEnd(widths[0]!), ...padded].join('   ').trimEnd()}`)
  }
  printGoals(goals)
}

export function printGoals(goals: Goal[]): void {
  const widest = Math.max(0, ...goals.map(({ what }) => what.length))
  for (const goal of goals) {
    const { what, measured, atMost, unit } = goal
    const verdict = isMet(goal) ? 'met' : 'NOT MET'
    console.log(
      `  goal: ${what.padEnd(widest)}  ≤ ${figure(atMost)} ${unit}: ${figure(measured)}  ${verdict}`,
    )
  }
}

/** Everything that was measured, with the machine it was measured on. */
export function writeJson(file: string, options: object, sections: Section[]): void {
  const machine = {
    node: process.version,
    platform: process.platform,
    cpus: cpus().map(({ model }) => model),
  }
  const judged = sections.map((section) => ({
    ...section,
    goals: section.goals.map((goal) => ({ ...goal, met: isMet(goal) })),
  }))
  const report = { at: new Date().toISOString(), machine, options, sections: judged }
  writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`)
}
