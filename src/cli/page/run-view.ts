// One run on the page: its outcome, limiters and panels, the values at the cursor, and its numbers as a table.

import { element } from '../../pages/element.ts'
import { type Buckets, bucketsOf } from './buckets.ts'
import { Chart, type Tops } from './chart.ts'
import { type Columns, GATES } from './columns.ts'
import { ALL, count, elapsed, isoTime, LABELS, LINES, MINUTES, span, TOKEN_LINES } from './labels.ts'
import { fillLimiters, type Order } from './limiter-table.ts'
import { unpackColumns } from './pack.ts'
import type { PageRun } from './page.ts'
import { hasTokens, type Panel, panelsOf } from './panels.ts'
import { pick } from './select-series.ts'
import { legend, Strip } from './strip.ts'
import { silence, summary } from './totals.ts'
import { listenToTouch } from './touch.ts'

export interface RunViewOptions {
  /** The first second of the run, since the epoch. */
  start: number
  /** Whether several runs are compared. Then times are relative to the start. */
  compared: boolean
  zone: string
  /** When the page was created, in epoch ms. */
  made: number
  onZoom: (from: number, to: number) => void
  /** Touch gestures first focus the graph, and then move it. */
  onTouch: () => void
  onTouched: (from: number, to: number) => void
  onOrder: (order: Order) => void
  onSelect: (name: string) => void
  say: (words: string) => void
}

const ROWS = 40

export class RunView {
  readonly plot: HTMLElement
  readonly #head: HTMLElement
  readonly #root: HTMLElement
  readonly #run: PageRun
  readonly #limiters: Columns[]
  readonly #options: RunViewOptions
  readonly #charts: Chart[]
  readonly #strip: Strip
  readonly #picked = new Map<string, Columns>()
  #columns!: Columns
  #buckets!: Buckets
  #part = { from: 0, to: 0 }
  #index: number | undefined

  constructor(i: number, run: PageRun, limiters: Columns[], options: RunViewOptions) {
    this.#head = document.querySelectorAll<HTMLElement>('.head')[i]!
    this.#root = document.querySelectorAll<HTMLElement>('.run')[i]!
    this.#run = run
    this.#limiters = limiters
    this.#options = options
    this.plot = this.#find('.plot')
    const [first, ...others] = panelsOf(limiters)
    this.#charts = [this.#chart(first!)]
    this.#strip = new Strip(this.plot, run.causes)
    this.#charts.push(...others.map((panel) => this.#chart(panel)))
    listenToTouch(this.plot, {
      momentAt: (clientX) => this.#since(this.#charts[0]!.momentAt(clientX)),
      edges: () => {
        const { left, right } = this.#charts[0]!.edges
        const box = this.plot.getBoundingClientRect()
        return { left: box.left + left, width: box.width - left - right }
      },
      onStart: options.onTouch,
      onMove: options.onTouched,
    })
    this.#find('details').addEventListener('toggle', () => this.#tabulate())
  }

