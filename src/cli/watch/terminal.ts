// Where the lines go: over the ones before them on a terminal, one below the other elsewhere. The terminal is left
// as it was, with the last lines on it and the cursor below them.

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

  /** Whether what is written can be rewritten. */
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

  /** Neither on what is no terminal nor where `NO_COLOR` is set. */
  get paint(): Paint {
    return this.live && this.#output.hasColors?.() ? coloured : plain
  }

  /** `hint` is what the reader should know besides. */
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
    // Lines beyond the height of the terminal could not be reached again.
    const fitting = lines.slice(0, this.height)
    if (fitting.join('\n') === this.#shown.join('\n')) return
    const up = this.#shown.length > 0 ? `\r\x1b[${this.#heightOf(this.#shown)}A` : ''
    this.#output.write(`${this.#hidden ? '' : HIDE}${up}${CLEAR}${fitting.join('\n')}\n`)
    this.#hidden = true
    this.#shown = [...fitting]
  }

  /** A narrower window has wrapped what was written before. */
  #heightOf(lines: readonly string[]): number {
    const rows = lines.reduce((sum, line) => sum + Math.max(1, Math.ceil(widthOf(line) / this.width)), 0)
    return Math.min(rows, this.#output.rows ?? rows)
  }

  /** Once: somebody who looks at a pipe should know why it is silent. */
  #hint(hint: string): void {
    if (this.#hinted === hint || performance.now() - this.#since < HINT_MS) return
    this.#hinted = hint
    console.error(hint)
  }
}
