// One run on the page: its panels, what they say of the moment that is pointed at, and its numbers as a table.

import { Chart, type Tops } from './chart.ts'
import type { PageData } from './page.ts'
import { type Buckets, bucketsOf, type Columns, GATES } from './series.ts'
import { pick } from './select-series.ts'
import { count, elapsed, LABELS, LINES, MINUTES, span, summary, TOKEN_LINES, totalsOf } from './labels.ts'

export interface RunViewOptions {
  /** The first second of the run, since the epoch. */
  start: number
  /** Beside others: then times are since the start. */
  compared: boolean
  onZoom: (from: number, to: number) => void
  say: (words: string) => void
}

const ROWS = 40
const HEIGHTS = [260, 150]

export class RunView {
  readonly plot: HTMLElement
  readonly #root: HTMLElement
  readonly #run: PageData['runs'][number]
  readonly #options: RunViewOptions
  readonly #charts: Chart[]
  readonly #picked = new Map<string, Columns>()
  #columns!: Columns
  #buckets!: Buckets
  #part = { from: 0, to: 0 }
  #index: number | undefined

  constructor(root: HTMLElement, run: PageData['runs'][number], options: RunViewOptions) {
    this.#root = root
    this.#run = run
    this.#options = options
    this.plot = root.querySelector<HTMLElement>('.plot')!
    const tokens = run.limiters.some(({ tokenLimit }) => tokenLimit.some((limit) => limit !== null))
    const panels = [
      { lines: LINES, title: 'calls a second' },
      ...(tokens ? [{ lines: TOKEN_LINES, title: 'tokens a second' }] : []),
    ]
    this.#charts = panels.map(
      ({ lines, title }, i) =>
        new Chart(this.plot, {
          ...{ lines, title, height: HEIGHTS[i]!, width: this.#width },
          wallTime: !options.compared,
          sync: root.querySelector('h2')!.id,
          onZoom: (from, to) => options.onZoom(this.#since(from), this.#since(to)),
          onPoint: (index) => this.#point(index),
        }),
    )
    root.querySelector('details')!.addEventListener('toggle', () => this.#tabulate())
  }

  get #width(): number {
    return Math.max(260, this.plot.clientWidth)
  }

  /** Seconds since the start, of a place on the axis, which says the hour where no other run is beside. */
  #since(x: number): number {
    return this.#options.compared ? x : x - this.#options.start
  }

  /** Takes up this part of a limiter, in seconds since the start of the run. */
  look(name: string, from: number, to: number): Buckets {
    const { start, compared } = this.#options
    const columns = this.#picked.get(name) ?? pick(this.#run.limiters, name)
    this.#picked.set(name, columns)
    if (columns !== this.#columns) {
      this.#root.querySelector('.summary')!.textContent =
        columns.t.length === 0 ? `No '${name}' in this run.` : summary(totalsOf(columns))
    }
    this.#columns = columns
    this.#part = { from, to }
    const buckets = bucketsOf(columns, start + from, start + to, Math.max(100, this.#width / 1.5))
    this.#buckets = compared ? { ...buckets, x: buckets.x.map((x) => x - start) } : buckets
    this.#index = undefined
    return buckets
  }

  tops(shown: ReadonlySet<string>): Tops[] {
    return this.#charts.map((chart) => chart.tops(this.#buckets, shown))
  }

  draw(shown: ReadonlySet<string>, tops: readonly Tops[]): void {
    const base = this.#options.compared ? 0 : this.#options.start
    const { from, to } = this.#part
    this.#charts.forEach((chart, i) => chart.draw(this.#buckets, shown, tops[i]!, base + from, base + to))
    this.#point(undefined)
    this.#tabulate()
  }

  redraw(): void {
    for (const chart of this.#charts) chart.redraw()
  }

  resize(): void {
    for (const chart of this.#charts) chart.resize(this.#width)
  }

  /** The moment that is pointed at, in seconds since the start. */
  get at(): number | undefined {
    return this.#index === undefined ? undefined : this.#since(this.#buckets.x[this.#index]!)
  }

  /** Points at the next bucket, or the one before, and reads it out. */
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
    const readout = this.#root.querySelector('.readout')!
    if (known === undefined) {
      readout.replaceChildren()
      return
    }
    const { x, size } = this.#buckets
    const time = element('b', `${this.#time(x[known]!)}${size > 1 ? ` + ${span(size)}` : ''}`)
    readout.replaceChildren(
      time,
      ...this.#tell(known).map(({ name, label, value }) => {
        const item = element('span', `${label} ${value}`)
        item.style.setProperty('--color', `var(--${name})`)
        return item
      }),
    )
  }

  /** The values of a bucket: counts as counts, rates a minute as people say them. */
  #tell(i: number): { name: string; label: string; value: string }[] {
    const buckets = this.#buckets
    const lines = this.#charts.length > 1 ? [...LINES, ...TOKEN_LINES] : LINES
    const told = lines.flatMap(({ name, scale }) => {
      const value = name === 'refused' ? buckets.refusals[i]! : buckets[name][i]!
      if (value === null || value === undefined) return []
      const sum = (scale === 'pace' || scale === 'tokenPace') && name !== 'refused' && !MINUTES.includes(name)
      const words = MINUTES.includes(name) ? `${count(value)}/min` : count(sum ? value * buckets.size : value)
      return [{ name, label: LABELS[name], value: words }]
    })
    const gate = buckets.gate[i]!
    return gate === 0 ? told : [...told, { name: 'refused', label: 'gate', value: GATES[gate]! }]
  }

  #time(x: number): string {
    if (this.#options.compared) return elapsed(x)
    const date = new Date(x * 1000)
    const day = this.#part.to > 86_400 ? `${date.toLocaleDateString()} ` : ''
    return day + date.toLocaleTimeString()
  }

  /** The part that is shown, as a table. */
  #tabulate(): void {
    if (!this.#root.querySelector('details')!.open) return
    const { start } = this.#options
    const buckets = bucketsOf(this.#columns, start + this.#part.from, start + this.#part.to, ROWS)
    const { x, size, requests, issued, finished, refusals, waiting, rate, gate } = buckets
    const heads = ['time', 'requests', 'issued', 'refused', 'finished', 'overflow', 'rate a minute', 'gate']
    const calls = (values: number[], i: number) => count(values[i]! * size)
    const rows = x.map((second, i) => [
      this.#time(this.#options.compared ? second - start : second),
      ...[calls(requests, i), calls(issued, i), count(refusals[i]!), calls(finished, i), count(waiting[i]!)],
      rate[i] === null ? '' : count(rate[i]!),
      GATES[gate[i]!]!,
    ])
    const head = element('tr')
    head.append(...heads.map((words) => element('th', words)))
    const caption = element('caption', `${this.#columns.name}: each row is ${span(size)}`)
    const body = rows.map((cells) => {
      const row = element('tr')
      row.append(...cells.map((words, i) => element(i === 0 ? 'th' : 'td', words)))
      return row
    })
    this.#root.querySelector('table')!.replaceChildren(caption, head, ...body)
  }
}

function element(tag: string, words = ''): HTMLElement {
  const made = document.createElement(tag)
  made.textContent = words
  return made
}
