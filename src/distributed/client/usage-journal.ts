// Records what this process must report to the store: returned amounts, overuse, and calls made while the store
// was down. Also records how much of the accepted amounts came from here, so that the rest came from other
// processes.

import type { SharedLimit } from 'llmiter'
import { UsageHistory } from './usage-history.ts'
import { LAW, type LeaseRequest } from '../protocol.ts'

type JournalEntry = [limit: number, storeAt: number, amount: number]

export class UsageJournal {
  readonly #limits: readonly SharedLimit[]
  readonly #past: UsageHistory
  readonly #amends = new Map<string, [key: string, at: number, difference: number]>()
  #untold: [key: string, at: number, amount: number][] = []
  #refused: number[] = []
  #ours: number[] = []
  #others: number[] | undefined

  constructor(limits: readonly SharedLimit[]) {
    this.#limits = limits
    this.#past = new UsageHistory(limits.map(({ windowMs }) => windowMs))
  }

  /** Records calls made with slots of a request at `told`, or without the store. */
  went(amounts: readonly number[], at: number, told: number | undefined): void {
    amounts.forEach((amount, i) => this.#past.add(i, at, amount, told))
  }

  leased(amounts: readonly number[]): void {
    amounts.forEach((amount, i) => (this.#ours[i] = (this.#ours[i] ?? 0) + amount))
  }

  refused(amounts: readonly number[]): void {
    amounts.forEach((amount, i) => (this.#refused[i] = (this.#refused[i] ?? 0) + amount))
  }

  amend(limit: number, at: number, difference: number): void {
    this.#gather(this.#amends, limit, at, difference)
  }

  /** Schedules a report of everything that a store with no memory after `since` does not know. */
  remind(since: number, storeNow: number): void {
    for (const [i, at, amount] of this.#past.unknown(since, storeNow))
      this.#untold.push([this.#limits[i]!.key, at, amount])
  }

  /** Moves all of it into this request. */
  write(request: LeaseRequest): void {
    request.amend = [...this.#amends.values()]
    request.past = this.#untold
    request.refused = this.#limits.map((_, i) => this.#refused[i] ?? 0)
    this.#amends.clear()
    this.#untold = []
    this.#refused = []
    this.#limits.forEach(({ key }, i) => {
      let ours = (this.#ours[i] ?? 0) - request.refused[i]!
      for (const [of, , amount] of [...request.amend, ...request.past]) if (of === key) ours += amount
      this.#ours[i] = ours
    })
  }

  /**
   * A request was not answered, and may or may not have been received. Reports that would free an amount are not
   * repeated. Reports that count against this process are.
   */
  unanswered({ amend, past }: LeaseRequest): void {
    for (const [key, at, difference] of amend) {
      const i = this.#limits.findIndex((limit) => limit.key === key)
      if (difference > 0 && i >= 0) this.amend(i, at, difference)
    }
    this.#untold.push(...past)
  }

  /** How much more of each limit was accepted from other processes since the last call. */
  others(accepted: readonly number[]): number[] {
    const others = accepted.map((amount, i) => amount - (this.#ours[i] ?? 0))
    const before = this.#others ?? others
    this.#others = others
    return others.map((amount, i) => amount - (before[i] ?? 0))
  }

  /**
   * The store remembers nothing after `since`, and its time is ahead by `shiftMs`. It will be told what was used
   * and what is still held. If it has started anew, it is told everything, and all other reports are void.
   */
  retell(since: number, shiftMs: number, storeNow: number, held: readonly JournalEntry[]): void {
    if (since === -Infinity) {
      this.#amends.clear()
      this.#untold = []
      this.#ours = []
    }
    this.#others = undefined
    this.#past.shift(shiftMs)
    this.remind(since, storeNow)
    const cells = new Map<string, [key: string, at: number, amount: number]>()
    for (const [i, at, amount] of held) this.#gather(cells, i, at, amount)
    this.#untold.push(...cells.values())
  }

  #gather(cells: Map<string, [string, number, number]>, limit: number, at: number, amount: number): void {
    const { key, windowMs } = this.#limits[limit]!
    const cell = `${key} ${Math.floor((at / windowMs) * LAW.cells)}`
    const known = cells.get(cell)
    if (known) known[2] += amount
    else cells.set(cell, [key, at, amount])
  }
}
