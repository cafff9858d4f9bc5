/**
 * Prints the results of a bench: sections with aligned columns, each followed by its goals.
 *
 * A figure is always printed next to those of the alternatives, and a missed goal is printed in capitals.
 */
import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'

export interface Goal {
  what: string
  measured: number
  /** The maximum allowed value, in `unit`. */
  atMost?: number
  /** The minimum allowed value, in `unit`. */
  atLeast?: number
  unit: string
  /** Which of several cases was judged. */
  where?: string
}

export interface Section {
  title: string
  /** How it was measured, if the title does not say so. */
  notes?: string[]
  columns: string[]
  /** Numbers are printed with three significant digits. Other formats are passed as text. */
  rows: { name: string; cells: (number | string | undefined)[] }[]
  goals: Goal[]
}

export const isMet = ({ measured, atMost = Infinity, atLeast = -Infinity }: Goal) =>
  measured <= atMost && measured >= atLeast

/** The exit code of a bench: 1 if a goal is missed. */
export const exitCodeOf = (goals: readonly Goal[]) => (goals.every(isMet) ? 0 : 1)

/** The distance from the bound: `met, 0.42 to spare`, `NOT MET by 1.3`. */
export function verdict(goal: Goal): string {
  const margin = figure(Math.abs(goal.measured - (goal.atMost ?? goal.atLeast ?? goal.measured)))
  return isMet(goal) ? `met, ${margin} to spare` : `NOT MET by ${margin}`
}

/** `≥ 98 %`. */
export function bounds({ atMost, atLeast, unit }: Goal): string {
  return atLeast === undefined ? `≤ ${figure(atMost)} ${unit}` : `≥ ${figure(atLeast)} ${unit}`
}

/** Three significant digits, which is all that a noisy machine can measure. */
export function figure(value: number | string | undefined): string {
  if (value === undefined) return '–'
  if (typeof value === 'string') return value
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
    const { what, measured, where } = goal
    const at = where === undefined ? '' : ` (${where})`
    console.log(`  goal: ${what.padEnd(widest)}  ${bounds(goal)}: ${figure(measured)}  ${verdict(goal)}${at}`)
  }
}

/** Writes all measurements, with the machine they were made on. */
export function writeJson(file: string, options: object, sections: Section[], overall: Goal[] = []): void {
  const machine = {
    node: process.version,
    platform: process.platform,
    cpus: cpus().map(({ model }) => model),
  }
  const judge = (goal: Goal) => ({ ...goal, met: isMet(goal) })
  const judged = sections.map((section) => ({ ...section, goals: section.goals.map(judge) }))
  const report = {
    at: new Date().toISOString(),
    machine,
    options,
    sections: judged,
    ...(overall.length > 0 && { goals: overall.map(judge) }),
  }
  writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`)
}
