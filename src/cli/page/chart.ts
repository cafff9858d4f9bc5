// One panel of the page: a uPlot with our scales, colours and shading, drawn from buckets.

import uPlot from 'uplot'
import { count, elapsed, isoTime, short } from './labels.ts'
import { type Panel, type PanelLine, rightTop } from './panels.ts'
import { type Buckets, closures } from './buckets.ts'

export interface ChartOptions {
  panel: Panel
  width: number
  /** The time zone of the axis. Undefined: the axis shows the time since the start. */
  zone: string | undefined
  /** Panels with the same key share their cursor. */
  sync: string
  onZoom: (from: number, to: number) => void
  onPoint: (index: number | undefined) => void
}

/** The top values of the axes, so that several runs can share them. */
export interface Tops {
  left: number
  right: number
}

/** Distances between time marks, in seconds. */
const STEPS_S = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400,
].concat([2, 5, 10, 30, 100, 365].map((days) => days * 86_400))

const AXIS_WIDTH = 52
/** The space that a mark with its line takes, in pixels. */
const MARK_PX = 12
/** The space for '18:05:00', in pixels. */
const TIME_WIDTH = 72
const FONT = '12px system-ui, sans-serif'

const colour = (name: string) =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim()

export class Chart {
  readonly panel: Panel
  readonly #plot: uPlot
  readonly #lines: readonly PanelLine[]
  readonly #marks: readonly PanelLine[]
  #buckets: Buckets | undefined
  #shown: ReadonlySet<string> = new Set()
  #tops: Tops = { left: 1, right: 1 }

  constructor(parent: HTMLElement, options: ChartOptions) {
    this.panel = options.panel
    const { lines } = options.panel
    // The drawing order: areas first, and calls that leave above those that return.
    const drawn = lines.filter(({ mark }) => mark === undefined)
    this.#lines = drawn.toReversed().sort((a, b) => Number(b.area ?? false) - Number(a.area ?? false))
    this.#marks = lines.filter(({ mark }) => mark !== undefined)
    this.#plot = new uPlot(this.#options(options), [[]] as unknown as uPlot.AlignedData, parent)
  }

