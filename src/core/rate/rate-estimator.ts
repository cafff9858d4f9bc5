// Learns the provider's real rate.
//
// The stated limit may be wrong, or may change. The throughput shows the real one (see throughput.ts). A refusal cuts
// the rate to that throughput; rate-curve.ts describes how the rate continues from there.
//
// A refusal during the climb confirms R, which is held again; a refusal during the hold lowers R a little. Only time
// in which a call waits and the gate is open counts as proof. Headers that name the limit need no search.

import {
  climbsAfter,
  DIP,
  followed,
  type CurvePoint,
  HABITS,
  type CurveKind,
  type StoodPoint,
} from './rate-curve.ts'
import { MINUTE } from '../../lib/units.ts'
import { Throughput, type ThroughputMark } from './throughput.ts'

/** What is known about the gate's last closure. */
export interface Closure {
  /** The provider's windows end at a known second of the minute. */
  edge: boolean
  /** The provider said how long to wait. */
  told: boolean
  /** How long it certainly refused, or said that it would refuse. */
  refusedMs: number
}

/** A rate that is refused during its hold is multiplied by this. */
const BACK = 0.97
/** A provider that refuses at random would drive the rate to zero: it never falls below this share of the stated. */
const LEAST = 0.05
/** The same for a limit on growth, which may begin low: the rate doubles soon. */
const LEAST_GROWING = 0.01
/** Two found rates whose ratio is at most this are the same rate. */
const SAME = 1.05
/** The rate at which a climb was refused is too high; this share of it is used. */
const NEAR = 0.95
/** A fast provider is measured over SPAN units, or over cycles of at most CYCLE units; a slow one over its minute. */
const SPAN = 5
const CYCLE = 30
/** The shortest cycle that is measured, for fast and for slow providers. */
const LEAST_FAST_MS = 1000
const LEAST_SLOW_MS = 30_000
/** A closure longer than LONG units marks a slow provider; SLOW_MEMORY shorter closures in a row clear the mark. */
const LONG = 2
const SLOW_MEMORY = 6
/** If less than this share of the rate gets through, it may only mean that traffic grew too fast. */
const FAR = 0.4
/** Traffic still grows if the throughput is this many times what it was. */
const GROWN = 1.25
/** A limit that refuses more climbs than this in a row does not grow. */
const MOST_CLIMBS = 5
/** The time unit does not grow further for rates below this share of the stated one. */
const UNLIKELY = 1 / 4
/** How fast an unknown rate doubles while nothing is refused. */
const EXPLORE_MS = 10_000
/** The same, where not even a guess was configured. */
const GROPE_MS = 2000
/** While the rate doubles this fast, the throughput lags behind: a search never ends below this share of its rate. */
const GROWN_TO: Partial<Record<CurveKind, number>> = { fast: 0.75 }
/** A limit that refuses although it was kept is enforced by the second: pacing for W + J instead of W = 1 s. */
const TRIM = 1000 / 1050
/** A stated rate is kept if more than this share of it gets through. */
const KEPT = 0.8
/** A strict limiter that is exceeded a little refuses many calls, since it refuses each one that comes too early. */
const STRICT = 0.6
/** A limiter is strict if it refuses again within this many tickets. So few tickets are too few to measure a rate. */
const FEW_TICKETS = 10
/** For so long a stated rate is trimmed. */
const TRIM_MS = 3_600_000

/** A learned rate as another process receives it. Without an age, the provider stated it. */
export interface Learned {
  /** The current rate, in units per ms. */
  rate: number
  /** How long ago it was learned, in ms. */
  ageMs?: number
  /** How many climbs from it were refused in a row. */
  confirmed?: number
  /** The kind of provider it was learned from. */
  of?: CurveKind
  /** Whether calls were refused although the limit was kept, so bursts are off. */
  trimmed?: boolean
  /** The confirmed rate from before a climb. */
  before?: Learned
  /** The rate before a cut that may have been unnecessary. */
  tested?: Learned & { heldMs: number }
}

/** The rate from the configuration or from headers. It is trimmed if calls were refused although it was kept. */
type StatedRate = ({ kind: 'configured' } | { kind: 'told'; rate: number }) & { trimmedAt?: number }