  #find<E extends HTMLElement = HTMLElement>(selector: string): E {
    return this.#root.querySelector<E>(selector)!
  }

  #chart(panel: Panel): Chart {
    const { compared, zone, onZoom } = this.#options
    const chart = new Chart(this.plot, {
      ...{ panel, width: this.#width, zone: compared ? undefined : zone },
      sync: this.#head.querySelector('h2')!.id,
      onZoom: (from, to) => onZoom(this.#since(from), this.#since(to)),
      onPoint: (index) => this.#point(index),
    })
    // Lines without a button have a legend.
    const keys = panel.lines.filter(({ name }) => name === undefined)
    if (keys.length > 0) this.plot.append(legend(keys.map(({ label, colour }) => ({ words: label, colour }))))
    return chart
  }

  get #width(): number {
    return Math.max(260, this.plot.clientWidth)
  }

  /** The label for a position on the axis: seconds since the start, or the time of day if only one run is shown. */
  #since(x: number): number {
    return this.#options.compared ? x : x - this.#options.start
  }

  /** Shows this part of a limiter, in seconds since the start of the run. */
  look(name: string, from: number, to: number): Buckets {
    const { start, compared } = this.#options
    const columns = this.#picked.get(name) ?? pick(this.#limiters, name)
    this.#picked.set(name, columns)
    if (columns !== this.#columns) this.#head.querySelector('.summary')!.textContent = this.#summary(name)
    this.#columns = columns
    this.#part = { from, to }
    const buckets = bucketsOf(columns, start + from, start + to, Math.max(100, this.#width / 1.5))
    this.#buckets = compared ? { ...buckets, x: buckets.x.map((x) => x - start) } : buckets
    this.#index = undefined
    return buckets
  }

  #summary(name: string): string {
    const { made, zone } = this.#options
    const { totals, limiters, causes } = this.#run
    const found = name === ALL ? totals : limiters.find(({ totals }) => totals.name === name)?.totals
    if (!found) return `No '${name}' in this run.`
    return `${summary(found, causes)} ${silence(found, (t) => isoTime(t, zone), made)}`.trim()
  }

  /** The table of limiters. */
  list(order: Order, selected: string): void {
    const { onOrder, onSelect } = this.#options
    const { causes, limiters } = this.#run
    if (limiters.length === 0) return
    fillLimiters(
      this.#head.querySelector<HTMLTableElement>('.limiters')!,
      limiters.map(({ totals }) => totals),
      order,
      selected,
      { causes, onOrder, onSelect },
    )
  }

  tops(shown: ReadonlySet<string>): Map<string, Tops> {
    return new Map(this.#charts.map((chart) => [chart.panel.key, chart.tops(this.#buckets, shown)]))
  }

  draw(shown: ReadonlySet<string>, tops: ReadonlyMap<string, Tops>): void {
    const base = this.#options.compared ? 0 : this.#options.start
    const [from, to] = [base + this.#part.from, base + this.#part.to]
    for (const chart of this.#charts) chart.draw(this.#buckets, shown, tops.get(chart.panel.key)!, from, to)
    this.#strip.draw(this.#buckets, from, to, this.#charts[0]!.edges)
    this.#point(undefined)
    this.#tabulate()
  }

  redraw(): void {
    for (const chart of this.#charts) chart.redraw()
  }

  resize(): void {
    for (const chart of this.#charts) chart.resize(this.#width)
  }

  /** The time at the cursor, in seconds since the start. */
  get at(): number | undefined {
    return this.#index === undefined ? undefined : this.#since(this.#buckets.x[this.#index]!)
  }

  /** Moves the cursor to the next or previous bucket, and reads it out. */
  read(by: number): void {
    const { x, size } = this.#buckets
    const end = this.#part.to + (this.#options.compared ? 0 : this.#options.start)
    const last = x.findLastIndex((x) => x < end)
    const before = by > 0 ? -1 : last + 1
    const next = (this.#index ?? before) + by
    const index = Math.min(Math.max(next, 0), last)
    for (const chart of this.#charts) chart.point(index)
    this.#point(index)
    const told = this.#tell(index).map(({ label, value }) => `${label} ${value}`)
    this.#options.say(`${this.#time(x[index]!)}${size > 1 ? `, ${span(size)}` : ''}: ${told.join(', ')}`)
  }

  #point(index: number | undefined): void {
    const known = index !== undefined && index < this.#buckets?.x.length ? index : undefined
    this.#index = known
    const readout = this.#find('.readout')
    if (known === undefined) {
      readout.replaceChildren()
      return
    }
    const { x, size } = this.#buckets
    const time = element('b', '', `${this.#time(x[known]!)}${size > 1 ? ` + ${span(size)}` : ''}`)
    readout.replaceChildren(
      time,
      ...this.#tell(known).map(({ colour, label, value }) => {
        const item = element('span', '', `${label} ${value}`)
        item.style.setProperty('--color', `var(--${colour})`)
        return item
      }),
    )
  }

  /** The values of a bucket: counts as counts, and rates per minute as text. */
  #tell(i: number): { colour: string; label: string; value: string }[] {
    const buckets = this.#buckets
    const lines = hasTokens(this.#limiters) ? [...LINES, ...TOKEN_LINES] : LINES
    const told = lines.flatMap(({ name, scale }) => {
      const value = buckets[name][i]!
      if (value === null || value === undefined) return []
      const sum = (scale === 'pace' || scale === 'tokenPace') && !MINUTES.includes(name)
      const words = MINUTES.includes(name) ? `${count(value)}/min` : count(sum ? value * buckets.size : value)
      return name === 'failed' && value === 0 ? [] : [{ colour: name, label: LABELS[name], value: words }]
    })
    const limits = buckets.limits.flatMap(({ label, colour, percent }) => {
      const value = percent[i]
      return typeof value === 'number' ? [{ colour, label, value: `${count(value)} %` }] : []
    })
    const p95 = buckets.p95[i]
    const wait =
      typeof p95 === 'number' ? [{ colour: 'p95', label: 'wait p95', value: `${count(p95 / 1000)} s` }] : []
    const why = this.#run.causes[buckets.why[i]!]
    const gate = buckets.gate[i]!
    return [
      ...told,
      ...limits,
      ...wait,
      ...(gate === 0 ? [] : [{ colour: 'refused', label: 'gate', value: GATES[gate]! }]),
      ...(why ? [{ colour: why.colour, label: 'waiting for', value: why.text }] : []),
    ]
  }

  #time(x: number): string {
    if (this.#options.compared) return elapsed(x)
    const time = isoTime(x, this.#options.zone)
    return this.#part.to > 86_400 ? time : time.slice(11)
  }

  /** Shows the current part as a table. */
  #tabulate(): void {
    if (!this.#find<HTMLDetailsElement>('details').open) return
    const { start } = this.#options
    const buckets = bucketsOf(this.#columns, start + this.#part.from, start + this.#part.to, ROWS)
    const { x, size, requests, issued, finished, refused, failed, waiting, rate, gate, why } = buckets
    const heads = ['time', 'requests', 'issued', 'refused', 'failed', 'finished', 'overflow', 'rate a minute']
    const calls = (values: number[], i: number) => count(values[i]! * size)
    const rows = x.map((second, i) => [
      this.#time(this.#options.compared ? second - start : second),
      ...[calls(requests, i), calls(issued, i), count(refused[i]!), count(failed[i]!), calls(finished, i)],
      ...[count(waiting[i]!), rate[i] === null ? '' : count(rate[i]!)],
      ...[GATES[gate[i]!]!, this.#run.causes[why[i]!]?.label ?? ''],
    ])
    const titles = [...heads, 'gate', 'waiting for'].map((words) => headCell(words, 'col'))
    const caption = element('caption', '', `${this.#columns.name}: each row is ${span(size)}`)
    const cellOf = (words: string, i: number) => (i === 0 ? headCell(words, 'row') : element('td', '', words))
    const body = rows.map((cells) => element('tr', '', ...cells.map(cellOf)))
    this.#find('details table').replaceChildren(caption, element('tr', '', ...titles), ...body)
  }
}

function headCell(words: string, scope: 'col' | 'row'): HTMLElement {
  const cell = element('th', '', words)
  cell.scope = scope
  return cell
}

/** Unpacks the data in the page. */
export const limitersOf = ({ limiters }: PageRun) => limiters.map(({ columns }) => unpackColumns(columns))
