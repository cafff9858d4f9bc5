// The slots that this process holds: amounts, each with the time from which it may be used. A call goes when every
// limit has enough due amounts. Slots that were not used in time are returned to the store.
//
// Under a parent, a ticket needs a slot of each limiter, and the times of two schedules rarely match. Then a slot
// waits for the other, and the store is told when it was actually used: the window of W + J counts from then.

import { LAW, type WantedLimit } from '../protocol.ts'

/** How late a slot may be used, in ms. This is within J, so that the provider's windows are respected. */
export const GRACE_MS = 40

interface Part {
  /** Local time from which it may be used. */
  at: number
  /** Store time at which the store counts it, until it is told otherwise. */
  storeAt: number
  /** Local time at which it is returned. */
  until: number
  amount: number
  /** Store time of the answer that contained it. */
  told: number
}

/** Tells the store which amounts of a limit are returned, or were used at another time. */
export type Amend = (limit: number, storeAt: number, difference: number) => void

/** How late a slot of these limits at `storeAt` may be used, in ms. */
export function usableMs(limits: readonly WantedLimit[], storeAt: number, inTree: boolean): number {
  if (!inTree) return GRACE_MS
  // The store must be told long before the slot leaves its window, and a slot must not be used on the next day.
  const most = limits.map(({ windowMs, ends }) => (ends === undefined ? windowMs / 8 : ends - storeAt))
  return Math.max(GRACE_MS, Math.min(LAW.aheadMs, ...most))
}

export class LeasedSlots {
  readonly #limits: Part[][]
  readonly #amend: Amend
  /** Nothing is returned before this time. */
  #endsAt = Infinity

  constructor(limits: number, amend: Amend) {
    this.#limits = Array.from({ length: limits }, () => [])
    this.#amend = amend
  }

  put(amounts: readonly number[], { at, storeAt, until, told }: Omit<Part, 'amount'>): void {
    amounts.forEach((amount, i) => {
      const parts = this.#limits[i]
      if (amount <= 0 || !parts) return
      let place = parts.length
      while (place > 0 && parts[place - 1]!.at > at) place--
      parts.splice(place, 0, { at, storeAt, until, amount, told })
    })
    this.#endsAt = Math.min(this.#endsAt, until)
  }

  /**
   * The held slots unknown to a store that remembers nothing after `since` and whose time was shifted by
   * `shiftMs`.
   */
  untold(since: number, shiftMs: number, now: number): [limit: number, storeAt: number, amount: number][] {
    const found: [number, number, number][] = []
    for (const [i, parts] of this.#limits.entries())
      for (const part of parts) {
        part.storeAt += shiftMs
        if (part.told <= since + LAW.sameMs) continue
        part.told = now
        found.push([i, part.storeAt, part.amount])
      }
    return found
  }

  /** When the amounts are available. `Infinity` if some of them are not held. */
  at(amounts: readonly number[], now: number): number {
    this.expire(now)
    let at = now
    for (const [i, parts] of this.#limits.entries()) {
      let missing = amounts[i] ?? 0
      for (let k = 0; missing > 1e-9; k++) {
        const part = parts[k]
        if (!part) return Infinity
        missing -= part.amount
        at = Math.max(at, part.at)
      }
    }
    return at
  }

  take(amounts: readonly number[], storeNow: number): void {
    for (const [i, parts] of this.#limits.entries()) {
      let missing = amounts[i] ?? 0
      while (missing > 1e-9 && parts.length > 0) {
        const part = parts[0]!
        const taken = Math.min(missing, part.amount)
        missing -= taken
        part.amount -= taken
        if (Math.abs(storeNow - part.storeAt) > GRACE_MS) {
          this.#amend(i, part.storeAt, -taken)
          this.#amend(i, storeNow, taken)
        }
        if (part.amount <= 1e-9) parts.shift()
      }
    }
  }

  /** How much the amounts exceed what can still be used at `by`. Empty if everything is available. */
  missing(amounts: readonly number[], by: number): number[] {
    const left = amounts.map((amount, i) => Math.max(0, amount - this.#sum(i, ({ until }) => until >= by)))
    return left.some((amount) => amount > 1e-9) ? left : []
  }

  /** How many calls of these amounts are held, either not due yet or still usable at `by`. */
  holds(amounts: readonly number[], now: number, by: number): number {
    let least = Infinity
    for (const [i, amount] of amounts.entries())
      if (amount > 0)
        least = Math.min(least, this.#sum(i, ({ at, until }) => at > now || until >= by) / amount)
    return least === Infinity ? 0 : Math.floor(least + 1e-9)
  }

  expire(now: number): void {
    if (now <= this.#endsAt) return
    this.#endsAt = Infinity
    for (const [i, parts] of this.#limits.entries()) {
      const left = parts.filter(({ until }) => until >= now)
      for (const { until, storeAt, amount } of parts) {
        if (until < now) this.#amend(i, storeAt, -amount)
        else this.#endsAt = Math.min(this.#endsAt, until)
      }
      this.#limits[i] = left
    }
  }

  clear(): void {
    this.expire(Infinity)
  }

  #sum(limit: number, counts: (part: Part) => boolean): number {
    let sum = 0
    for (const part of this.#limits[limit] ?? []) if (counts(part)) sum += part.amount
    return sum
  }
}