type RateState =
  | StatedRate
  /** Nothing is known and any rate is allowed (`discover`): it doubles until the first refusal, like TCP slow start. */
  | { kind: 'exploring'; rate: number; since: number }
  | CurvePoint

const stoodOf = ({ kind, rate, since, confirmed, of, unit }: StoodPoint): StoodPoint => ({
  ...{ kind, rate, since, confirmed, of, unit },
})

export class RateEstimator {
  /** Units per ms, as configured. */
  readonly configured: number
  readonly #discover: boolean
  readonly #exploreMs: number
  readonly #measure: Throughput
  #state: RateState = { kind: 'configured' }
  /** The last rate stated by the user or by a header. */
  #said: number
  /** Time in which a call waited and the gate was open. `since` in the states is measured on this clock. */
  #proofMs = 0
  #provesSince = NaN
  #closedAt = Infinity
  /** How many short closures it takes until a long one is forgotten. */
  #slowness = 0
  /** Where the throughput measurement began, at the first refusal that may be chance. */
  #doubted: ThroughputMark | undefined
  /** The state before a cut that may have been unnecessary, and how long it had been held. */
  #tested: { before: RateState; heldMs: number; now: RateState } | undefined
  #strict = false
  /** The provider also refuses by chance, which hides the effect of small steps. */
  #noisy = false

  /** Whether it may learn a rate above the configured one (`discover`), and whether even that is only assumed. */
  constructor(configured: number, discover = false, assumed = false, before = new Throughput()) {
    this.#measure = before
    this.configured = this.#said = configured
    this.#discover = discover || assumed
    this.#exploreMs = assumed ? GROPE_MS : EXPLORE_MS
  }

  /** Refused again right after the gate reopened, or in a search: the provider may give no credit for idle time. */
  get strict(): boolean {
    return this.#strict
  }

  get learned(): boolean {
    const state = this.#state
    return state.kind !== 'configured' || state.trimmedAt !== undefined
  }

