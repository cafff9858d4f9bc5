// The graph as a picture, for a README or a report: light and dark by the reader's own setting, nothing to load.

import type { LogRecord } from '../../telemetry/log-record.ts'
import { type Buckets, bucketsOf, closures, type Columns, columnsOf, spanOf } from './series.ts'
import { pick } from './select-series.ts'
import {
  count,
  elapsed,
  isRight,
  LABELS,
  LINES,
  type LineName,
  short,
  span,
  summary,
  TOKEN_LINES,
  totalsOf,
} from './labels.ts'
import { FONT, path, picture, Plot, text } from './plot.ts'
import { paceTop, ticks, topOf, valuesOf } from './scale.ts'

export interface PlottedRun {
  title: string
  records: readonly LogRecord[]
}

export interface GraphOptions {
  /**
   * What stands above a page.
   * @default 'llmiter graph'
   */
  title?: string
  /**
   * The letters of the lines to show: see `LINES`.
   * @default all
   */
  lines?: string
  /** The limiter that is shown; default all of them together. */
  name?: string
}

const WIDTH = 800
const LEFT = 52
const RIGHT = 56
const MOST_POINTS = 345

/** Runs below each other, on one scale of time, each with its tokens. */
export function graphSvg(runs: readonly PlottedRun[], options: GraphOptions = {}): string {
  const shown = runs.map(({ title, records }) => ({ title, columns: pick(columnsOf(records), options.name) }))
  const longest = Math.max(1, ...shown.map(({ columns }) => lengthOf(columns)))
  let y = 0
  const parts: string[] = []
  for (const { title, columns } of shown) {
    const panels = drawRun(title, columns, longest, options.lines, y)
    parts.push(...panels.parts)
    y = panels.bottom
  }
  const description = shown.map(({ title, columns }) => `${title}: ${summary(totalsOf(columns))}`).join(' ')
  const title = shown.map(({ title }) => title).join(', ')
  return picture({ width: WIDTH, height: y, title, description, style, body: parts })
}

function lengthOf(columns: Columns): number {
  const span = spanOf([columns])
  return span ? span.to - span.from : 0
}

function drawRun(title: string, columns: Columns, seconds: number, lines: string | undefined, top: number) {
  const from = columns.t[0] ?? 0
  const buckets = bucketsOf(columns, from, from + seconds, MOST_POINTS)
  const wanted = LINES.filter(({ letter }) => lines?.includes(letter) ?? true)
  const head = [text(LEFT, top + 20, title, 'title'), text(LEFT, top + 38, summary(totalsOf(columns)))]
  const shared = { buckets, from, seconds }
  const calls = panel({ ...shared, lines: wanted, top: top + 58, height: 190 })
  const tokens = columns.tokenLimit.some((limit) => limit !== null)
  if (!tokens) return { parts: [...head, ...calls.parts], bottom: calls.bottom }
  const below = panel({ ...shared, lines: [...TOKEN_LINES], top: calls.bottom + 6, height: 90 })
  return { parts: [...head, ...calls.parts, ...below.parts], bottom: below.bottom }
}

interface Panel {
  buckets: Buckets
  from: number
  seconds: number
  lines: readonly ((typeof LINES)[number] | (typeof TOKEN_LINES)[number])[]
  top: number
  height: number
}

