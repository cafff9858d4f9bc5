// The ledger: one line per attempt of a call, never its content. With a budget there is also a line when an
// attempt is sent, written before the provider can receive it. After a crash, such an attempt counts with the
// maximum it might have used.

import {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'

/** The usage in the units of budgets. USD in billionths. */
export interface LedgerAmounts {
  readonly requests: number
  readonly tokens: number
  readonly usd: number
}

/** An attempt was sent, and may use this much. */
interface SentLine {
  readonly of: 'sent'
  /** Epoch ms. */
  readonly at: number
  readonly id: string
  readonly key?: string
  readonly tenant?: string
  readonly model?: string
  readonly bound: LedgerAmounts
}

/** An attempt has ended. */
interface OverLine extends Omit<SentLine, 'of' | 'bound'> {
  readonly of: 'over'
  readonly target: string
  /** The HTTP status, or 0 if there was no answer. */
  readonly status: number
  readonly waitedMs: number
  readonly ms: number
  readonly inputTokens?: number
  readonly outputTokens?: number
  /** Input tokens read from the provider's cache. */
  readonly cachedTokens?: number
  /** USD, if the price is known. */
  readonly cost?: number
  /** What counts against budgets. */
  readonly used?: LedgerAmounts
}

/** The gateway refused a call: no attempt, or no further attempt, was sent. */
interface RefusedLine extends Omit<SentLine, 'of' | 'bound' | 'id'> {
  readonly of: 'refused'
  readonly status: number
  /** The code in the answer: `budget_exceeded`, `queue_full`, `wait_too_long` and others. */
  readonly code: string
}

export type LedgerLine = SentLine | OverLine | RefusedLine

const NAME = /^ledger-\d{4}-\d{2}\.jsonl$/

export class CallLedger {
  readonly #dir: string
  #file: { readonly name: string; readonly fd: number } | undefined
  #ready: string[] = []
  #failed = false

  constructor(dir: string) {
    this.#dir = dir
  }

  /**
   * Reads the lines of earlier runs, in the order in which they were written. A last line that was cut off is
   * skipped.
   */
  *read(): Generator<LedgerLine> {
    if (!existsSync(this.#dir)) return
    const names = readdirSync(this.#dir).filter((name) => NAME.test(name))
    for (const name of names.sort()) {
      for (const line of linesOf(join(this.#dir, name))) {
        const found = parse(line)
        if (found) yield found
      }
    }
  }

  /** Lines of one turn of the event loop are written together. */
  add(line: LedgerLine): void {
    if (this.#ready.push(JSON.stringify(line)) === 1) process.nextTick(() => this.flush())
  }

  flush(): void {
    if (this.#ready.length === 0) return
    const lines = `${this.#ready.join('\n')}\n`
    this.#ready = []
    try {
      const bytes = Buffer.from(this.#failed ? `\n${lines}` : lines)
      for (let at = 0, fd = this.#open(); at < bytes.length;) at += writeSync(fd, bytes, at)
      this.#failed = false
    } catch (error) {
      // A full disk must not stop the calls. It is reported once. A partial line ends where the next line begins.
      if (!this.#failed)
        process.emitWarning(`llmiter gateway: the ledger cannot be written: ${(error as Error).message}`)
      this.#failed = true
    }
  }

  close(): void {
    this.flush()
    if (this.#file) closeSync(this.#file.fd)
    this.#file = undefined
  }

  #open(): number {
    const name = `ledger-${new Date().toISOString().slice(0, 7)}.jsonl`
    if (this.#file?.name !== name) {
      if (this.#file) closeSync(this.#file.fd)
      mkdirSync(this.#dir, { recursive: true, mode: 0o700 })
      const fd = openSync(join(this.#dir, name), 'a+', 0o600)
      this.#file = { name, fd }
      if (isCutOff(fd)) writeSync(fd, '\n')
    }
    return this.#file.fd
  }
}

/** Whether the last line has no newline, because its writer was stopped. The next line would be lost with it. */
function isCutOff(fd: number): boolean {
  const { size } = fstatSync(fd)
  const last = Buffer.alloc(1)
  return size > 0 && readSync(fd, last, 0, 1, size - 1) === 1 && last[0] !== LINE_FEED
}

const LINE_FEED = 0x0a
const PART = 1 << 20

/** A file may be longer than the longest string. */
function* linesOf(file: string): Generator<string> {
  const fd = openSync(file, 'r')
  try {
    const part = Buffer.alloc(PART)
    let rest: Buffer = Buffer.alloc(0)
    for (;;) {
      const bytes = part.subarray(0, readSync(fd, part))
      if (bytes.length === 0) break
      const all = Buffer.concat([rest, bytes])
      const end = all.lastIndexOf(LINE_FEED) + 1
      yield* all.toString('utf8', 0, end).split('\n')
      rest = all.subarray(end)
    }
    yield rest.toString()
  } finally {
    closeSync(fd)
  }
}

function parse(line: string): LedgerLine | undefined {
  try {
    return line ? (JSON.parse(line) as LedgerLine) : undefined
  } catch {
    return undefined
  }
}