  /** What was learned, as plain data for other processes, with times as ages. */
  share(now: number): Learned | undefined {
    if (!this.learned) return undefined
    const tested = this.#tested?.now === this.#state ? this.#tested : undefined
    return {
      ...this.#plain(this.#state, now),
      ...(tested && { tested: { ...this.#plain(tested.before, now), heldMs: tested.heldMs } }),
    }
  }

  #plain(state: RateState, now: number): Learned {
    if (state.kind === 'exploring') return { rate: this.#base(state, now) }
    if (state.kind !== 'found')
      return { rate: this.#base(state, now), trimmed: state.trimmedAt !== undefined }
    const { rate, confirmed, of, before } = state
    const ageMs = this.#proof(now) - state.since
    return { rate, confirmed, of, ageMs, ...(before && { before: this.#plain(before, now) }) }
  }

  /** Adopts what another process, or an earlier one, learned about the same limit. */
  adopt(learned: Learned | undefined, now: number): void {
    if (!learned) this.#state = this.#asSaid()
    else {
      if (learned.ageMs === undefined) this.told(learned.rate)
      this.#state = this.#stateOf(learned, now)
      const { tested } = learned
      if (tested)
        this.#tested = { before: this.#stateOf(tested, now), heldMs: tested.heldMs, now: this.#state }
    }
  }

  #stateOf({ rate, ageMs, trimmed, confirmed = 0, of = 'fast', before }: Learned, now: number): RateState {
    if (ageMs !== undefined) {
      const found = this.#pointOf(rate, confirmed, of, now)
      found.since -= ageMs
      const stood = before && this.#stateOf(before, now)
      return stood?.kind === 'found' ? { ...found, before: stood } : found
    }
    return { ...this.#asSaid(), ...(trimmed && { trimmedAt: this.#proof(now) }) }
  }

  /** Refusals have shown that there is no room to spare for bursts. */
  tight(now: number): boolean {
    const state = this.#stateAt(now)
    return state.kind === 'found' || (state.kind !== 'exploring' && state.trimmedAt !== undefined)
  }

  /** Whether the current rate is still being tried, so that refusals must be expected. */
  tried(now: number): boolean {
    const state = this.#stateAt(now)
    if (state.kind !== 'found') return state.kind === 'exploring'
    return state.before !== undefined || this.#proof(now) - state.since >= climbsAfter(state)
  }

  /** A call was refused, perhaps by chance: starts to measure the throughput. */
  doubted(now: number): void {
    this.#doubted = this.#measure.here(now)
  }

  /** The throughput since `doubted`, in units per ms. */
  passes(now: number): number | undefined {
    return this.#doubted && this.#measure.since(this.#doubted, now)
  }

  /** More is refused than by chance: cuts the rate to the throughput. Returns whether the cut is a real test. */
  exceeded(now: number): boolean {
    const at = this.at(now)
    const rate = Math.min(this.passes(now) ?? Infinity, at)
    const of = this.#slowness === 0 ? 'fast' : 'slow'
    const before = (this.#state = this.#stateAt(now))
    const heldMs = this.#proof(now) - ('since' in before ? before.since : 0)
    const tested = this.#tested?.now === before ? this.#tested : { before, heldMs }
    const trimmed = of === 'fast' && !this.#noisy && rate > STRICT * at && this.#trims(before, now)
    if (!trimmed) this.#cut(before, at, rate, of, now)
    this.#tested = { ...tested, now: this.#state }
    return !trimmed && this.at(now) < BACK * at
  }

  /** Cuts the rate to `rate`, the throughput. */
  #cut(before: RateState, at: number, rate: number, of: CurveKind, now: number): void {
    if (before.kind === 'found' && (before.rate <= rate || before.of === 'growing')) {
      this.#refind(before, at, rate, of, now)
      return
    }
    const last = before.kind === 'found' ? before.before : undefined
    // The rate from before the climb is confirmed.
    if (last && rate <= SAME * last.rate) this.#found(last.rate, last.confirmed + 1, of, now)
    else this.#found(BACK * rate, 0, of, now)
  }

  /** Trims a stated rate. Returns whether it did. */
  #trims(state: RateState, now: number): boolean {
    if (state.kind === 'found' || state.kind === 'exploring' || state.trimmedAt !== undefined) return false
    this.#state = { ...state, trimmedAt: this.#proof(now) }
    return true
  }

  /** The cut did not help: restores the earlier rate. Returns whether that changes the rate. */
  cleared(now: number): boolean {
    const tested = this.#tested
    if (tested?.now !== this.#state) return false
    const { before, heldMs } = tested
    this.#noisy = true
    this.#state = 'since' in before ? { ...before, since: this.#proof(now) - heldMs } : before
    return true
  }

  inherit(other: RateEstimator): void {
    const said = other.#said === other.configured ? this.configured : other.#said
    this.#said = this.#discover ? said : Math.min(this.configured, said)
    const before = other.#state
    // The new limit bounds a stated rate; a learned rate stays until refusals disprove it.
    if (before.kind === 'found' || before.kind === 'exploring') this.#state = before
    else
      this.#state = {
        ...this.#asSaid(),
        ...(before.trimmedAt !== undefined && { trimmedAt: before.trimmedAt }),
      }
    this.#proofMs = other.#proofMs
    this.#provesSince = other.#provesSince
    this.#closedAt = other.#closedAt
    this.#slowness = other.#slowness
  }

  /** Units per ms at `now`. */
  at(now: number): number {
    const state = this.#stateAt(now)
    if (state.kind === 'found') return followed(state, this.#proof(now) - state.since)
    const rate = this.#base(state, now)
    return state.kind === 'exploring' || state.trimmedAt === undefined ? rate : rate * TRIM
  }

  /** The state without what has expired. */
  #stateAt(now: number): RateState {
    const state = this.#state
    const proof = this.#proof(now)
    if (state.kind === 'exploring') return state
    if (state.kind !== 'found')
      return proof - (state.trimmedAt ?? Infinity) >= TRIM_MS ? this.#asSaid() : state
    const climbed = !this.#discover && followed(state, proof - state.since) >= this.#said
    return climbed ? this.#asSaid() : state
  }

  /** By what factor a window may exceed the configured amount. A learned pace never makes it smaller. */
  widens(now: number): number {
    // Headers lower the pace, not the cap: a lower cap would stop all calls until the last minute's log had drained.
    return Math.max(1, this.#untrimmed(now) / this.configured || 1)
  }

  #untrimmed(now: number): number {
    const state = this.#stateAt(now)
    return state.kind === 'found' ? this.at(now) : this.#base(state, now)
  }

  /** The stated rate, or how far an unknown rate has grown. */
  #base(state: Exclude<RateState, CurvePoint>, now: number): number {
    if (state.kind === 'exploring')
      return state.rate * 2 ** ((this.#proof(now) - state.since) / this.#exploreMs)
    return state.kind === 'told' ? state.rate : this.configured
  }

  sent(amount: number, now: number, tickets = 1): void {
    this.#measure.sent(amount, now, tickets)
  }

  refused(amount: number): void {
    this.#measure.refused(amount)
  }

  /** Whether a call waits for this limit, and for no other limit of ours. */
  press(pressed: boolean, now: number): void {
    this.#measure.press(pressed, now)
    this.#prove(now)
    if (pressed && this.#discover && !this.learned)
      this.#state = { kind: 'exploring', rate: this.configured, since: this.#proof(now) }
  }

  /** The gate has closed. */
  closed(now: number): void {
    this.#closedAt = now
    this.#prove(now)
  }

  /** The gate reopened; `closure` is given if this limit had closed it. Returns whether that changed the rate. */
  reopened(closure: Closure | undefined, now: number): boolean {
    const rate = this.at(now)
    const measured = closure && this.#measured(rate, closure, now)
    const outage = closure !== undefined && this.#isOutage(closure, now)
    this.#measure.reopened(Math.max(0, now - this.#closedAt), now)
    this.#closedAt = Infinity
    this.#prove(now)
    if (!closure || outage) return false
    const state = (this.#state = this.#stateAt(now))
    const of: CurveKind = this.#slowness === 0 ? 'fast' : 'slow'
    if (state.kind === 'exploring') return measured !== undefined && this.#searched(rate, measured, of, now)
    if (state.kind === 'found') {
      if (measured) this.#refind(state, rate, measured, of, now)
      return measured !== undefined
    }
    if (of === 'fast' && this.#keeps(rate, now) && this.#trims(state, now)) return true
    if (!measured || measured >= rate) return false
    const grows = of !== 'fast' && measured < FAR * rate
    this.#found(measured, 0, grows ? 'growing' : of, now)
    return true
  }

  /** A search was refused. It goes on if more got through before it began, unless the provider counts by the minute. */
  #searched(rate: number, measured: number, of: CurveKind, now: number): boolean {
    if (measured > rate && of === 'fast') return false
    const least = measured > rate ? 0 : rate * (GROWN_TO[of] ?? 0)
    this.#found(Math.max(measured, least), 0, of, now)
    return true
  }

  /** A healthy provider asks for slower growth: returns to the throughput of the last minute. */
  ease(of: 'eased' | 'growing', now: number): void {
    const rate = this.at(now)
    const confirmed = of === 'eased' ? 1 : 0
    this.#found(Math.min(this.#measure.over(MINUTE, 0, now) ?? rate / 2, rate), confirmed, of, now)
  }

  /** A limit per minute refuses only for the rest of a minute that accepted calls. A longer refusal is an outage. */
  #isOutage({ told, refusedMs }: Closure, now: number): boolean {
    const acceptedMs = this.#measure.sinceReopenedMs(Math.min(now, this.#closedAt))
    return !told && refusedMs > MINUTE - Math.min(MINUTE, acceptedMs) / 2
  }

  #prove(now: number): void {
    const proof = this.#proof(now)
    this.#proofMs = proof
    this.#provesSince = this.#measure.pressed && this.#closedAt === Infinity ? now : NaN
  }

  #proof(now: number): number {
    return this.#provesSince >= 0 ? this.#proofMs + now - this.#provesSince : this.#proofMs
  }

  #measured(rate: number, { told, edge, refusedMs }: Closure, now: number): number | undefined {
    const unit = this.#unit('fast', rate)
    const ms = Math.max(0, now - this.#closedAt)
    this.#slowness = edge || refusedMs > LONG * unit ? SLOW_MEMORY : Math.max(0, this.#slowness - 1)
    const measure = this.#measure
    const fast = this.#slowness === 0
    // No call was tried during a told wait, which may have been too long.
    const minute = told ? Math.max(MINUTE, 2 * ms) : MINUTE
    const spanMs = fast ? SPAN * unit : minute
    const cycle = fast
      ? measure.cycle(CYCLE * unit, LEAST_FAST_MS, ms, now)
      : measure.cycle(spanMs, LEAST_SLOW_MS, undefined, now)
    // Whatever a new client got through in its first minute is the limit of a minute, however quickly it went.
    const leastMs = fast || this.#state.kind !== 'exploring' ? 0 : minute
    const about = cycle ?? measure.over(spanMs, fast ? ms : 0, now, leastMs)
    if (!about || about < 0) return undefined
    // Refused at once: the closed time earned no credit, so it must not count.
    const few = fast && measure.sinceReopened <= FEW_TICKETS
    this.#strict = this.#state.kind === 'exploring' || (few && this.#state.kind !== 'found')
    return fast || told ? Math.max(about, rate / 2) : about
  }

  /** Refused again. On the climb, the earlier rate was right; during the hold, it is a little too high. */
  #refind(before: CurvePoint, reached: number, measured: number, of: CurveKind, now: number): void {
    const { rate, confirmed } = before
    if (before.of === 'growing') {
      this.#regrow(before, Math.min(measured, reached), of, now)
      return
    }
    const heldMs = this.#proof(now) - before.since
    if (heldMs > climbsAfter(before)) {
      const seen = confirmed > 1 ? 0 : of === 'fast' ? NEAR * measured : measured
      const next = Math.min(Math.max(seen, rate), reached)
      if (next <= SAME * rate) this.#found(next, confirmed + 1, of, now)
      // So much more got through that the limit itself seems to grow.
      else this.#found(next, 0, of === 'slow' && next > GROWN * rate ? 'growing' : of, now, before)
      return
    }
    const stood = heldMs > DIP * before.unit
    const last = before.before
    // The gain of the climb was spent at once: it was saved credit of a bucket, not a rate.
    if (last && of === 'fast' && measured <= SAME * last.rate) {
      this.#found(last.rate, last.confirmed + 1, of, now)
      return
    }
    const least = stood || of !== 'fast' ? HABITS[of].keeps * rate : 0
    const next = Math.max(least, Math.min(measured, BACK * rate))
    this.#found(next, stood ? confirmed : 0, of, now, stood ? undefined : last)
  }

  /** Refused while it grew: grows more slowly, unless the limit did not grow at all. */
  #regrow({ rate, confirmed }: CurvePoint, next: number, of: CurveKind, now: number): void {
    const grows = confirmed < MOST_CLIMBS && (next > GROWN * rate || this.#slowness < SLOW_MEMORY)
    this.#found(next, grows ? confirmed + 1 : 0, grows ? 'growing' : of, now)
  }

  /** Whether the recent throughput is close to the allowed rate in spite of refusals. */
  #keeps(rate: number, now: number): boolean {
    return (this.#measure.over(CYCLE * this.#unit('fast', rate), 0, now) ?? 0) > KEPT * rate
  }

  /** The provider names its limit. True when that changes the rate. */
  told(rate: number): boolean {
    const said = this.#discover ? rate : Math.min(rate, this.configured)
    // A repeated statement is no news: later refusals may have shown a lower limit.
    if (this.#state.kind !== 'exploring' && Math.abs(this.#said - said) < 1e-12) return false
    this.#said = said
    this.#state = this.#asSaid()
    return true
  }

  #asSaid(): StatedRate {
    return this.#said === this.configured ? { kind: 'configured' } : { kind: 'told', rate: this.#said }
  }

  #found(found: number, confirmed: number, of: CurveKind, now: number, before?: StoodPoint): void {
    this.#state = { ...this.#pointOf(found, confirmed, of, now), ...(before && { before: stoodOf(before) }) }
  }

  #pointOf(found: number, confirmed: number, of: CurveKind, now: number): CurvePoint {
    const rate = Math.max(found, this.#said * (of === 'growing' ? LEAST_GROWING : LEAST))
    return { kind: 'found', rate, since: this.#proof(now), confirmed, of, unit: this.#unit(of, rate) }
  }

  #unit(of: CurveKind, rate: number): number {
    return Math.max(1000, (HABITS[of].tickets * this.#measure.size) / Math.max(rate, this.#said * UNLIKELY))
  }
}
