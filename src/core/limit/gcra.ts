// One limit: the next moment at which a cost fits. The generic cell rate algorithm (GCRA, ITU-T I.371), kept
// as the time when the next ticket is due, over a log that holds the hard cap.
//
//   spacing  T = (W + J) / n          n tickets in any window W, even when arrival times spread by J
//   ticket   fits when due ≤ now, and the last W + J hold no more than n − cost
//   then     due ← max(due, now − credit) + cost · T
//
// `due` may lie behind now by the credit earned: (burst − 1) · T after a quiet spell. Credit is earned only
// while nobody waits. Otherwise the gap that the cap makes after a burst would earn a new burst each minute,
// and under saturation calls would leave in clumps. While somebody waits, only the lateness of timers (a little)
// is credited: without that a pace of 500 a second loses a tenth to late timers. A strict limiter refuses each call that
// comes early, so no lateness is credited there.

import type { Limit } from './parse-limits.ts'
import { RateEstimator } from '../rate/rate-estimator.ts'
import type { Throughput } from '../rate/throughput.ts'
import type { SlowStart } from './slow-start.ts'
import { CalendarWindow, type WindowCounter, SlidingWindow, type WallTime } from './sliding-window.ts'
import { Reservoir } from './reservoir.ts'

/** J: how far apart in time two calls may drift on their way to the provider. */
export const JITTER_MS = 50
/** The window with the spread of arrivals: W + J. */
const spanOf = ({ windowMs, jitterMs = JITTER_MS }: Limit): number => windowMs + jitterMs

/** The timer lateness that the pace makes up for: 20 ms where many go in that time, but 4 ms of 100 ms. */
const LATENESS_MS = 20
const LATENESS_SHARE = 0.04
const LATENESS_AREA = 400
/** The last bits of sums of times. */
const ROUNDING_MS = 1e-6

/** How late a timer may be at this spacing, so that the pace makes up for it. A strict limiter refuses early calls. */
function latenessMs(spacingMs: number): number {
  return Math.min(LATENESS_MS, Math.max(LATENESS_SHARE * spacingMs, LATENESS_AREA / spacingMs))
}

/** Calls that headers prove to fit go at this many times the rate. */
const EAGER = 3

export class Bucket {
  readonly limit: Limit
  readonly rate: RateEstimator
  readonly #ramp: SlowStart
  readonly #counter: WindowCounter
  #due = -Infinity
  #seen = 0
  #last = { at: -Infinity, cost: 0 }
  #crowded = false
  /** The amount that calls in flight have reserved. */
  reserved = 0
  /** Since the start: the amount that tickets took, and the known usage of ended calls. */
  asked = 0
  used = 0
  /** The amount that the provider's headers prove to be left, while pacing is eager. */
  #proven = 0
  /** When the next call on the proven amount may go. */
  #provenDue = -Infinity
  #trusted = false
  #distrusted = false
  #heldUntil = -Infinity
  /** When the call was sent that brought the latest headers. */
  #heardAt = -Infinity

  /** `before`: the throughput from the time before the limit was known. */
  constructor(limit: Limit, ramp: SlowStart, wall: WallTime, discover = false, before?: Throughput) {
    this.limit = limit
    this.#ramp = ramp
    const spanMs = spanOf(limit)
    this.rate = new RateEstimator(
      limit.paced ? limit.amount / spanMs : Infinity,
      discover,
      limit.assumed,
      before,
    )
    this.#counter = limit.timeZone
      ? new CalendarWindow(limit.timeZone, wall)
      : limit.refill
        ? new Reservoir(limit.amount, limit.refill)
        : new SlidingWindow(spanMs)
  }

