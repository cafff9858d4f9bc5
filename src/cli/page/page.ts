// The graph as a page of its own: one file with its data, its program and its style, which asks the network for
// nothing. What can be read without a program stands in it as text: what came of each run, and the picture.

import { script, style } from './assets.ts'
import { escape, json } from './html.ts'
import { type Columns, columnsOf, together } from './series.ts'
import { type GraphOptions, graphSvg, type PlottedRun } from './svg.ts'
import { ALL, LABELS, LINES, summary, TOKEN_LINES, totalsOf } from './labels.ts'

/** What the program of the page is given. */
export interface PageData {
  runs: { title: string; limiters: Columns[] }[]
  /** The names of the lines that are shown at first. */
  lines: string[]
}

/** A page for one run, or for several side by side. */
export function graphPage(runs: readonly PlottedRun[], options: GraphOptions = {}): string {
  const data: PageData = {
    runs: runs.map(({ title, records }) => ({ title, limiters: columnsOf(records) })),
    lines: [...LINES.filter(({ letter }) => options.lines?.includes(letter) ?? true), ...TOKEN_LINES].map(
      ({ name }) => name,
    ),
  }
  const names = [...new Set(data.runs.flatMap(({ limiters }) => limiters.map(({ name }) => name)))].sort()
  const title = data.runs.map(({ title }) => title).join(', ')
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>${escape(title)} – llmiter</title>
<style>${style}</style>
</head>
<body>
<h1>${escape(options.title ?? 'llmiter graph')}</h1>
<div class="controls">
<label>Limiter <select id="limiter">${options_(names, options.name)}</select></label>
<fieldset class="group"><legend class="unseen">Lines</legend>${lineButtons(data)}</fieldset>
<fieldset class="group"><legend class="unseen">Zoom</legend>${ZOOM}</fieldset>
</div>
<main class="runs">${data.runs.map(section).join('')}</main>
<p class="note" id="help">Drag over a graph to zoom in. With a graph in focus: <kbd>+</kbd> <kbd>−</kbd> zoom,
<kbd>←</kbd> <kbd>→</kbd> move, <kbd>Shift</kbd> with them reads point by point, <kbd>Backspace</kbd> goes back,
<kbd>0</kbd> shows all.</p>
<p class="note" id="scale"></p>
<p class="unseen" id="said" aria-live="polite"></p>
<noscript>${graphSvg(runs, options)}</noscript>
<script type="application/json" id="data">${json(data)}</script>
<script>${script}</script>
</body>
</html>
`
}

function options_(names: readonly string[], chosen: string | undefined): string {
  const all = names.length === 1 ? [] : [ALL]
  return [...all, ...names]
    .map((name) => `<option${name === chosen ? ' selected' : ''}>${escape(name)}</option>`)
    .join('')
}

function lineButtons({ runs, lines }: PageData): string {
  const tokens = runs.some(({ limiters }) =>
    limiters.some(({ tokenLimit }) => tokenLimit.some((limit) => limit !== null)),
  )
  return [...LINES, ...(tokens ? TOKEN_LINES : [])]
    .map(
      ({ name, title }) =>
        `<button type="button" class="line" data-line="${name}" title="${title}" ` +
        `style="--color:var(--${name})" aria-pressed="${lines.includes(name)}">${LABELS[name]}</button>`,
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

function section({ title, limiters }: PageData['runs'][number], i: number): string {
  const whole = limiters.length === 1 ? limiters[0]! : together(limiters, ALL)
  return `<section class="run" aria-labelledby="run-${i}">
<h2 id="run-${i}">${escape(title)}</h2>
<p class="summary">${escape(summary(totalsOf(whole)))}</p>
<div class="plot" tabindex="0" role="application" aria-roledescription="graph" aria-labelledby="run-${i}" aria-describedby="help"></div>
<p class="readout" aria-hidden="true"></p>
<details><summary>Numbers</summary><div class="scroll" tabindex="0" role="region" aria-label="Numbers of ${escape(title)}"><table></table></div></details>
</section>`
}
