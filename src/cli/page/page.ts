// The graph as one self-contained HTML file with data, script and style, which makes no network requests. The
// outcome of each run and the picture are included as static markup, readable without JavaScript.

import { script, style } from './assets.ts'
import type { Cause } from './causes.ts'
import { escape, json } from './html.ts'
import { ALL, isoTime, LABELS, LINES, localZone, TOKEN_LINES } from './labels.ts'
import { packColumns, type PackedColumns } from './pack.ts'
import { hasTokens } from './panels.ts'
import type { LimiterSeries } from './series.ts'
import { type GraphOptions, graphSvg, type PlottedRun } from './svg.ts'
import { silence, summary, type Totals } from './totals.ts'

/** One run of the page. */
export interface PageRun {
  title: string
  causes: readonly Cause[]
  limiters: { columns: PackedColumns; totals: Totals }[]
  /** The totals of all limiters. */
  totals: Totals
}

/** The data for the page's script. */
export interface PageData {
  runs: PageRun[]
  /** The names of the lines shown initially. */
  lines: string[]
  /** The time zone of the displayed times. */
  zone: string
  /** When the page was created, in epoch ms. */
  made: number
}

/** In characters. More data is combined into longer points, because a page must open on a phone. */
const MOST_CHARS = 13_000_000

/** Creates a page for one run, or for several to compare. */
export function graphPage(runs: readonly PlottedRun[], options: GraphOptions = {}): string {
  const page = { made: Date.now(), zone: localZone(), options }
  const limiters = runs.flatMap(({ series }) => series.limiters)
  const data = dataOf(runs, page)
  const names = [...new Set(limiters.map(({ totals }) => totals.name))].sort()
  const title = runs.map(({ title }) => title).join(', ')
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>${escape(title)} – llmiter</title>
<style>${style}</style>
</head>
<body>
<main>
<h1>${escape(options.title ?? 'llmiter graph')}</h1>
<div class="runs">${runs.map((run, i) => head(run, i, page)).join('')}</div>
<div class="controls">
<label>Limiter <select id="limiter">${options_(names, options.name)}</select></label>
<fieldset class="group"><legend class="unseen">Lines</legend>${lineButtons(limiters, linesOf(options))}</fieldset>
<fieldset class="group"><legend class="unseen">Zoom</legend>${ZOOM}</fieldset>
</div>
<div class="runs">${runs.map(({ title }, i) => section(title, i)).join('')}</div>
<p class="note" id="help">Drag over a graph to zoom in; with fingers, two zoom and one moves it. With a graph in focus:
<kbd>+</kbd> <kbd>−</kbd> zoom, <kbd>←</kbd> <kbd>→</kbd> move, <kbd>Shift</kbd> with them reads point by point,
<kbd>Backspace</kbd> goes back, <kbd>0</kbd> shows all. All hours are those of ${escape(page.zone)}.</p>
<p class="note" id="scale"></p>
<p class="unseen" id="said" aria-live="polite"></p>
<noscript>${graphSvg(runs, options)}</noscript>
</main>
<script type="application/json" id="data">${data}</script>
<script>${script}</script>
</body>
</html>
`
}

interface PageOptions {
  made: number
  zone: string
  options: GraphOptions
}

/** Serialises the data within the size limit of a page. */
function dataOf(runs: readonly PlottedRun[], { made, zone, options }: PageOptions): string {
  for (;;) {
    const packed = runs.map(({ title, series: { causes, totals, limiters } }) => ({
      ...{ title, causes, totals },
      limiters: limiters.map(({ columns, totals }) => ({ columns: packColumns(columns), totals })),
    }))
    const data: PageData = { runs: packed, lines: linesOf(options), zone, made }
    const text = json(data)
    const largest = [...runs].sort((a, b) => b.series.points - a.series.points)[0]
    if (text.length <= MOST_CHARS || largest!.series.points <= largest!.series.names.length) return text
    largest!.series.coarsen()
  }
}

const linesOf = (options: GraphOptions): string[] =>
  [...LINES.filter(({ letter }) => options.lines?.includes(letter) ?? true), ...TOKEN_LINES].map(
    ({ name }) => name,
  )

function options_(names: readonly string[], chosen: string | undefined): string {
  const all = names.length === 1 ? [] : [ALL]
  return [...all, ...names]
    .map((name) => `<option${name === chosen ? ' selected' : ''}>${escape(name)}</option>`)
    .join('')
}

function lineButtons(limiters: readonly LimiterSeries[], shown: readonly string[]): string {
  const tokens = hasTokens(limiters.map(({ columns }) => columns))
  return [...LINES, ...(tokens ? TOKEN_LINES : [])]
    .map(
      ({ name, title }) =>
        `<button type="button" class="line" data-line="${name}" title="${title}" ` +
        `style="--color:var(--${name})" aria-pressed="${shown.includes(name)}">${LABELS[name]}</button>`,
    )
    .join('')
}

const ZOOM = [
  ['left', '←', 'Earlier'],
  ['in', '+', 'Zoom in'],
  ['out', '−', 'Zoom out'],
  ['right', '→', 'Later'],
  ['back', 'Back', 'Back to the part shown before'],
  ['all', 'All', 'Show all of it'],
]
  .map(
    ([action, sign, title]) =>
      `<button type="button" data-zoom="${action}" title="${title}" aria-label="${title}">${sign}</button>`,
  )
  .join('')

/** The outcome of a run, which is what most readers want to know. */
function head({ title, series, command }: PlottedRun, i: number, { made, zone }: PageOptions): string {
  const { totals, causes } = series
  const said = `${summary(totals, causes)} ${silence(totals, (t) => isoTime(t, zone), made)}`.trim()
  const more =
    command === undefined
      ? ''
      : `<p class="more">What would a higher tier give? <code>${escape(command)}</code></p>`
  return `<div class="head">
<h2 id="run-${i}">${escape(title)}</h2>
<p class="summary">${escape(said)}</p>
<div class="scroll short" tabindex="0" role="region" aria-label="Calls of ${escape(title)}">
<table class="limiters"></table>
</div>
${more}
</div>`
}

function section(title: string, i: number): string {
  return `<section class="run" aria-labelledby="run-${i}">
<div class="plot" tabindex="0" role="application" aria-roledescription="graph"
  aria-labelledby="run-${i}" aria-describedby="help"></div>
<p class="readout" aria-hidden="true"></p>
<details><summary>Numbers</summary>
<div class="scroll" tabindex="0" role="region" aria-label="Numbers of ${escape(title)}"><table></table></div>
</details>
</section>`
}