  /** The earliest time from `now` on at which `cost` fits. */
  at(cost: number, now: number): number {
    if (cost === 0) return now
    if (cost <= this.#proven) return Math.max(now, this.#provenDue)
    const due = this.limit.paced && this.#due > now + ROUNDING_MS ? this.#due : now
    const left = this.amount(now) * (1 + 1e-9) - cost
    // A cost above the window's amount goes when the window is empty. A refill may exceed a reservoir's first amount.
    const room = this.limit.refill ? left : Math.max(0, left)
    const free = !this.#trusted && this.#counter.used(now) > room ? this.#counter.when(room, now) : now
    return Math.max(due, free, this.#heldUntil)
  }

  /** About when `cost` would fit, from `from` on and behind others that take `ahead` in all. */
  forecast(cost: number, ahead: number, from: number, now: number): number {
    const need = ahead + cost
    if (need <= this.#proven) return Math.max(from, this.#provenDue + ahead / this.#eagerRate(now))
    const start = Math.max(from, this.#heldUntil)
    const amount = this.amount(now)
    this.#counter.used(now)
    // A reservoir may never hold this cost at once, even if it can give it bit by bit.
    const alone = this.limit.refill ? this.#counter.when(amount - cost, now) : start
    const free = this.#trusted
      ? start
      : Math.max(alone, this.#counter.reaches(need, amount * (1 + 1e-9), start))
    if (!this.limit.paced) return free
    const due = Math.max(this.#due, now - this.#credit(now), start > now ? start : -Infinity)
    const step = Math.max(0, ahead - this.#proven) / this.pace(now)
    const behind = Math.min(step, Math.max(0, now - due))
    return Math.max(free, due + behind + this.#ramp.stretch(step - behind, now))
  }

  /** The pace at `now` in units per ms, without the ramp. */
  pace(now: number): number {
    return this.rate.at(now) * (this.#ramp.slowed?.(now) ?? 1)
  }

  take(cost: number, now: number): void {
    if (cost === 0) return
    this.#counter.add(cost, now)
    this.rate.sent(cost, now)
    this.reserved += cost
    this.asked += cost
    if (cost <= this.#proven) {
      this.#proven -= cost
      this.#provenDue = Math.max(now, this.#provenDue) + cost / this.#eagerRate(now)
      return
    }
    if (!this.limit.paced) return
    this.#advance(now)
    this.#last = { at: now, cost }
    const step = cost / this.pace(now)
    const behind = Math.min(step, Math.max(0, now - this.#due))
    this.#due += behind + this.#ramp.stretch(step - behind, now)
  }

  /** The rate was just lowered: applies it to the last ticket, too. */
  respace(now: number): void {
    this.#due = Math.max(this.#due, this.#last.at + this.#last.cost / this.rate.at(now))
  }

  /** Faster than the limit, so that a job of few calls is over soon; not all at once, since the provider may count by the second too. */
  #eagerRate(now: number): number {
    return EAGER * this.rate.at(now)
  }

  /** Calls were held back for a while. That is no timer lateness, so the pace does not make up for it. */
  resume(now: number): void {
    if (this.#crowded) this.#due = Math.max(this.#due, now)
  }

  /** A ticket's cost turned out to be `difference` more than reserved (less, when negative). */
  amend(difference: number, takenAt: number, now: number): void {
    if (difference === 0) return
    this.#counter.amend(difference, takenAt, now)
    if (!this.limit.paced) return
    this.#advance(now)
    // The provider forgets too, so the debt is at most one window.
    this.#due = Math.min(this.#due + difference / this.rate.at(now), now + this.limit.windowMs)
  }

  /** Whether any call waits. Only quiet time earns credit for a burst. */
  crowd(crowded: boolean, now: number): void {
    if (this.limit.refill) this.#counter.used(now)
    this.#advance(now)
    this.#crowded = crowded
  }

  /** Answers overtake each other: whether headers of a call sent at `sentAt` are news. */
  hears(sentAt: number): boolean {
    if (sentAt < this.#heardAt) return false
    this.#heardAt = sentAt
    return true
  }

  /** The provider says how much is left; what went since that call was sent, when eager, it may not have counted. */
  told(remaining: number, resetMs: number, sentAt: number | undefined, now: number): void {
    // A proven amount may go at once, but not while the provider is slow.
    this.#trusted = sentAt !== undefined && !this.#distrusted && this.pace(now) >= this.rate.at(now)
    if (this.#trusted)
      this.#proven = Math.max(0, remaining - Math.max(this.reserved, this.#counter.since(sentAt!, now)))
    else if (sentAt !== undefined) this.#proven = 0
    // A rate refills all the time, and `reset` may be the time until it is full; an empty quota stays empty.
    if (remaining <= 0 && !this.limit.paced) this.#heldUntil = now + Math.min(resetMs, this.limit.windowMs)
  }

  /** Adds `amount` to what is left. */
  refill(amount: number, now: number): void {
    this.#counter.add(-amount, now)
  }

  /** The amount that could go at once now. For a limit with a refill, what is left, which may be a debt. */
  available(now: number): number {
    const room = this.amount(now) - this.#counter.used(now)
    if (this.limit.refill) return room
    if (!this.limit.paced) return Math.max(0, room)
    this.#advance(now)
    if (this.#due > now) return 0
    return Math.max(0, Math.min(room, Math.floor((now - this.#due) * this.pace(now) + 1 + 1e-9)))
  }

  /** The provider has refused although its headers said that something was left: from now on calls are paced. */
  refused(cost: number): void {
    this.rate.refused(cost)
    this.#proven = 0
    this.#trusted = false
    this.#distrusted = true
  }

  /** Takes over from a bucket for the same limit with other numbers. */
  inherit(other: Bucket, now: number): void {
    const entries = other.dump(now)
    if (this.#counter instanceof Reservoir) this.#counter.inherit(other.#counter as Reservoir, now)
    else for (const [ageMs, amount] of entries) this.#counter.add(amount, now - ageMs)
    this.rate.inherit(other.rate)
    this.reserved = other.reserved
    this.asked = other.asked
    this.used = other.used
    this.#due = this.#sameAs(other, now) ? other.#due : this.#replay(entries, now)
    this.#seen = other.#seen
    this.#crowded = other.#crowded
    this.#proven = other.#proven
    this.#distrusted = other.#distrusted
    this.#heldUntil = other.#heldUntil
    this.#heardAt = other.#heardAt
  }

  dump(now: number): [number, number][] {
    return this.#counter.dump(now)
  }

  /** Takes over the counts of an earlier process. */
  load(entries: readonly (readonly [ageMs: number, amount: number])[], now: number): void {
    for (const [ageMs, amount] of entries) this.#counter.add(amount, now - ageMs)
    if (!this.limit.paced) return
    this.#due = Math.max(this.#due, this.#replay(entries, now))
    this.#advance(now)
  }

  /** Whether a time computed by the other bucket is right for this one too. */
  #sameAs(other: Bucket, now: number): boolean {
    const { limit } = other
    return (
      this.limit.paced === limit.paced &&
      this.limit.burst === limit.burst &&
      this.limit.windowMs === limit.windowMs &&
      this.rate.at(now) === other.rate.at(now)
    )
  }

  /** When the next ticket would be due if this limit had held from the start, by what the window holds. */
  #replay(entries: readonly (readonly [ageMs: number, amount: number])[], now: number): number {
    if (!this.limit.paced) return -Infinity
    const rate = this.rate.at(now)
    const credit = (this.limit.burst - 1) / rate
    let due = -Infinity
    for (const [ageMs, amount] of entries) due = Math.max(due, now - ageMs - credit) + amount / rate
    // The provider forgets too, so the debt is at most one window.
    return Math.min(due, now + this.limit.windowMs)
  }

  /** The cap of one window: the configured amount, or more if a higher rate was learned. */
  amount(now: number): number {
    return this.limit.amount * this.rate.widens(now)
  }

  #advance(now: number): void {
    this.#due = Math.max(this.#due, now - this.#credit(now))
    this.#seen = now
  }

  /** How far behind now the next ticket may be due. */
  #credit(now: number): number {
    const rate = this.rate.at(now)
    const burst = this.rate.tight(now) ? 1 : this.limit.burst
    if (!this.#crowded) return (burst - 1) / rate
    return Math.max(this.rate.strict ? 0 : latenessMs(1 / rate), this.#seen - this.#due)
  }
}