function panel({ buckets, from, seconds, lines, top, height }: Panel) {
  const { x, size } = buckets
  const names = (right: boolean) => lines.filter((line) => isRight(line) === right).map(({ name }) => name)
  const tops = { left: paceTop(buckets, names(false)), right: topOf(buckets, names(true)) }
  const frame = { x: LEFT, y: top + 22, width: WIDTH - LEFT - RIGHT, height, from, to: from + seconds }
  const left = new Plot({ ...frame, top: tops.left })
  const right = new Plot({ ...frame, top: tops.right })
  const { base } = left

  // Drawn in this order: what leaves goes over what comes back.
  const paths = lines.toReversed().map((line) => {
    const { name } = line
    const steps = valuesOf(buckets, name).flatMap((value, i) => {
      return value === null ? [] : [{ from: x[i]!, to: x[i]! + size, value }]
    })
    return path(`line ${name}`, isRight(line) ? right.under(steps) : left.steps(steps))
  })
  // The areas first: lines go over them.
  paths.sort((a, b) => Number(b.includes('z"')) - Number(a.includes('z"')))

  const gates = closures(buckets).map(({ from: start, to, closed }) => {
    return path(closed ? 'closed' : 'probing', left.band(start, to))
  })
  const parts = [
    ...gates,
    ...ticks(tops.left).map((value) => path('grid', `M${LEFT} ${left.y(value)}H${WIDTH - RIGHT}`)),
    ...paths,
    ...clipped(buckets, names(false), tops.left, left, top + 22),
    ...ticks(tops.left).map((value) => text(LEFT - 6, left.y(value) + 4, short(value), 'end')),
    ...(names(true).length > 0
      ? ticks(tops.right).map((value) => text(WIDTH - RIGHT + 6, right.y(value) + 4, short(value)))
      : []),
    ...timeTicks(seconds).map((s) => text(left.x(from + s), base + 18, elapsed(s), 'middle')),
    path('axis', `M${LEFT} ${base}H${WIDTH - RIGHT}`),
    ...legend(lines, top + 10, size),
  ]
  return { parts, bottom: base + 28 }
}

/** A value beyond the top of the panel is said in words: the highest of each group. */
function clipped(buckets: Buckets, names: LineName[], top: number, plot: Plot, y: number) {
  const { x, requests } = buckets
  if (!names.includes('requests')) return []
  const found: { at: number; value: number }[] = []
  requests.forEach((value, i) => {
    if (value <= top) return
    const last = found.at(-1)
    const at = plot.x(x[i]! + buckets.size)
    if (!last || at - last.at > 60) found.push({ at, value })
    else if (value > last.value) last.value = value
  })
  return found.map(({ at, value }) => text(at + 5, y + 11, `▲ ${count(value)}/s`, 'requestsText'))
}

function legend(lines: Panel['lines'], y: number, size: number): string[] {
  let x = LEFT
  const parts: string[] = []
  for (const line of lines) {
    const { name } = line
    const label = LABELS[name] + (isRight(line) ? ' (right)' : '')
    parts.push(path(`line ${name} key`, `M${x} ${y - 4}h14`), text(x + 19, y, label))
    x += 19 + label.length * 6.6 + 14
  }
  const unit = lines.some(({ scale }) => scale === 'tokenPace') ? 'tokens a second' : 'a second'
  const note = size > 1 ? `${unit}, a point is ${span(size)}` : unit
  if (WIDTH - x > note.length * 6.4) parts.push(text(WIDTH - RIGHT, y, note, 'end'))
  return parts
}

function timeTicks(seconds: number): number[] {
  const step = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14_400, 43_200, 86_400].find(
    (step) => seconds / step <= 9,
  )
  const size = step ?? Math.ceil(seconds / 9 / 86_400) * 86_400
  return Array.from({ length: Math.floor(seconds / size) + 1 }, (_, i) => i * size)
}

const style = `
text{font:12px ${FONT};fill:#59636e}
.title{font-weight:600;font-size:14px}.middle{text-anchor:middle}.end{text-anchor:end}.requestsText{fill:#8250df}
path{fill:none}.grid,.axis{stroke:#8c959f;stroke-opacity:.25}.axis{stroke-opacity:.7}
.line{stroke-width:1.6}.requests{stroke:#8250df}.issued,.asked{stroke:#0969da}.refused{stroke:#cf222e}.finished,.used{stroke:#1a7f37}
.waiting,.available{stroke:#8c959f;stroke-width:1;fill:#8c959f;fill-opacity:.18}.key{stroke-width:3}
.rate{stroke:#bf8700;stroke-dasharray:6 3}.limit,.tokenLimit{stroke:#59636e;stroke-dasharray:2 3}
.closed{fill:#cf222e;fill-opacity:.13}.probing{fill:#bf8700;fill-opacity:.13}
@media (prefers-color-scheme:dark){text{fill:#9198a1}.requestsText{fill:#ab7df8}.requests{stroke:#ab7df8}.issued,.asked{stroke:#4493f8}.refused{stroke:#f85149}.finished,.used{stroke:#3fb950}.rate{stroke:#d29922}.limit,.tokenLimit{stroke:#9198a1}}
`
