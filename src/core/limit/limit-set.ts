// Several limits at once: a ticket goes at the latest of their times and reserves all of them, or none.
//
// The issuer asks a `SlotSource` when a cost may go and tells it what went. `LimitSet` computes slots from the
// limits of this process. Where processes share a limit, another source leases slots from a store and knows
// the time of those it holds; it answers `Infinity` while a lease is under way and has the issuer look again
// when the lease is there.

import { Bucket } from './gcra.ts'
import type { Cost, Used } from '../cost.ts'
import type { LimitReading, RefusalReport } from '../messages.ts'
import { Opening } from './opening.ts'
import { ASSUMED, type Limit } from './parse-limits.ts'
import { SlowStart } from './slow-start.ts'
import type { Closure } from '../rate/rate-estimator.ts'
import type { Throughput } from '../rate/throughput.ts'
import type { WallTime } from './sliding-window.ts'

/** How many places of `maxConcurrent` a call takes stands in its cost under this name, which no dimension has. */
export const PLACES = '#places'

export const placesOf = (cost: Cost): number => cost[PLACES] ?? 1

export interface SlotSource {
  /**
   * A call was refused. Where processes share the limits, `judge` is called as soon as this process knows what
   * the others met. Returns false when there is nothing to wait for.
   */
  defer(judge: () => void): boolean
  /** Whether this process may probe a closed gate now. Otherwise it asks the others for its turn. */
  claim(): boolean
  /** The earliest time from `now` on at which the cost fits; `Infinity` when only another event can tell. */
  at(cost: Cost, now: number): number
  /** How many are in flight, in all processes as far as known. */
  readonly inFlight: number
  /** The provider refused a call, which still counts here, as too many at once. */
  tooMany(): void
  /** Reserves the cost; `at` has just said that it fits. */
  take(cost: Cost, now: number): void
  /** The call that took this cost at `takenAt` has ended. */
  settle(cost: Cost, used: Used, takenAt: number, now: number): void
  /** Whether any call waits (`crowd`), and whether it waits for a rate of these limits and nothing else (`press`). */
  crowd(crowded: boolean, now: number): void
  press(pressed: boolean, now: number): void
}

export interface LimitSetOptions {
  limits: readonly Limit[]
  maxConcurrent?: number | undefined
  discover?: boolean | undefined
  /** No limit is configured: it must be learned. */
  unknown?: boolean | undefined
}

/** After this many rounds of calls without a refusal, one more at once is tried. Doubles when that was too many. */
const PATIENCE = 10
const MOST_PATIENCE = 160
/** The length of calls is the mean of the last MEASURED; the starts of up to MOST_STARTS calls are kept. */
const MEASURED = 32
const MOST_STARTS = 1000

/** Limits with the same key are the same limit, perhaps with another amount. */
export const keyOf = ({ of, said, timeZone, refill, assumed }: Limit): string =>
  `${of}/${assumed ? 'assumed' : refill ? 'refill' : (timeZone ?? said.perMs)}`

export class LimitSet implements SlotSource {
  readonly #buckets: Bucket[]
  readonly maxConcurrent: number
  /** Those that are refilled. */
  readonly reservoirs: readonly Bucket[]
  /** Places that calls in flight take: one each, unless they say otherwise. */
  inFlight = 0
  #concurrency: number
  /** Exists while no limit is known and no call was refused. */
  #opening: Opening | undefined
  readonly #search: ((before?: Throughput) => Bucket) | undefined
  #finished = 0
  #patience = PATIENCE
  #grown = false
  /** When the last calls went, in any order. */
  #starts: number[] = []
  #went = 0
  /** How long calls take, by the last ones. */
  #meanMs = 0
  #measured = 0

