// How far a long task has come, on a terminal; elsewhere nothing.

const SHOWN_EACH_MS = 200
/** A short task is over before anybody asks. */
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

  /** The line is free again. */
  end(): void {
    if (this.#shown) this.#output.write('\r\x1b[K')
    this.#shown = false
  }
}
