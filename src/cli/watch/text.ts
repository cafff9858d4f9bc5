// Text on a terminal: its width, wrapping, cutting and colours.

export type Colour = 'red' | 'yellow' | 'green' | 'dim' | 'bold'
export type Paint = (text: string, colour: Colour | undefined) => string

const CODES: Record<Colour, number> = { red: 31, yellow: 33, green: 32, dim: 2, bold: 1 }

export const plain: Paint = (text) => text
export const coloured: Paint = (text, colour) =>
  colour === undefined || text === '' ? text : `\x1b[${CODES[colour]}m${text}\x1b[0m`

/** Names and words from a log must not move the cursor. */
// eslint-disable-next-line no-control-regex
export const clean = (text: string) => text.replace(/[\u0000-\u001f\u007f-\u009f]/g, '?')

/** Characters that take two columns: East Asian ones and pictographs. */
const WIDE =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}]/u
/** Characters that take no column, because they combine with the previous one. */
const NONE = /\p{Mn}|\p{Me}|[\u200b-\u200f]/u

const columnsOf = (character: string) => (NONE.test(character) ? 0 : WIDE.test(character) ? 2 : 1)

/** The width in columns, without colour codes. */
export function widthOf(text: string): number {
  let width = 0
  // eslint-disable-next-line no-control-regex
  for (const character of text.replace(/\x1b\[[\d;]*m/g, '')) width += columnsOf(character)
  return width
}

/** Cuts a text that is wider, with `…` at its end. */
export function cut(text: string, width: number): string {
  if (widthOf(text) <= width) return text
  let [kept, used] = ['', 1]
  for (const character of text) {
    used += columnsOf(character)
    if (used > width) break
    kept += character
  }
  return width > 0 ? `${kept}…` : ''
}

export const padEnd = (text: string, width: number) => text + ' '.repeat(Math.max(0, width - widthOf(text)))
export const padStart = (text: string, width: number) => ' '.repeat(Math.max(0, width - widthOf(text))) + text

/** Wraps to lines of this width, at most `most` of them. The rest is cut off. */
export function wrap(text: string, width: number, most: number): string[] {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const longer = lines.length > 0 ? `${lines.at(-1)} ${word}` : word
    if (lines.length > 0 && (widthOf(longer) <= width || lines.length === most))
      lines[lines.length - 1] = longer
    else lines.push(word)
  }
  return lines.map((line) => cut(line, width))
}
