// How much of a limit went in the window that ends now: the hard cap under every burst.
//
// A log of what was taken, so that "never more than n in any window" is exact, wherever the provider's own
// windows begin. What goes within a 4096th of the window shares an entry, kept until its latest member may
// leave: the memory is bounded and the error is on the safe side.

import { dateOf, nextMidnight } from '../../lib/calendar.ts'
import { DAY } from '../../lib/units.ts'

export interface WindowCounter {
  /** What counts at `now`. */
  used(now: number): number
  /** What was taken from `at` on. */
  since(at: number, now: number): number
  /** The earliest time from `now` on at which no more than `room` counts. */
  when(room: number, now: number): number
  /** The earliest time from `from` on at which `need` more went, if no window holds more than `amount` and each part goes when it fits. */
  reaches(need: number, amount: number, from: number): number
  add(amount: number, now: number): void
  /** Corrects what was added at `takenAt`, if it still counts. */
  amend(difference: number, takenAt: number, now: number): void
  /** What counts and since when, as `[age in ms, amount]`, oldest first. */
  dump(now: number): [number, number][]
}

interface Entry {
  since: number
  at: number
  amount: number
}

export class SlidingWindow implements WindowCounter {
  readonly #windowMs: number
  #log: Entry[] = []
  #head = 0
  #total = 0

  constructor(windowMs: number) {
    this.#windowMs = windowMs
  }

  used(now: number): number {
    const log = this.#log
    while (this.#head < log.length && log[this.#head]!.at + this.#windowMs <= now) {
      this.#total -= log[this.#head++]!.amount
    }
    if (this.#head === log.length) {
      this.#total = 0
      if (this.#head > 0) this.#log = []
      this.#head = 0
    } else if (this.#head > 64 && this.#head * 2 > log.length) {
      this.#log = log.slice(this.#head)
      this.#head = 0
    }
    return this.#total
  }

  since(at: number, now: number): number {
    this.used(now)
    let sum = 0
    for (let i = this.#log.length - 1; i >= this.#head && this.#log[i]!.at >= at; i--)
      sum += this.#log[i]!.amount
    return sum
  }

  when(room: number, now: number): number {
    let left = this.used(now)
    let at = now
    for (let i = this.#head; left > room && i < this.#log.length; i++) {
      left -= this.#log[i]!.amount
      at = this.#log[i]!.at + this.#windowMs
    }
    return at
  }

  reaches(need: number, amount: number, from: number): number {
    const frees: { at: number; amount: number }[] = this.#log
      .slice(this.#head)
      .filter(({ at }) => at + this.#windowMs > from)
    const room = amount - frees.reduce((sum, entry) => sum + entry.amount, 0)
    if (need <= room) return from
    // What fits goes at once, and from then on whatever leaves the window makes room again, window by window.
    frees.push({ at: from, amount: Math.max(0, room) })
    const windows = Math.ceil((need - room) / amount - 1e-9) - 1
    let left = need - room - windows * amount
    for (const entry of frees) {
      left -= entry.amount
      if (left <= 1e-9 * amount) return entry.at + (windows + 1) * this.#windowMs
    }
    return from + (windows + 2) * this.#windowMs
  }

  add(amount: number, now: number): void {
    const last = this.#log.at(-1)
    this.#total += amount
    if (last && this.#head < this.#log.length && now - last.since < this.#windowMs / 4096) {
      last.amount += amount
      last.at = Math.max(last.at, now)
    } else this.#log.push({ since: now, at: now, amount })
  }

  amend(difference: number, takenAt: number, now: number): void {
    this.used(now)
    let low = this.#head
    let high = this.#log.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#log[middle]!.at < takenAt) low = middle + 1
      else high = middle
    }
    const entry = this.#log[low]
    if (!entry || entry.since > takenAt) {
      // Nothing was reserved, or its entry has left the window already.
      if (difference > 0 && takenAt + this.#windowMs > now) this.add(difference, now)
      return
    }
    const change = Math.max(difference, -entry.amount)
    entry.amount += change
    this.#total += change
  }

  dump(now: number): [number, number][] {
    this.used(now)
    return this.#log.slice(this.#head).map(({ at, amount }) => [now - at, amount])
  }
}

/** Monotonic time and the wall clock it belongs to; the shell keeps `offsetMs` (wall − monotonic) true. */
export interface WallTime {
  offsetMs: number
}

/** Counts from one midnight of a time zone to the next, by the wall clock. */
export class CalendarWindow implements WindowCounter {
  readonly #timeZone: string
  readonly #wall: WallTime
  /** What went on each of the last few days: a clock set back must not give a day's quota twice. */
  readonly #days = new Map<string, number>()
  #day = ''
  #since = Infinity
  #ends = -Infinity
  #offsetMs = 0

  constructor(timeZone: string, wall: WallTime) {
    this.#timeZone = timeZone
    this.#wall = wall
  }

  used(now: number): number {
    // A clock set by more than a second may have moved midnight.
    if (now < this.#since || now >= this.#ends || Math.abs(this.#wall.offsetMs - this.#offsetMs) > 1000) {
      this.#since = now
      this.#offsetMs = this.#wall.offsetMs
      const wall = now + this.#offsetMs
      this.#day = dateOf(wall, this.#timeZone)
      this.#ends = nextMidnight(wall, this.#timeZone) - this.#offsetMs
    }
    return this.#days.get(this.#day) ?? 0
  }

  since(_at: number, now: number): number {
    return this.used(now)
  }

  when(room: number, now: number): number {
    return this.used(now) > room ? this.#ends : now
  }

  reaches(need: number, amount: number, from: number): number {
    const over = need + (from < this.#ends ? (this.#days.get(this.#day) ?? 0) : 0)
    const days = Math.ceil(over / amount - 1e-9) - 1
    if (days <= 0) return from
    return Math.max(this.#ends, from < this.#ends ? 0 : from) + (days - 1) * DAY
  }

  add(amount: number, now: number): void {
    const total = this.used(now) + amount
    this.#days.delete(this.#day)
    this.#days.set(this.#day, total)
    if (this.#days.size > 4) this.#days.delete(this.#days.keys().next().value!)
  }

  amend(difference: number, takenAt: number, now: number): void {
    this.used(now)
    const day = dateOf(takenAt + this.#offsetMs, this.#timeZone)
    const total = this.#days.get(day)
    if (total !== undefined) this.#days.set(day, Math.max(0, total + difference))
  }

  dump(now: number): [number, number][] {
    const used = this.used(now)
    return used > 0 ? [[0, used]] : []
  }
}
