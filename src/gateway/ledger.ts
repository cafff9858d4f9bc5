// The ledger: a line for each try of a call, and never what it said. Under a budget there is a line when a try is sent,
// too, written before the provider can have seen it: after a crash such a try counts as much as it might have used.

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

/** What was used, in the units of budgets: USD as billionths. */
export interface LedgerAmounts {
  readonly requests: number
  readonly tokens: number
  readonly usd: number
}

/** A try was sent, and may use so much. */
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

/** A try is over. */
interface OverLine extends Omit<SentLine, 'of' | 'bound'> {
  readonly of: 'over'
  readonly target: string
  /** Of the HTTP answer; 0 when there was none. */
  readonly status: number
  readonly waitedMs: number
  readonly ms: number
  readonly inputTokens?: number
  readonly outputTokens?: number
  /** Of the input, read from a cache of the provider's. */
  readonly cachedTokens?: number
  /** USD, if the price is known. */
  readonly cost?: number
  /** What counts against budgets. */
  readonly used?: LedgerAmounts
}

/** The gateway itself refused a call: no try of it was sent, or no more. */
interface RefusedLine extends Omit<SentLine, 'of' | 'bound' | 'id'> {
  readonly of: 'refused'
  readonly status: number
  /** As in the answer: `budget_exceeded`, `queue_full`, `wait_too_long` and others. */
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

  /** Lines of earlier runs, in the order in which they were written. A last line that was cut off is left out. */
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
      // A full disk must not end the calls. It is told once. What is there of a line ends where the next begins.
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

/** Whether the last line has no end, since its writer was stopped: the next one would be lost with it. */
function isCutOff(fd: number): boolean {
  const { size } = fstatSync(fd)
  const last = Buffer.alloc(1)
  return size > 0 && readSync(fd, last, 0, 1, size - 1) === 1 && last[0] !== LINE_FEED
}

const LINE_FEED = 0x0a
const PART = 1 << 20

/** A file may be longer than any text. */
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
