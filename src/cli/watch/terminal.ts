// Writes the lines: over the previous ones on a terminal, otherwise below each other. At the end the terminal is
// restored, with the last lines on it and the cursor below them.

import type { WriteStream } from 'node:tty'
import { plainLine } from './table.ts'
import type { Added } from './tail.ts'
import { coloured, cut, type Paint, plain, widthOf } from './text.ts'

export type Output = Pick<WriteStream, 'write'> &
  Partial<Pick<WriteStream, 'isTTY' | 'columns' | 'rows' | 'hasColors'>>

const HIDE = '\x1b[?25l'
const SHOW = '\x1b[?25h'
const CLEAR = '\x1b[0J'
const HINT_MS = 2000

export class Screen {
  readonly #output: Output
  readonly #since = performance.now()
  #shown: string[] = []
  #hidden = false
  #hinted: string | undefined

  constructor(output: Output) {
    this.#output = output
  }

  /** Whether the output can be rewritten. */
  get live(): boolean {
    return this.#output.isTTY === true
  }

  get width(): number {
    return this.live ? (this.#output.columns ?? 80) : Infinity
  }

  /** One line stays free for the cursor. */
  get height(): number {
    return this.live ? Math.max(1, (this.#output.rows ?? 24) - 1) : Infinity
  }

  /** No colours if the output is not a terminal, or if `NO_COLOR` is set. */
  get paint(): Paint {
    return this.live && this.#output.hasColors?.() ? coloured : plain
  }

  /** `hint` is an additional message for the reader. */
  show(lines: readonly string[], added: readonly Added[], hint?: string): void {
    if (this.live) this.#rewrite(hint === undefined ? lines : [cut(hint, this.width), ...lines])
    else {
      if (added.length > 0) this.#output.write(added.map((each) => `${plainLine(each)}\n`).join(''))
      if (hint !== undefined) this.#hint(hint)
    }
  }

  close(): void {
    if (this.#hidden) this.#output.write(SHOW)
    this.#hidden = false
  }

  #rewrite(lines: readonly string[]): void {
    // Lines beyond the height of the terminal could not be rewritten later.
    const fitting = lines.slice(0, this.height)
    if (fitting.join('\n') === this.#shown.join('\n')) return
    const up = this.#shown.length > 0 ? `\r\x1b[${this.#heightOf(this.#shown)}A` : ''
    this.#output.write(`${this.#hidden ? '' : HIDE}${up}${CLEAR}${fitting.join('\n')}\n`)
    this.#hidden = true
    this.#shown = [...fitting]
  }

  /** The number of screen lines. A narrower window may have wrapped earlier lines. */
  #heightOf(lines: readonly string[]): number {
    const rows = lines.reduce((sum, line) => sum + Math.max(1, Math.ceil(widthOf(line) / this.width)), 0)
    return Math.min(rows, this.#output.rows ?? rows)
  }

  /** Written once, so that a reader of a pipe knows why there is no output. */
  #hint(hint: string): void {
    if (this.#hinted === hint || performance.now() - this.#since < HINT_MS) return
    this.#hinted = hint
    console.error(hint)
  }
}