  constructor(
    { limits, maxConcurrent = Infinity, discover, unknown = false }: LimitSetOptions,
    ramp: SlowStart,
    wall: WallTime,
  ) {
    this.#buckets = limits.map((limit) => new Bucket(limit, ramp, wall, discover))
    this.#search = unknown
      ? (before) => new Bucket(ASSUMED, new SlowStart(false), wall, true, before)
      : undefined
    this.reservoirs = this.buckets.filter(({ limit }) => limit.refill)
    this.maxConcurrent = maxConcurrent
    this.#opening = unknown ? new Opening() : undefined
    this.#concurrency = maxConcurrent
  }

  defer(): boolean {
    return false
  }

  claim(): boolean {
    return true
  }

  get buckets(): readonly Bucket[] {
    return this.#buckets
  }

  /** The current concurrency limit: below the configured one after the provider refused more. */
  get concurrency(): number {
    return this.#concurrency
  }

  /** A call was refused where no limit was known. If there is one (`limited`), starts the search for it. */
  search(limited: boolean, now: number): boolean {
    if (!limited) this.#opening?.down(now)
    if (!this.#search || !limited || this.buckets.length > 0) return false
    const bucket = this.#search(this.#opening?.throughput)
    this.#opening = undefined
    bucket.reserved = this.inFlight
    this.#buckets.push(bucket)
    return true
  }

  /** Takes over what another budget has counted, limit by limit of the same name and length. */
  inherit(other: LimitSet, now: number): void {
    this.inFlight = other.inFlight
    this.#meanMs = other.#meanMs
    this.#measured = other.#measured
    this.#starts = other.#starts.slice(0, Math.min(this.maxConcurrent, MOST_STARTS))
    if (other.concurrency < other.maxConcurrent) {
      this.#concurrency = Math.min(this.maxConcurrent, other.concurrency)
      this.#patience = other.#patience
    }
    for (const bucket of this.buckets) {
      const before = other.buckets.find(({ limit }) => keyOf(limit) === keyOf(bucket.limit))
      if (before) bucket.inherit(before, now)
    }
    // Without configured limits, everything known was learned.
    if (!this.#search || !other.#search) return
    this.#opening = other.#opening
    this.#buckets.push(...other.#buckets)
  }

  /** Whether a call of this cost has no place. A call too heavy for the remaining places goes alone. */
  crowded(cost: Cost, now: number): boolean {
    return this.#lacksPlaces(cost) || this.opens(now)
  }

  /** Whether no limit is known, and no call may go before one of the first few is answered. */
  opens(now: number): boolean {
    return this.#opensAt(now) > now
  }

  #lacksPlaces(cost: Cost): boolean {
    const places = placesOf(cost)
    return this.inFlight + places > this.concurrency && this.inFlight > 0 && places > 0
  }

  #opensAt(now: number): number {
    return this.#opening?.at(now) ?? now
  }

  at(cost: Cost, now: number): number {
    if (this.#lacksPlaces(cost)) return Infinity
    let at = this.#opensAt(now)
    for (const bucket of this.buckets) {
      const amount = cost[bucket.limit.of]
      if (amount) at = Math.max(at, bucket.at(amount, now))
    }
    return at
  }

  take(cost: Cost, now: number): void {
    this.inFlight += placesOf(cost)
    this.#opening?.sent(now)
    if (this.maxConcurrent < Infinity)
      this.#starts[this.#went++ % Math.min(this.maxConcurrent, MOST_STARTS)] = now
    for (const bucket of this.buckets) bucket.take(cost[bucket.limit.of] ?? 0, now)
  }

  settle(cost: Cost, used: Used, takenAt: number, now: number): void {
    this.inFlight -= placesOf(cost)
    if (typeof used === 'string') this.#opening?.lost(takenAt)
    this.#landed(typeof used !== 'string', now - takenAt)
    for (const bucket of this.buckets) {
      const { of, settle } = bucket.limit
      const reserved = cost[of] ?? 0
      bucket.reserved -= reserved
      if (typeof used !== 'string') bucket.used += used?.[of] ?? reserved
      if (used === undefined) continue
      if (used === 'unsent') bucket.rate.refused(reserved)
      if (typeof used === 'string') {
        if (used === 'unsent' || of !== 'requests') bucket.amend(-reserved, takenAt, now)
      } else if (settle === 'usage' && used[of] !== undefined) bucket.amend(used[of] - reserved, takenAt, now)
    }
  }

  /** What was reserved at `takenAt` turns out to be another cost, before the call is over. */
  exchange(from: Cost, to: Cost, takenAt: number, now: number): void {
    this.inFlight += placesOf(to) - placesOf(from)
    for (const bucket of this.buckets) {
      const more = (to[bucket.limit.of] ?? 0) - (from[bucket.limit.of] ?? 0)
      bucket.reserved += more
      bucket.asked += more
      bucket.amend(more, takenAt, now)
    }
  }

  /** A call ended. If it was answered, its time counts for the mean length of calls. */
  #landed(answered: boolean, ms: number): void {
    if (answered) {
      this.#measured = Math.min(this.#measured + 1, MEASURED)
      this.#meanMs += (ms - this.#meanMs) / this.#measured
    }
    if (this.concurrency < this.maxConcurrent && ++this.#finished > this.#patience * this.concurrency) {
      this.#finished = 0
      this.#concurrency++
      this.#grown = true
    }
  }

