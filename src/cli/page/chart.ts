// One panel of the page: a uPlot with our scales, colours and shades. It is given buckets and draws them.

import uPlot from 'uplot'
import { highest, paceTop, topOf, valuesOf } from './scale.ts'
import { type Buckets, closures } from './series.ts'
import { count, elapsed, isRight, LABELS, type Line, type LineName, MINUTES, short } from './labels.ts'

type PanelLine = Line & { name: LineName }

export interface ChartOptions {
  lines: readonly PanelLine[]
  height: number
  width: number
  /** The hour of the day, or the time since the start. */
  wallTime: boolean
  /** Panels with this key point at the same moment. */
  sync: string
  title: string
  onZoom: (from: number, to: number) => void
  onPoint: (index: number | undefined) => void
}

/** How high the axes reach, so that several runs can have the same. */
export interface Tops {
  left: number
  right: number
}

const AREAS: readonly LineName[] = ['waiting', 'available']
/** Marks of the time, in seconds: a log knows nothing between them. */
const STEPS_S = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400,
].concat([2, 5, 10, 30, 100, 365].map((days) => days * 86_400))

const colour = (name: string) =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim()

export class Chart {
  readonly #plot: uPlot
  readonly #lines: readonly PanelLine[]
  #buckets: Buckets | undefined
  #tops: Tops = { left: 1, right: 1 }

