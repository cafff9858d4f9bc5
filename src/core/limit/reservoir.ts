// Counts a limit without a window: the user refills it, or its own rules do so by the clock.
//
// It counts what is used, as a window does, so that a bucket need not know the difference. Refills can make it negative:
// then more is left than at the start. Rules are evaluated on reading, so a reservoir needs no timer.

import type { Refill } from './parse-limits.ts'
import type { WindowCounter } from './sliding-window.ts'

/** A rule, and when it is due next. */
interface Rule extends Refill {
  next: number | undefined
}

export class Reservoir implements WindowCounter {
  readonly #amount: number
  readonly #rules: Rule[]
  #used = 0
  /** When it was last set to an amount. Anything taken before that is forgotten. */
  #setAt = -Infinity

  constructor(amount: number, rules: readonly Refill[]) {
    this.#amount = amount
    this.#rules = rules.map((rule) => ({ ...rule, next: undefined }))
  }

  used(now: number): number {
    for (const rule of this.#rules) rule.next ??= now + rule.everyMs
    let at = -Infinity
    for (const rule of this.#rules) {
      if (rule.to === undefined || rule.next! > now) continue
      at = this.#last(rule, now)
      rule.next = at + rule.everyMs
      this.#used = this.#amount - rule.to
      this.#setAt = at
    }
    for (const rule of this.#rules) {
      if (rule.by === undefined || rule.next! > now) continue
      const last = this.#last(rule, now)
      const first = Math.max(rule.next!, last - Math.floor((last - at) / rule.everyMs) * rule.everyMs)
      const times = Math.max(0, Math.round((last - first) / rule.everyMs) + 1)
      rule.next = last + rule.everyMs
      const most = Math.max(this.#left, rule.max)
      this.#used = this.#amount - Math.min(most, this.#left + times * rule.by)
    }
    return this.#used
  }

  get #left(): number {
    return this.#amount - this.#used
  }

  /** When the rule was due for the last time up to `now`. */
  #last({ next, everyMs }: Rule, now: number): number {
    return next! + Math.floor((now - next!) / everyMs) * everyMs
  }

  since(_at: number, now: number): number {
    return this.used(now)
  }

  when(room: number, now: number): number {
    return this.used(now) <= room ? now : this.#filled(this.#amount - room)
  }

  reaches(need: number, _amount: number, from: number): number {
    return need <= this.#left ? from : Math.max(from, this.#filled(need, true))
  }

  /** About when `need` is there. `together`: it is taken bit by bit, so that each refill counts in full. */
  #filled(need: number, together = false): number {
    // Two rules work on one another: each time one is due it is looked at again.
    if (this.#rules.length > 1) return Math.min(...this.#rules.map(({ next }) => next!))
    const [rule] = this.#rules
    if (!rule || (!together && need > (rule.to ?? Math.max(rule.max, this.#left)))) return Infinity
    const times =
      rule.to !== undefined && !together ? 1 : Math.ceil((need - this.#left) / (rule.to ?? rule.by!))
    return rule.next! + (times - 1) * rule.everyMs
  }

  add(amount: number, now: number): void {
    this.used(now)
    this.#used += amount
  }

  amend(difference: number, takenAt: number, now: number): void {
    this.used(now)
    if (takenAt >= this.#setAt) this.#used += difference
  }

  dump(now: number): [number, number][] {
    const used = this.used(now)
    return used > 0 ? [[0, used]] : []
  }

  /** Takes over from a reservoir with other rules. */
  inherit(other: Reservoir, now: number): void {
    this.#used = this.#amount - (other.#amount - other.used(now))
    for (const [i, rule] of this.#rules.entries()) {
      const before = other.#rules[i]
      if (before?.everyMs === rule.everyMs) rule.next = before.next
    }
  }
}
