/**
 * The results in bench/results.json. RESULTS.md and the tables of docs/law.md are written only from this file, so
 * the full run and the ablations, made at different times, each update their part of it.
 *
 * It contains no date, machine or duration: the same law gives the same file, except for the rows in real time.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import type { AblationReport } from './ablation/report.ts'
import type { Column, JudgedGoal } from './case.ts'

export interface Row {
  case: string
  title: string
  client: string
  /** One per column. `never` if it did not happen, null if it is meaningless. */
  values: (number | 'never' | null)[]
}

export interface Table {
  id: string
  title: string
  notes: string[]
  columns: Pick<Column, 'name' | 'digits'>[]
  rows: Row[]
}

export interface Report {
  seeds: number
  goals: JudgedGoal[]
  tables: Table[]
  ablations?: AblationReport
}

/**
 * The new measurements, plus earlier rows and goals that were not measured again. `goals` are the names of the
 * current goals.
 */
export function renewed(before: Report, now: Report, goals: readonly string[]): Report {
  const named = <T extends { what: string }>(all: readonly T[], what: string) =>
    all.find((one) => one.what === what)
  const same = (a: Row, b: Row) => a.case === b.case && a.client === b.client
  const tables = before.tables.map((old): Table => {
    const table = now.tables.find(({ id }) => id === old.id)
    // The columns have changed, so the old rows do not fit.
    if (!table || JSON.stringify(table.columns) !== JSON.stringify(old.columns)) return table ?? old
    const added = table.rows.filter((row) => !old.rows.some((one) => same(one, row)))
    const kept = old.rows.map((row) => table.rows.find((one) => same(one, row)) ?? row)
    return { ...table, rows: [...kept, ...added] }
  })
  const more = now.tables.filter(({ id }) => !before.tables.some((one) => one.id === id))
  return {
    ...now,
    seeds: Math.min(before.seeds, now.seeds),
    goals: goals.flatMap((what) => {
      const [old, fresh] = [named(before.goals, what), named(now.goals, what)]
      return (old && fresh && isNoBetterOnMore(old, fresh) ? old : (fresh ?? old)) ?? []
    }),
    tables: [...tables, ...more],
  }
}

/** A goal is judged on its worst case, so fewer cases cannot show that it is met better. */
function isNoBetterOnMore(old: JudgedGoal, fresh: JudgedGoal): boolean {
  const isBetter = fresh.atMost === undefined ? old.measured > fresh.measured : old.measured < fresh.measured
  return !isBetter && old.cases > fresh.cases
}

/** JSON has no infinite numbers. */
const INFINITIES = new Map<unknown, number>([
  ['Infinity', Infinity],
  ['-Infinity', -Infinity],
])
const inJson = (_: string, value: unknown) =>
  value === Infinity || value === -Infinity ? String(value) : value

export function readReport(file: URL): Report | undefined {
  if (!existsSync(file)) return undefined
  return JSON.parse(readFileSync(file, 'utf8'), (_, value) => INFINITIES.get(value) ?? value) as Report
}

/** Writes one line per goal and row, so that changes show in a diff. */
export function writeReport(file: URL, { seeds, goals, tables, ablations }: Report): void {
  const lines = (items: readonly unknown[]) =>
    `[\n${items.map((item) => JSON.stringify(item, inJson)).join(',\n')}\n]`
  const withRows = ({ rows, ...head }: { rows: readonly unknown[] }) =>
    `${JSON.stringify(head).slice(0, -1)},"rows":${lines(rows)}}`
  const parts = [
    `"seeds":${seeds}`,
    `"goals":${lines(goals)}`,
    `"tables":[${tables.map(withRows).join(',\n')}]`,
    ...(ablations ? [`"ablations":${withRows(ablations)}`] : []),
  ]
  writeFileSync(file, `{${parts.join(',\n')}}\n`)
}
