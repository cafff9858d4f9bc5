/**
 * What was found, as bench/results.json keeps it. RESULTS.md and the tables of docs/law.md are written from this
 * file alone, so the full run and the ablations, made at different times, each renew their part of it.
 *
 * No date, no machine, no time taken: the same law gives the same file, but for the rows in real time.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import type { Goal } from '../table.ts'
import type { AblationReport } from './ablation/report.ts'
import type { Column } from './case.ts'

export interface Row {
  case: string
  title: string
  client: string
  /** One for each column; `never` where it did not come to that, null where it says nothing. */
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
  goals: Goal[]
  tables: Table[]
  ablations?: AblationReport
}

/** What was measured now, and the rows and goals of before that were not; `goals` are the names of those there are. */
export function renewed(before: Report, now: Report, goals: readonly string[]): Report {
  const named = <T extends { what: string }>(all: readonly T[], what: string) =>
    all.find((one) => one.what === what)
  const same = (a: Row, b: Row) => a.case === b.case && a.client === b.client
  const tables = before.tables.map((old): Table => {
    const table = now.tables.find(({ id }) => id === old.id)
    // Other columns than before: the old rows do not fit.
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
      // What must never happen is told as long as any row shows it.
      const never = old && fresh && fresh.atMost === 0 && old.measured > fresh.measured
      return (never ? old : (fresh ?? old)) ?? []
    }),
    tables: [...tables, ...more],
  }
}

/** JSON has no word for what never came. */
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

/** A line for each goal and each row: what has changed shows in a diff. */
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
