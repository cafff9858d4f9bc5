// How far a job is, and when it will be over: from the pace of the last minutes, since a limiter's pace changes.

export interface Progress {
  /** Items that are over, the failed included, the skipped not. */
  done: number
  failed: number
  skipped: number
  /** All items, where it is known. */
  total?: number
  /** The real pace, lately. */
  perMinute: number
  /** ms until the end at this pace, where the total is known. */
  etaMs?: number
}

/** How far back the pace looks. */
const MEMORY_MS = 120_000

export class Pace {
  #count = 0
  #ms = 0
  #at: number

  constructor(now: number) {
    this.#at = now
  }

  /** Items per ms, with one more that is over. */
  next(now: number): number {
    const elapsed = now - this.#at
    const kept = Math.exp(-elapsed / MEMORY_MS)
    this.#count = this.#count * kept + 1
    this.#ms = this.#ms * kept + elapsed
    this.#at = now
    return this.#ms > 0 ? this.#count / this.#ms : 0
  }
}

/** How many items there are, if that can be told without reading them. */
export function countOf(items: unknown): number | undefined {
  const { length, size } = items as { length?: unknown; size?: unknown }
  const count = typeof items === 'string' ? undefined : (length ?? size)
  return typeof count === 'number' ? count : undefined
}
