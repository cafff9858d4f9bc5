// Records what this process took and when the store was told, for the length of a window. A store that was
// flushed, restarted from an old copy, or replaced by a lagging replica has lost some of it, and must be told
// again before it leases anything.

import { LAW } from '../protocol.ts'

const CELLS = 256
/** Recent usage is kept in finer entries, so that little is repeated to a replica that lags a little. */
const FINE_MS = 1000
const RECENT = 16

interface UsageCell {
  at: number
  amount: number
  /** Store time of the request that reported it. Undefined until then. */
  told: number | undefined
}

type ToldUsage = UsageCell['told']
const alike = (one: ToldUsage, other: ToldUsage) => (one === undefined) === (other === undefined)

function merge(cell: UsageCell, amount: number, told: ToldUsage): void {
  cell.amount += amount
  if (told !== undefined) cell.told = Math.max(cell.told!, told)
}

export class UsageHistory {
  readonly #windows: readonly number[]
  readonly #cells: UsageCell[][]

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
    if (!last || !alike(last.told, told) || at - last.at >= Math.min(windowMs / CELLS, FINE_MS))
      cells.push({ at, amount, told })
    else merge(last, amount, told)
    const [older, old] = cells.slice(-RECENT - 1, -RECENT + 1)
    if (!older || !old || !alike(older.told, old.told) || old.at - older.at >= windowMs / CELLS) return
    merge(older, old.amount, old.told)
    cells.splice(-RECENT, 1)
  }

  /** Returns the usage unknown to a store whose memory ends at `since`, and marks it as reported. */
  unknown(since: number, now: number): [limit: number, at: number, amount: number][] {
    const found: [number, number, number][] = []
    this.#cells.forEach((cells, limit) => {
      for (const cell of cells) {
        if (cell.told !== undefined && cell.told <= since + LAW.sameMs) continue
        cell.told = now
        if (cell.amount > 0 && cell.at + this.#windows[limit]! > now)
          found.push([limit, cell.at, cell.amount])
      }
    })
    return found
  }

  /** The time of the store's state starts again. */
  shift(ms: number): void {
    for (const cell of this.#cells.flat()) {
      cell.at += ms
      if (cell.told !== undefined) cell.told += ms
    }
  }
}
