// What this process took, and when the store was told, for as long as a window lasts: a store that was flushed, restarted
// from an old copy or replaced by a lagging replica has forgotten some of it, and must hear it again before it
// leases anything.

const CELLS = 256
/** Within which what was told in one question counts as told, in ms. */
const TOLD_MS = 0.01

interface Cell {
  at: number
  amount: number
  /** Store time of the question that told it; undefined until then. */
  told: number | undefined
}

export class Past {
  readonly #windows: readonly number[]
  readonly #cells: Cell[][]

  /** The windows of the limits, in ms. */
  constructor(windows: readonly number[]) {
    this.#windows = windows
    this.#cells = windows.map(() => [])
  }

  add(limit: number, at: number, amount: number, told: number | undefined): void {
    const cells = this.#cells[limit]
    const windowMs = this.#windows[limit]!
    if (!cells || amount === 0) return
    while (cells.length > 0 && cells[0]!.at + windowMs < at - windowMs / CELLS) cells.shift()
    const last = cells.at(-1)
    const together =
      last && (last.told === undefined) === (told === undefined) && at - last.at < windowMs / CELLS
    if (!together) cells.push({ at, amount, told })
    else {
      last.amount += amount
      if (told !== undefined) last.told = Math.max(last.told!, told)
    }
  }

  /** What a store does not know that remembers no later than `since`; from now on it counts as told. */
  unknown(since: number, now: number): [limit: number, at: number, amount: number][] {
    const found: [number, number, number][] = []
    this.#cells.forEach((cells, limit) => {
      for (const cell of cells) {
        if (cell.told !== undefined && cell.told <= since + TOLD_MS) continue
        cell.told = now
        if (cell.amount > 0 && cell.at + this.#windows[limit]! > now)
          found.push([limit, cell.at, cell.amount])
      }
    })
    return found
  }

  /** The state's time begins anew. */
  shift(ms: number): void {
    for (const cell of this.#cells.flat()) {
      cell.at += ms
      if (cell.told !== undefined) cell.told += ms
    }
  }
}
