// Writes pictures: the texts, paths, frames and scales of all SVGs of this project. A picture is one file without
// scripts or fonts, so that any page can include it.

import { escape } from './html.ts'

export const FONT = 'system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif'

/** Rounds to a tenth of a pixel, which looks the same and keeps files small. */
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
  /** A description for screen readers. */
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
  /** The values at the left and right edge. */
  from: number
  to: number
  /** The value at the top. The bottom is 0. */
  top: number
}

/** An interval of the x axis with one value. */
export interface Step {
  from: number
  to: number
  value: number
}

/** A frame with its two scales. Values above the top are drawn at the top. */
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

  /** A step line, cut off at both edges. Steps are used because a value covers an interval of time. */
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

  /** The area below a step line. */
  under(steps: readonly Step[]): string {
    const line = this.steps(steps)
    return line && `${line}V${this.base}H${this.x(this.#frame.from)}z`
  }

  /** The whole frame between two x values. */
  band(from: number, to: number): string {
    const { y, from: left, to: right } = this.#frame
    const [start, end] = [this.x(Math.max(from, left)), this.x(Math.min(to, right))]
    return `M${start} ${y}H${end}V${this.base}H${start}z`
  }
}
