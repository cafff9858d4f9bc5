// The panels of a graph: the lines of each, and its top value.

import type { Buckets } from './buckets.ts'
import { type Columns, lastOf, type LimitColumn } from './columns.ts'
import { isRight, LABELS, type Line, LINES, type LineName, MINUTES, TOKEN_LINES } from './labels.ts'
import { clippedTop, paceTop, topOf, valuesOf } from './scale.ts'

/** A line of a panel, or marks at its top. */
export interface PanelLine {
  /** The name in `--lines`, with which the reader can hide it. Lines without a name are always shown. */
  name?: LineName
  label: string
  /** The name of its colour in the style sheet. */
  colour: string
  right?: boolean
  area?: boolean
  dash?: number[]
  /** Whether gaps without a value are bridged. */
  spans?: boolean
  /** The sign of marks at the top, above everything else. */
  mark?: string
  values: (buckets: Buckets) => (number | null)[]
}

export interface Panel {
  key: 'calls' | 'limits' | 'waits' | 'tokens'
  title: string
  height: number
  lines: readonly PanelLine[]
  top: (buckets: Buckets, lines: readonly PanelLine[]) => number
  /** The unit after a number. */
  unit: string
}

const AREAS: readonly LineName[] = ['waiting', 'available']
const MARKS: Partial<Record<LineName, string>> = { refused: '▼', failed: '✕' }

const named = (line: Line & { name: LineName }): PanelLine => ({
  ...{ name: line.name, label: LABELS[line.name], colour: line.name },
  values: (buckets) => valuesOf(buckets, line.name),
  ...(isRight(line) && { right: true }),
  ...(AREAS.includes(line.name) && { area: true }),
  ...(line.name === 'rate' && { dash: [7, 4] }),
  ...(MINUTES.includes(line.name) && line.name !== 'rate' && { dash: [2, 4] }),
  ...(MARKS[line.name] && { mark: MARKS[line.name]! }),
})

const CALLS: Panel = {
  ...{ key: 'calls', title: 'calls a second', height: 260, unit: '/s' },
  lines: LINES.map(named),
  top: (buckets, lines) => paceTop(buckets, namesOf(lines)),
}

const TOKENS: Panel = {
  ...{ key: 'tokens', title: 'tokens/s', height: 100, unit: '/s' },
  lines: TOKEN_LINES.map(named),
  top: (buckets, lines) => paceTop(buckets, namesOf(lines)),
}

const WAITS: Panel = {
  ...{ key: 'waits', title: 'wait (s)', height: 90, unit: ' s' },
  lines: [
    { label: 'wait p95', colour: 'p95', spans: true, values: ({ p95 }) => seconds(p95) },
    { label: 'wait p50', colour: 'p50', spans: true, values: ({ p50 }) => seconds(p50) },
  ],
  top: (buckets, lines) => clippedTop(lines.map(({ values }) => values(buckets))),
}

const seconds = (values: readonly (number | null)[]) => values.map((value) => value && value / 1000)

const limits = (all: readonly LimitColumn[]): Panel => ({
  ...{ key: 'limits', title: '% of limit', height: 110, unit: ' %' },
  lines: all.map(({ label, colour }) => ({
    ...{ label, colour },
    values: (buckets) => buckets.limits.find((limit) => limit.label === label)?.percent ?? [],
  })),
  top: (buckets, lines) =>
    clippedTop(
      lines.map(({ values }) => values(buckets)),
      110,
    ),
})

const namesOf = (lines: readonly PanelLine[]) =>
  lines.flatMap(({ name, mark }) => (name === undefined || mark !== undefined ? [] : [name]))

/** The top of the right axis. */
export const rightTop = (buckets: Buckets, lines: readonly PanelLine[]) => topOf(buckets, namesOf(lines))

/** The panels for which these limiters have data. */
export function panelsOf(all: readonly Columns[]): Panel[] {
  const byLabel = new Map(all.flatMap(({ limits }) => limits.map((limit) => [limit.label, limit])))
  const waits = all.some(({ p95 }) => lastOf(p95) !== undefined)
  return [
    CALLS,
    ...(byLabel.size > 0 ? [limits([...byLabel.values()])] : []),
    ...(waits ? [WAITS] : []),
    ...(hasTokens(all) ? [TOKENS] : []),
  ]
}

export const hasTokens = (all: readonly Columns[]) =>
  all.some(({ tokenLimit }) => lastOf(tokenLimit) !== undefined)
