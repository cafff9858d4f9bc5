// Shows the progress of a long task on a terminal. Shows nothing if the output is not a terminal.

const SHOWN_EACH_MS = 200
/** A short task ends before progress is shown. */
const SILENT_MS = 500

export class ProgressLine {
  readonly #output: Pick<NodeJS.WriteStream, 'write' | 'isTTY'>
  readonly #since = performance.now()
  #shownAt = 0
  #shown = false

  constructor(output: Pick<NodeJS.WriteStream, 'write' | 'isTTY'> = process.stderr) {
    this.#output = output
  }

  show(done: number, all: number, what = ''): void {
    const now = performance.now()
    if (!this.#output.isTTY || now - this.#since < SILENT_MS || now - this.#shownAt < SHOWN_EACH_MS) return
    this.#shownAt = now
    this.#shown = true
    this.#output.write(`\r\x1b[K${what}${Math.floor((100 * done) / Math.max(1, all))} %`)
  }

  /** Clears the line. */
  end(): void {
    if (this.#shown) this.#output.write('\r\x1b[K')
    this.#shown = false
  }
}