  #options({ panel, width, zone, sync, onZoom, onPoint }: ChartOptions): uPlot.Options {
    const stepped = uPlot.paths.stepped!({ align: 1 })
    const axis = { stroke: () => colour('quiet'), font: FONT }
    const grid = { stroke: () => colour('grid'), width: 1 }
    const values = (_: uPlot, splits: number[]) => splits.map(short)
    // The time axis with its zone is below the first panel.
    const first = panel.key === 'calls'
    const onRight = { ...axis, scale: 'right', side: 1, size: AXIS_WIDTH, grid: { show: false } } as const
    return {
      width,
      height: panel.height,
      legend: { show: false },
      ...(zone !== undefined && { tzDate: (ts: number) => uPlot.tzDate(new Date(ts * 1000), zone) }),
      scales: {
        x: { time: zone !== undefined },
        left: { auto: false, range: (_, min, max) => [min, max] },
        right: { auto: false, range: (_, min, max) => [min, max] },
      },
      axes: [
        {
          ...axis,
          incrs: STEPS_S,
          grid: { show: false },
          ticks: { stroke: () => colour('edge') },
          // Labels with seconds need this much space.
          space: TIME_WIDTH,
          ...(!first && { size: 10 }),
          ...(first && zone !== undefined && { label: zone, labelSize: 16, labelFont: FONT }),
          values: (_, splits, _axis, _space, step) => (first ? times(splits, step, zone) : []),
        },
        {
          ...axis,
          ...{ scale: 'left', size: AXIS_WIDTH, values, grid, ticks: { show: false } },
          ...{ label: panel.title, labelSize: 18, labelFont: FONT },
        },
        {
          ...onRight,
          values: panel.lines.some(({ right }) => right) ? values : () => [],
          ticks: { show: false },
        },
      ],
      series: [
        {},
        ...this.#lines.map((line) => ({
          label: line.label,
          scale: line.right ? 'right' : 'left',
          stroke: () => colour(line.colour),
          width: line.area ? 1 : 1.7,
          paths: stepped,
          points: { show: false },
          ...(line.spans && { spanGaps: true }),
          ...(line.area && { fill: () => `${colour(line.colour)}30` }),
          ...(line.dash && { dash: line.dash }),
        })),
      ],
      cursor: {
        // The panels of a run share the cursor, but each panel handles its own drag.
        sync: { key: sync, filters: { pub: (type) => type.startsWith('mousemove'), sub: () => true } },
        drag: { x: true, y: false, setScale: false },
        points: { show: false },
        y: false,
      },
      hooks: {
        drawClear: [(plot) => this.#shade(plot)],
        draw: [
          (plot) => {
            this.#sayClipped(plot)
            this.#mark(plot)
          },
        ],
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

  #visible(shown: ReadonlySet<string>, right: boolean): PanelLine[] {
    return this.#lines.filter((line) => isShown(line, shown) && (line.right ?? false) === right)
  }

  /** The top values that this panel would have by itself. */
  tops(buckets: Buckets, shown: ReadonlySet<string>): Tops {
    return {
      left: this.panel.top(buckets, this.#visible(shown, false)),
      right: rightTop(buckets, this.#visible(shown, true)),
    }
  }

  draw(buckets: Buckets, shown: ReadonlySet<string>, tops: Tops, from: number, to: number): void {
    this.#buckets = buckets
    this.#shown = shown
    this.#tops = tops
    const plot = this.#plot
    // The last bucket needs an end point to be visible.
    const closed = <T>(values: T[]) => (values.length > 0 ? [...values, values.at(-1)!] : [])
    const lines = this.#lines.map(({ values }) => closed(values(buckets)))
    plot.batch(() => {
      this.#lines.forEach((line, i) => plot.setSeries(i + 1, { show: isShown(line, shown) }))
      plot.setData([[...buckets.x, buckets.x.at(-1)! + buckets.size], ...lines] as uPlot.AlignedData, false)
      plot.setScale('x', { min: from, max: to })
      for (const scale of ['left', 'right'] as const) plot.setScale(scale, { min: 0, max: tops[scale] })
    })
    plot.redraw(false, true)
  }

  resize(width: number): void {
    if (width !== this.#plot.width) this.#plot.setSize({ width, height: this.#plot.height })
  }

  /** Redraws with other colours. */
  redraw(): void {
    this.#plot.redraw(false, true)
  }

  /** The distance of the plot area from the edges of its panel, in CSS pixels. */
  get edges(): { left: number; right: number } {
    const { bbox, width } = this.#plot
    const left = bbox.left / devicePixelRatio
    return { left, right: width - left - bbox.width / devicePixelRatio }
  }

  /** The time at a position on the screen. */
  momentAt(clientX: number): number {
    return this.#plot.posToVal(clientX - this.#plot.over.getBoundingClientRect().left, 'x')
  }

  /** Moves the cursor to a bucket, or hides it. */
  point(index: number | undefined): void {
    const plot = this.#plot
    const x = index === undefined ? undefined : this.#buckets?.x[index]
    plot.setCursor({
      left: x === undefined ? -10 : plot.valToPos(x, 'x') + 0.5,
      top: x === undefined ? -10 : 1,
    })
  }

  /** Shades the times when the gate was closed or probing, behind everything else. */
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

  /** Labels values above the top, one label per group. */
  #sayClipped(plot: uPlot): void {
    const buckets = this.#buckets
    if (!buckets) return
    const { ctx, bbox } = plot
    ctx.font = `${12 * devicePixelRatio}px system-ui, sans-serif`
    ctx.textBaseline = 'top'
    // Below the marks, one row per line.
    let row = this.#marks.length > 0 ? 1 : 0
    for (const line of this.#visible(this.#shown, false)) {
      const groups = grouped(plot, buckets, line.values(buckets), this.#tops.left)
      if (groups.length === 0) continue
      ctx.fillStyle = colour(line.colour)
      for (const { at, value } of groups) {
        const words = `▲ ${count(value)}${this.panel.unit}`
        const right = at + 4 + ctx.measureText(words).width > bbox.left + bbox.width
        ctx.textAlign = right ? 'right' : 'left'
        ctx.fillText(words, at + (right ? -4 : 4), bbox.top + (2 + 14 * row) * devicePixelRatio)
      }
      row++
    }
  }

  /** Marks refusals and failures at the top, above everything else: a single one in a day must be visible. */
  #mark(plot: uPlot): void {
    const buckets = this.#buckets
    if (!buckets) return
    const { ctx, bbox } = plot
    ctx.font = `bold ${12 * devicePixelRatio}px system-ui, sans-serif`
    ctx.textBaseline = 'top'
    ctx.textAlign = 'center'
    for (const line of this.#marks) {
      if (!isShown(line, this.#shown)) continue
      ctx.fillStyle = colour(line.colour)
      const values = line.values(buckets)
      const few = values.filter(Boolean).length * MARK_PX * devicePixelRatio < bbox.width
      values.forEach((value, i) => {
        const at = plot.valToPos(buckets.x[i]! + buckets.size / 2, 'x', true)
        if (!value || at < bbox.left || at > bbox.left + bbox.width) return
        // A line down to the axis shows the time. Many lines next to each other would hide the graph, so they are
        // omitted.
        ctx.globalAlpha = few ? 0.35 : 0
        ctx.fillRect(at - devicePixelRatio / 2, bbox.top, devicePixelRatio, bbox.height)
        ctx.globalAlpha = 1
        ctx.fillText(line.mark!, at, bbox.top)
      })
    }
  }
}

const isShown = ({ name }: PanelLine, shown: ReadonlySet<string>) => name === undefined || shown.has(name)

/** The values above the top that are far enough apart for separate labels. */
function grouped(
  plot: uPlot,
  { x, size }: Buckets,
  values: readonly (number | null)[],
  top: number,
): { at: number; value: number }[] {
  const { left, width } = plot.bbox
  const near = 90 * devicePixelRatio
  const found: { at: number; value: number }[] = []
  values.forEach((value, i) => {
    if (value === null || value <= top) return
    const at = plot.valToPos(x[i]! + size, 'x', true)
    if (at < left || at > left + width) return
    const last = found.at(-1)
    if (!last || at - last.at > near) found.push({ at, value })
    else last.value = Math.max(last.value, value)
  })
  return found
}

/** Axis labels: the time since the start, or the time of day, with the date where it begins or changes. */
function times(splits: readonly number[], step: number, zone: string | undefined): string[] {
  if (zone === undefined) return splits.map(elapsed)
  let shown = ''
  return splits.map((at) => {
    const [day, time] = isoTime(at, zone).split(' ') as [string, string]
    const hour = step < 60 ? time : time.slice(0, 5)
    if (day === shown) return hour
    shown = day
    return `${hour}\n${day}`
  })
}
