/**
 * Fills figures into hand-written text: each is between two marks, and written by the bench. A text without a mark
 * for a table does not get it. Parts that are not in the report stay unchanged.
 *
 *     <!-- bench: ablations -->
 *     ... written here ...
 *     <!-- /bench -->
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { ablationLines, ablationOf, goalLines, tableLines } from './markdown.ts'
import type { Report } from './report.ts'

const MARKED = /<!-- bench: ([^>]+) -->\n[^]*?<!-- \/bench -->/g

export function fillTables(file: URL, report: Report): void {
  if (!existsSync(file)) return
  writeFileSync(file, filled(readFileSync(file, 'utf8'), report))
}

export function filled(text: string, report: Report): string {
  return text.replace(MARKED, (marked, name: string) => {
    const lines = linesOf(name, report)
    if (!lines) return marked
    return [`<!-- bench: ${name} -->`, '', ...lines, '', '<!-- /bench -->'].join('\n')
  })
}

/** `goals`, `ablations`, `ablation NAME` and `table ID`. */
function linesOf(name: string, report: Report): string[] | undefined {
  const [what, which] = name.split(' ')
  if (what === 'goals') return goalLines(report.goals)
  if (what === 'ablations' && report.ablations) return ablationLines(report.ablations)
  const rule = report.ablations?.rows.find((row) => row.name === which)
  if (what === 'ablation' && rule) return [ablationOf(rule)]
  const table = report.tables.find(({ id }) => id === which)
  if (what === 'table' && table) return tableLines(table)
  return undefined
}
