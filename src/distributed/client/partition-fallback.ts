// Lets a process work without its store, with its own share of the limits: λ divided by the last known number of
// processes. So all processes together stay within the limit, cut off or not.
//
// Requests use time division: of the times T apart on the store's clock, every P-th belongs to this process, by
// its rank among the P. So all processes together keep the limit exactly, without communication. Amounts (tokens)
// are saved up before they are spent, at rate ÷ P, and never more than amount ÷ P in a window. A call that takes
// more than that waits for the store. The rest of a quota is divided by P.

import { GRACE_MS } from './leased-slots.ts'
import type { WantedLimit } from '../protocol.ts'

const MOST_SLOWED = 0.5

interface Share {
  limit: WantedLimit
  /** Requests: the last used time. Amounts: the time up to which the share has been spent. */
  next: number
  spent: [at: number, amount: number][]
  left: number
}

export interface PartitionFallbackOptions {
  limits: readonly WantedLimit[]
  /** The last known usage of each limit. */
  used: readonly number[]
  /** By how many ms each limit was ahead of its rate, as last known. This time is waited for first. */
  early: readonly number[]
  processes: number
  rank: number
  concurrent: number
}

const isCountedByOne = ({ key, paced }: WantedLimit) => paced && key.startsWith('requests/')

/**
 * Where this schedule and the store's meet, a window may contain one extra ticket, both when leaving and when
 * returning.
 */
const slower = (limit: WantedLimit): WantedLimit =>
  isCountedByOne(limit) ? { ...limit, rate: limit.rate * Math.max(MOST_SLOWED, 1 - 2 / limit.amount) } : limit

export class PartitionFallback {
  #processes!: number
  #rank!: number
  #most!: number
  readonly #concurrent: number
  readonly #shares: Share[]

  /** All times are those of the store. */
  constructor({ limits, used, early, processes, rank, concurrent }: PartitionFallbackOptions, now: number) {
    this.#concurrent = concurrent
    this.#divide(processes, rank)
    this.#shares = limits.map((limit, i) => ({
      limit: slower(limit),
      next: early[i] || !isCountedByOne(limit) ? now + (early[i] ?? 0) : -Infinity,
      spent: [],
      left: Math.max(0, limit.amount - (used[i] ?? 0)) / processes,
    }))
  }

  /** Handles a late answer of the store: the number of processes that now share the limit. */
  share(processes: number, rank: number): void {
    for (const share of this.#shares) share.left *= this.#processes / processes
    this.#divide(processes, rank)
  }

  #divide(processes: number, rank: number): void {
    this.#processes = processes
    this.#rank = rank % processes
    const extra = this.#rank < this.#concurrent % processes ? 1 : 0
    this.#most = this.#concurrent === 0 ? Infinity : Math.floor(this.#concurrent / processes) + extra
  }

  at(amounts: readonly number[], inFlight: number, now: number): number {
    if (inFlight >= this.#most) return Infinity
    let at = now
    for (const [i, share] of this.#shares.entries()) {
      const amount = amounts[i] ?? 0
      if (amount > 0) at = Math.max(at, this.#fits(share, amount, now))
    }
    return at
  }

  take(amounts: readonly number[], now: number): void {
    for (const [i, share] of this.#shares.entries()) {
      const amount = amounts[i] ?? 0
      if (amount === 0) continue
      const { limit } = share
      if (!limit.paced) share.left -= amount
      else if (isCountedByOne(limit))
        share.next = this.#moment(limit, this.#turn(share, now) + Math.ceil(amount) - 1)
      else {
        const step = (amount * this.#processes) / limit.rate
        share.next = Math.max(share.next, now - step) + step
        share.spent.push([now, amount])
      }
    }
  }

  /** Unused amounts are returned to a quota. An unused share of a rate is lost. */
  amend(differences: readonly number[]): void {
    for (const [i, share] of this.#shares.entries()) share.left -= differences[i] ?? 0
  }

  #fits(share: Share, amount: number, now: number): number {
    const { limit, spent } = share
    if (!limit.paced) return amount <= share.left ? now : Infinity
    if (isCountedByOne(limit)) return this.#moment(limit, this.#turn(share, now) + Math.ceil(amount) - 1)
    const most = limit.amount / this.#processes
    if (amount > most) return Infinity
    while (spent.length > 0 && spent[0]![0] + limit.windowMs <= now) spent.shift()
    let total = spent.reduce((sum, [, one]) => sum + one, amount)
    let free = now
    for (const [at, one] of spent) {
      if (total <= most) break
      total -= one
      free = at + limit.windowMs
    }
    return Math.max(free, share.next + (amount * this.#processes) / limit.rate)
  }

  /** The number of our first slot that is not over. A slot that has just begun may still be used. */
  #turn({ limit, next }: Share, now: number): number {
    const from = Math.max(next + 0.5 / limit.rate, now - GRACE_MS)
    return Math.ceil((from - this.#rank / limit.rate) / (this.#processes / limit.rate))
  }

  #moment({ rate }: WantedLimit, turn: number): number {
    return (turn * this.#processes + this.#rank) / rate
  }
}