  constructor(parent: HTMLElement, options: ChartOptions) {
    // Drawn in this order: areas first, and what leaves goes over what comes back.
    const isArea = ({ name }: PanelLine) => Number(AREAS.includes(name))
    this.#lines = options.lines.toReversed().sort((a, b) => isArea(b) - isArea(a))
    this.#plot = new uPlot(
      this.#options({ ...options, lines: this.#lines }),
      [[]] as unknown as uPlot.AlignedData,
      parent,
    )
  }

  #options({ lines, height, width, wallTime, sync, title, onZoom, onPoint }: ChartOptions): uPlot.Options {
    const stepped = uPlot.paths.stepped!({ align: 1 })
    const axis = { stroke: () => colour('quiet'), font: '12px system-ui, sans-serif' }
    const grid = { stroke: () => colour('grid'), width: 1 }
    const values = (_: uPlot, splits: number[]) => splits.map(short)
    return {
      width,
      height,
      legend: { show: false },
      scales: {
        x: { time: wallTime },
        left: { auto: false, range: (_, min, max) => [min, max] },
        right: { auto: false, range: (_, min, max) => [min, max] },
      },
      axes: [
        {
          ...axis,
          incrs: STEPS_S,
          grid: { show: false },
          ticks: { stroke: () => colour('edge') },
          ...(!wallTime && { values: (_: uPlot, splits: number[]) => splits.map(elapsed) }),
        },
        {
          ...axis,
          scale: 'left',
          size: 52,
          values,
          grid,
          ticks: { show: false },
          label: title,
          labelSize: 18,
        },
        { ...axis, scale: 'right', side: 1, size: 52, values, grid: { show: false }, ticks: { show: false } },
      ],
      series: [
        {},
        ...lines.map((line) => ({
          label: LABELS[line.name],
          scale: isRight(line) ? 'right' : 'left',
          stroke: () => colour(line.name),
          width: AREAS.includes(line.name) ? 1 : 1.7,
          paths: stepped,
          points: { show: false },
          ...(AREAS.includes(line.name) && { fill: () => `${colour(line.name)}30` }),
          ...(line.name === 'rate' && { dash: [7, 4] }),
          ...(MINUTES.includes(line.name) && line.name !== 'rate' && { dash: [2, 4] }),
        })),
      ],
      cursor: {
        // The panels of a run point together; a drag is that of one panel.
        sync: { key: sync, filters: { pub: (type) => type.startsWith('mousemove'), sub: () => true } },
        drag: { x: true, y: false, setScale: false },
        points: { show: false },
        y: false,
      },
      hooks: {
        drawClear: [(plot) => this.#shade(plot)],
        draw: [(plot) => this.#sayClipped(plot)],
        setCursor: [({ cursor: { idx } }) => onPoint(idx ?? undefined)],
        setSelect: [
          (plot) => {
            const { left, width } = plot.select
            if (width < 4) return
            plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false)
            onZoom(plot.posToVal(left, 'x'), plot.posToVal(left + width, 'x'))
          },
        ],
      },
    }
  }

  /** How high this panel would reach by itself. */
  tops(buckets: Buckets, shown: ReadonlySet<string>): Tops {
    const names = (right: boolean) =>
      this.#lines.filter((line) => shown.has(line.name) && isRight(line) === right).map(({ name }) => name)
    return { left: paceTop(buckets, names(false)), right: topOf(buckets, names(true)) }
  }

  draw(buckets: Buckets, shown: ReadonlySet<string>, tops: Tops, from: number, to: number): void {
    this.#buckets = buckets
    this.#tops = tops
    const plot = this.#plot
    // The last bucket needs an end to be seen.
    const closed = <T>(values: T[]) => [...values, values.at(-1)!]
    const lines = this.#lines.map(({ name }) => closed(valuesOf(buckets, name)))
    plot.batch(() => {
      this.#lines.forEach(({ name }, i) => plot.setSeries(i + 1, { show: shown.has(name) }))
      plot.setData([[...buckets.x, buckets.x.at(-1)! + buckets.size], ...lines] as uPlot.AlignedData, false)
      plot.setScale('x', { min: from, max: to })
      for (const scale of ['left', 'right'] as const) plot.setScale(scale, { min: 0, max: tops[scale] })
    })
    plot.redraw(false, true)
  }

  resize(width: number): void {
    if (width !== this.#plot.width) this.#plot.setSize({ width, height: this.#plot.height })
  }

  /** Other colours. */
  redraw(): void {
    this.#plot.redraw(false, true)
  }

  /** Points at a bucket, as the mouse does; at none without one. */
  point(index: number | undefined): void {
    const plot = this.#plot
    const x = index === undefined ? undefined : this.#buckets?.x[index]
    plot.setCursor({
      left: x === undefined ? -10 : plot.valToPos(x, 'x') + 0.5,
      top: x === undefined ? -10 : 1,
    })
  }

  /** The gate, closed or probing, behind everything. */
  #shade(plot: uPlot): void {
    if (!this.#buckets) return
    const { left, top, width, height } = plot.bbox
    for (const { from, to, closed } of closures(this.#buckets)) {
      const [a, b] = [from, to].map((x) =>
        Math.min(Math.max(plot.valToPos(x, 'x', true), left), left + width),
      )
      plot.ctx.fillStyle = colour(closed ? 'closed' : 'probing')
      plot.ctx.fillRect(a!, top, Math.max(b! - a!, 1), height)
    }
  }

  /** What was asked for beyond the top is said in words, the highest of each group. */
  #sayClipped(plot: uPlot): void {
    const at = this.#lines.findIndex(({ name }) => name === 'requests') + 1
    const buckets = this.#buckets
    if (!buckets || at === 0 || !plot.series[at]!.show || highest(buckets, ['requests']) <= this.#tops.left)
      return
    const { ctx, bbox } = plot
    const near = 80 * devicePixelRatio
    const found: { at: number; value: number }[] = []
    buckets.requests.forEach((value, i) => {
      const at = plot.valToPos(buckets.x[i]! + buckets.size, 'x', true)
      if (value <= this.#tops.left || at < bbox.left || at > bbox.left + bbox.width) return
      const last = found.at(-1)
      if (!last || at - last.at > near) found.push({ at, value })
      else last.value = Math.max(last.value, value)
    })
    ctx.fillStyle = colour('requests')
    ctx.font = `${12 * devicePixelRatio}px system-ui, sans-serif`
    ctx.textBaseline = 'top'
    for (const { at, value } of found) {
      const words = `▲ ${count(value)}/s`
      const right = at + 4 + ctx.measureText(words).width > bbox.left + bbox.width
      ctx.textAlign = right ? 'right' : 'left'
      ctx.fillText(words, at + (right ? -4 : 4), bbox.top + 2)
    }
  }
}
