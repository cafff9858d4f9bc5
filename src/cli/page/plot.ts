// How pictures are written: the texts, paths, frames and scales of every SVG that this project draws. A picture is one
// file without scripts or fonts of its own, so that it can stand in any page.

import { escape } from './html.ts'

export const FONT = 'system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif'

/** A tenth of a pixel is as fine as anyone sees, and keeps the files small. */
export const round = (value: number) => Math.round(value * 10) / 10

export function text(x: number, y: number, words: string, kind = ''): string {
  return `<text${kind && ` class="${kind}"`} x="${x}" y="${y}">${escape(words)}</text>`
}

export function path(kind: string, d: string): string {
  return `<path class="${kind}" d="${d}"/>`
}

export interface Picture {
  width: number
  height: number
  /** For those who cannot see it. */
  title?: string
  description?: string
  style: string
  body: readonly string[]
}

export function picture({ width, height, title, description, style, body }: Picture): string {
  const named = title === undefined ? '' : `<title>${escape(title)}</title>`
  const described = description === undefined ? '' : `<desc>${escape(description)}</desc>`
  return [
    '<svg xmlns="http://www.w3.org/2000/svg" ' +
      `viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    ...(named + described ? [named + described] : []),
    `<style>${style}</style>`,
    ...body,
    '</svg>\n',
  ].join('\n')
}

export interface PlotArea {
  x: number
  y: number
  width: number
  height: number
  /** The values at the left and the right edge. */
  from: number
  to: number
  /** The value at the top; 0 is at the bottom. */
  top: number
}

/** A stretch of the x axis with one value. */
export interface Step {
  from: number
  to: number
  value: number
}

/** A frame with its two scales. What lies beyond the top is drawn at the top. */
export class Plot {
  readonly #frame: PlotArea

  constructor(frame: PlotArea) {
    this.#frame = frame
  }

  get base(): number {
    return round(this.#frame.y + this.#frame.height)
  }

  x(value: number): number {
    const { x, width, from, to } = this.#frame
    return round(x + ((value - from) / (to - from)) * width)
  }

  y(value: number): number {
    const { y, height, top } = this.#frame
    return round(y + height - (Math.min(value, top) / top) * height)
  }

  /** A step line, cut at both edges: what is drawn is a count of a stretch of time, not a curve through moments. */
  steps(steps: readonly Step[]): string {
    const { from, to } = this.#frame
    return steps
      .filter((step) => step.to > from && step.from < to)
      .map((step, i) => {
        const start = this.x(Math.max(step.from, from))
        return `${i === 0 ? 'M' : 'L'}${start} ${this.y(step.value)}H${this.x(Math.min(step.to, to))}`
      })
      .join('')
  }

  /** What lies under a step line. */
  under(steps: readonly Step[]): string {
    const line = this.steps(steps)
    return line && `${line}V${this.base}H${this.x(this.#frame.from)}z`
  }

  /** All of the frame between two values of x. */
  band(from: number, to: number): string {
    const { y, from: left, to: right } = this.#frame
    const [start, end] = [this.x(Math.max(from, left)), this.x(Math.min(to, right))]
    return `M${start} ${y}H${end}V${this.base}H${start}z`
  }
}
