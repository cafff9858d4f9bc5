// The graph as a picture, for a README or a report: light or dark by the reader's setting, and self-contained.

import { type Buckets, bucketsOf, causesIn, closures } from './buckets.ts'
import type { Cause } from './causes.ts'
import { type Columns, lastOf, spanOf } from './columns.ts'
import { count, elapsed, isRight, LABELS, LINES, type LineName, short, span, TOKEN_LINES } from './labels.ts'
import { FONT, path, picture, Plot, round, text } from './plot.ts'
import { paceTop, ticks, topOf, valuesOf } from './scale.ts'
import { pick } from './select-series.ts'
import type { RunSeries } from './series.ts'
import { summary, type Totals } from './totals.ts'

export interface PlottedRun {
  title: string
  series: RunSeries
  /** The command that replays the same calls with higher limits. */
  command?: string
}

export interface GraphOptions {
  /**
   * The heading of a page.
   * @default 'llmiter graph'
   */
  title?: string
  /**
   * The letters of the lines to show: see `LINES`.
   * @default all
   */
  lines?: string
  /**
   * The limiter to show.
   * @default all of them combined
   */
  name?: string
}

const WIDTH = 800
const LEFT = 52
const RIGHT = 56
const MOST_POINTS = 345

interface Shown {
  title: string
  columns: Columns
  totals: Totals
  causes: readonly Cause[]
}

/** Draws runs below each other, on one time scale, each with its tokens. */
export function graphSvg(runs: readonly PlottedRun[], options: GraphOptions = {}): string {
  const shown = runs.map((run) => shownOf(run, options.name))
  const longest = Math.max(1, ...shown.map(({ columns }) => lengthOf(columns)))
  let y = 0
  const parts: string[] = []
  for (const run of shown) {
    const panels = drawRun(run, longest, options.lines, y)
    parts.push(...panels.parts)
    y = panels.bottom
  }
  const description = shown.map(({ title, totals, causes }) => `${title}: ${summary(totals, causes)}`)
  const title = shown.map(({ title }) => title).join(', ')
  return picture({ width: WIDTH, height: y, title, description: description.join(' '), style, body: parts })
}

function shownOf({ title, series }: PlottedRun, name: string | undefined): Shown {
  const { limiters, causes } = series
  const columns = pick(
    limiters.map(({ columns }) => columns),
    name,
  )
  const totals = limiters.find(({ totals }) => totals.name === name)?.totals ?? series.totals
  return { title, columns, totals, causes }
}

function lengthOf(columns: Columns): number {
  const span = spanOf([columns])
  return span ? span.to - span.from : 0
}

function drawRun(
  { title, columns, totals, causes }: Shown,
  seconds: number,
  lines: string | undefined,
  top: number,
) {
  const from = columns.t[0] ?? 0
  const buckets = bucketsOf(columns, from, from + seconds, MOST_POINTS)
  const wanted = LINES.filter(({ letter }) => lines?.includes(letter) ?? true)
  const said = wrapped(summary(totals, causes))
  const head = [
    text(LEFT, top + 20, title, 'title'),
    ...said.map((words, i) => text(LEFT, top + 38 + 16 * i, words)),
  ]
  const shared = { buckets, from, seconds }
  const calls = panel({ ...shared, lines: wanted, top: top + 42 + 16 * said.length, height: 190 })
  const strip = drawStrip({ buckets, causes, from, seconds, top: calls.bottom - 2 })
  const tokens = lastOf(columns.tokenLimit) !== undefined
  const drawn = [...head, ...calls.parts, ...strip.parts]
  if (!tokens) return { parts: drawn, bottom: strip.bottom }
  const below = panel({ ...shared, lines: [...TOKEN_LINES], top: strip.bottom + 6, height: 90 })
  return { parts: [...drawn, ...below.parts], bottom: below.bottom }
}

/** About the number of characters that fit across a picture. */
const LINE_CHARS = 112

function wrapped(words: string): string[] {
  const lines = ['']
  for (const word of words.split(' ')) {
    if (lines.at(-1)!.length + word.length > LINE_CHARS) lines.push('')
    lines[lines.length - 1] += `${word} `
  }
  return lines.map((line) => line.trimEnd())
}

interface StripPlace {
  buckets: Buckets
  causes: readonly Cause[]
  from: number
  seconds: number
  top: number
}

