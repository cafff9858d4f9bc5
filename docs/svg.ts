/**
 * What all pictures of this folder share: how text and paths are written, and colours that can be read on white and
 * on black. A picture is one file without scripts or fonts of its own, so it can stand in any page.
 */
import { writeFileSync } from 'node:fs'

/** A tenth of a pixel is as fine as anyone sees, and keeps the files small. */
export const round = (value: number) => Math.round(value * 10) / 10

export function text(x: number, y: number, words: string, kind = ''): string {
  return `<text${kind && ` class="${kind}"`} x="${x}" y="${y}">${words}</text>`
}

export function path(kind: string, d: string): string {
  return `<path class="${kind}" d="${d}"/>`
}

export const FONT = 'system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif'

export interface Picture {
  width: number
  height: number
  /** For who cannot see it. */
  title?: string
  style: string
  body: readonly string[]
}

export function save(name: string, { width, height, title, style, body }: Picture): void {
  const lines = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">`,
    ...(title === undefined ? [] : [`<title>${title}</title>`]),
    `<style>${style}</style>`,
    ...body,
    '</svg>',
  ]
  writeFileSync(new URL(name, import.meta.url), `${lines.join('\n')}\n`)
}