  /** A call that was sent at `sentAt` was answered. */
  answered(sentAt: number): void {
    if (this.#opening?.answered(sentAt)) this.#opening = undefined
  }

  /** Nobody knows whether the provider accepted a call that was sent at `sentAt`. */
  lost(sentAt: number): void {
    this.#opening?.lost(sentAt)
  }

  crowd(crowded: boolean, now: number): void {
    for (const bucket of this.buckets) bucket.crowd(crowded, now)
  }

  press(pressed: boolean, now: number): void {
    this.#opening?.throughput.press(pressed, now)
    for (const bucket of this.buckets) bucket.rate.press(pressed, now)
  }

  /** The gate has closed, and no rate proves itself. */
  closed(now: number): void {
    for (const bucket of this.buckets) bucket.rate.closed(now)
  }

  /** The provider asks for a slower growth. Returns the buckets whose rate that changes. */
  ease(kind: RefusalReport['kind'], now: number): Bucket[] {
    const of = kind === 'rate' ? 'growing' : 'eased'
    const paced = this.buckets.filter(({ limit }) => limit.paced)
    for (const { rate } of paced) rate.ease(of, now)
    return paced
  }

  /** The gate is open again; refusals had named these. Returns the buckets whose rate that changes. */
  reopened(closure: Closure | undefined, blamed: ReadonlySet<Bucket>, now: number): Bucket[] {
    const changed = this.buckets.filter((bucket) =>
      bucket.rate.reopened(blamed.has(bucket) ? closure : undefined, now),
    )
    for (const bucket of changed) if (bucket.rate.strict) bucket.respace(now)
    this.resume(now)
    return changed
  }

  /** The gate has held calls back until now. */
  resume(now: number): void {
    for (const bucket of this.buckets) bucket.resume(now)
  }

  /** A call of this cost was refused, by one of these limits or because the provider is busy. */
  refused(cost: Cost, { kind, of }: Pick<RefusalReport, 'kind' | 'of'>): void {
    for (const bucket of this.named(of)) {
      const amount = cost[bucket.limit.of] ?? 0
      if (kind === 'rate') bucket.refused(amount)
      else bucket.rate.refused(amount)
    }
  }

  /** The provider refused for too many calls in flight: allows one fewer, and for longer if one more was just tried. */
  tooMany(): void {
    this.#patience = this.#grown ? Math.min(2 * this.#patience, MOST_PATIENCE) : PATIENCE
    this.#grown = false
    this.#opening = undefined
    this.#concurrency = Math.max(1, Math.min(this.concurrency, this.inFlight) - 1)
    this.#finished = 0
  }

  /** Whether the reading concerns one of these limits: one with this window, or else a longer one that it bounds. */
  knows(reading: LimitReading): boolean {
    return this.buckets.some((bucket) => this.#means(bucket, reading))
  }

  #means({ limit: { of, said, paced } }: Bucket, reading: LimitReading): boolean {
    if (of !== reading.of || reading.perMs === undefined) return false
    if (said.perMs === reading.perMs) return true
    return (
      paced &&
      said.perMs > reading.perMs &&
      !this.buckets.some(({ limit }) => limit.of === of && limit.said.perMs === reading.perMs)
    )
  }

  /** Headers name a limit, or what is left of it. Returns the buckets whose rate that changes. */
  told(reading: LimitReading, eager: boolean, sentAt: number, now: number): Bucket[] {
    const { perMs, limit, remaining, resetMs = Infinity } = reading
    const changed: Bucket[] = []
    for (const bucket of this.buckets) {
      if (!this.#means(bucket, reading) || !bucket.hears(sentAt)) continue
      const { rate, limit: ours } = bucket
      // A limit of a shorter window bounds ours by as much as fits into it; what is left of it says nothing about ours.
      const amount = (limit ?? 0) * (ours.said.perMs / perMs!)
      if (amount > 0 && ours.paced && rate.told((rate.configured * amount) / ours.said.amount))
        changed.push(bucket)
      if (remaining !== undefined && ours.said.perMs === perMs)
        bucket.told(remaining, resetMs, eager ? sentAt : undefined, now)
    }
    return changed
  }

  /** About when a cost would fit, from `from` on and behind `calls` others, which take `ahead` in all. */
  forecast(cost: Cost, ahead: Cost, calls: number, from: number, now: number): number {
    let at = this.#slotAt(calls, from, now)
    for (const bucket of this.buckets) {
      const { of, assumed } = bucket.limit
      // How fast a search goes is no promise.
      if (!assumed) at = Math.max(at, bucket.forecast(cost[of] ?? 0, ahead[of] ?? 0, from, now))
    }
    return at
  }

  /** When `calls` others have gone and one more may be in flight, if calls take as long as before. */
  #slotAt(calls: number, from: number, now: number): number {
    const most = this.concurrency
    const ends = this.inFlight + calls + 1 - most
    if (ends <= 0) return from
    // Those in flight are about the last that went.
    const starts = [...this.#starts].sort((a, b) => a - b).slice(-Math.max(1, this.inFlight))
    const meanMs = this.#measured > 0 ? this.#meanMs : now - (starts[0] ?? now)
    const rounds = Math.floor((ends - 1) / most)
    const first = starts[Math.min((ends - 1) % most, starts.length - 1)] ?? now
    return Math.max(from, Math.max(now, first + meanMs) + rounds * meanMs)
  }

  /** The limit that holds this cost for the longest time. */
  holding(cost: Cost, now: number): Bucket | undefined {
    let [found, latest] = [undefined as Bucket | undefined, now]
    for (const bucket of this.buckets) {
      const at = bucket.at(cost[bucket.limit.of] ?? 0, now)
      if (at > latest) [found, latest] = [bucket, at]
    }
    return found
  }

  /** The limit that can never hold this cost. */
  tooSmallFor(cost: Cost): Limit | undefined {
    const bounds = ({ limit }: Bucket) => !limit.refill && !limit.assumed
    return this.buckets.find((bucket) => bounds(bucket) && (cost[bucket.limit.of] ?? 0) > bucket.limit.amount)
      ?.limit
  }

  /** The share of the limits that a cost takes: the length of its turn. */
  share(cost: Cost): number {
    let most = 0
    for (const { limit } of this.buckets) most = Math.max(most, (cost[limit.of] ?? 0) / (limit.amount || 1))
    return most || 1e-6
  }

  /** The buckets that a refusal or a header concerns: of this dimension, else of requests, else all. */
  named(of: string | undefined): readonly Bucket[] {
    for (const name of [of, 'requests']) {
      const found = this.buckets.filter(({ limit }) => limit.of === name && limit.paced)
      if (found.length > 0) return found
    }
    return this.buckets
  }
}