/** Draws what calls waited for, below the time axis. Empty if no call waited. */
function drawStrip({ buckets, causes, from, seconds, top }: StripPlace) {
  const frame = { x: LEFT, y: top, width: WIDTH - LEFT - RIGHT, height: 10, from, to: from + seconds, top: 1 }
  const plot = new Plot(frame)
  const stretches = causesIn(buckets)
  const held = [...new Set(stretches.map(({ cause }) => causes[cause]!))]
  if (held.length === 0) return { parts: [], bottom: top }
  const bands = stretches.map(({ from, to, cause }) =>
    path(`cause ${causes[cause]!.colour}`, plot.band(from, to)),
  )
  let x = LEFT
  const legend = ['waited for:', ...held].map((cause) => {
    if (typeof cause === 'string') return textAt(cause)
    const key = path(`cause ${cause.colour}`, `M${round(x)} ${top + 17}h10v10h-10z`)
    x += 15
    return key + textAt(cause.label)
  })
  function textAt(words: string): string {
    const made = text(round(x), top + 26, words)
    x += words.length * 6.6 + 12
    return made
  }
  return { parts: [...bands, ...legend], bottom: top + 34 }
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
  const drawn = lines.filter(({ scale }) => scale !== 'mark')
  const names = (right: boolean) => drawn.filter((line) => isRight(line) === right).map(({ name }) => name)
  const tops = { left: paceTop(buckets, names(false)), right: topOf(buckets, names(true)) }
  const frame = { x: LEFT, y: top + 22, width: WIDTH - LEFT - RIGHT, height, from, to: from + seconds }
  const left = new Plot({ ...frame, top: tops.left })
  const right = new Plot({ ...frame, top: tops.right })
  const { base } = left

  // The drawing order: calls that leave above those that return.
  const paths = drawn.toReversed().map((line) => {
    const { name } = line
    const steps = valuesOf(buckets, name).flatMap((value, i) => {
      return value === null ? [] : [{ from: x[i]!, to: x[i]! + size, value }]
    })
    return path(`line ${name}`, isRight(line) ? right.under(steps) : left.steps(steps))
  })
  // Areas first, so that lines are drawn above them.
  paths.sort((a, b) => Number(b.includes('z"')) - Number(a.includes('z"')))

  const gates = closures(buckets).map(({ from: start, to, closed }) => {
    return path(closed ? 'closed' : 'probing', left.band(start, to))
  })
  const parts = [
    ...gates,
    ...ticks(tops.left).map((value) => path('grid', `M${LEFT} ${left.y(value)}H${WIDTH - RIGHT}`)),
    ...paths,
    ...clipped(buckets, names(false), tops.left, left, top + 36),
    ...lines
      .filter(({ scale }) => scale === 'mark')
      .flatMap(({ name }) => marks(buckets, name, left, top + 22)),
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

/** Marks refusals and failures at the top, above everything else: a single one in a day must be visible. */
function marks(buckets: Buckets, name: LineName, plot: Plot, y: number): string[] {
  return buckets[name].flatMap((value, i) => {
    if (!value) return []
    const x = plot.x(buckets.x[i]! + buckets.size / 2)
    return [path(`mark ${name}`, `M${round(x - 4)} ${y}h8l-4 8z`)]
  })
}

/** Labels values above the top of the panel, one label per group. */
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
    const isMark = line.scale === 'mark'
    const key = isMark
      ? path(`mark ${name}`, `M${x + 3} ${y - 8}h8l-4 8z`)
      : path(`line ${name} key`, `M${x} ${y - 4}h14`)
    parts.push(key, text(x + 19, y, label))
    x += 19 + label.length * 6.6 + 14
  }
  const unit = lines.some(({ scale }) => scale === 'tokenPace') ? 'tokens a second' : 'a second'
  const note = size > 1 ? `${unit}, a point is ${span(size)}` : unit
  if (WIDTH - RIGHT - x > note.length * 6.4) parts.push(text(WIDTH - RIGHT, y, note, 'end'))
  return parts
}

function timeTicks(seconds: number): number[] {
  const step = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14_400, 43_200, 86_400].find(
    (step) => seconds / step <= 9,
  )
  const size = step ?? Math.ceil(seconds / 9 / 86_400) * 86_400
  return Array.from({ length: Math.floor(seconds / size) + 1 }, (_, i) => i * size)
}

/** Medium colours that suit both light and dark. */
const CAUSE_COLOURS = {
  ...{
    'limit-0': '#218bff',
    'limit-1': '#8250df',
    'limit-2': '#2da44e',
    'limit-3': '#1b7c83',
    'limit-4': '#6639ba',
  },
  ...{ 'gate-rate': '#cf222e', 'gate-overload': '#bc4c00', 'gate-quota': '#82071e', concurrency: '#bf8700' },
  ...{ latency: '#e16f24', pause: '#6e7781', retry: '#bf3989', store: '#57606a' },
}

const style = `
text{font:12px ${FONT};fill:#59636e}
.title{font-weight:600;font-size:14px}.middle{text-anchor:middle}.end{text-anchor:end}.requestsText{fill:#8250df}
path{fill:none}.grid,.axis{stroke:#8c959f;stroke-opacity:.25}.axis{stroke-opacity:.7}
.line{stroke-width:1.6}.requests{stroke:#8250df}.issued,.asked{stroke:#0969da}.finished,.used{stroke:#1a7f37}
.mark.refused{fill:#cf222e}.mark.failed{fill:#bc4c00}
.waiting,.available{stroke:#8c959f;stroke-width:1;fill:#8c959f;fill-opacity:.18}.key{stroke-width:3}
.rate{stroke:#bf8700;stroke-dasharray:6 3}.limit,.tokenLimit{stroke:#59636e;stroke-dasharray:2 3}
.closed{fill:#cf222e;fill-opacity:.13}.probing{fill:#bf8700;fill-opacity:.13}
${Object.entries(CAUSE_COLOURS)
  .map(([name, colour]) => `.cause.${name}{fill:${colour}}`)
  .join('')}
@media (prefers-color-scheme:dark){text{fill:#9198a1}.requestsText{fill:#ab7df8}
.requests{stroke:#ab7df8}.issued,.asked{stroke:#4493f8}.finished,.used{stroke:#3fb950}
.rate{stroke:#d29922}.limit,.tokenLimit{stroke:#9198a1}}
`
