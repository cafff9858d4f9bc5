// What the provider's real rate is, learned.
//
// A limit may be told wrong, or change. What it really is shows in what gets through (see throughput.ts). Refused, the
// rate is cut to that; how it goes on from there is in rate-curve.ts.
//
// Refused on the climb, R has stood and is held again; refused while it held, it is lowered a little. Only the
// time proves anything in which somebody waits and the gate is open. Headers that name the limit need no search.

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

/** What is known of the gate's last closure. */
export interface Closure {
  /** The provider's windows end at a known second of the minute. */
  edge: boolean
  /** One refusal has closed it, and not a good part of all calls. */
  single: boolean
  /** Not the first refusal lately: more than bad luck. */
  repeated: boolean
  /** The provider has told for how long. */
  told: boolean
  /** For so long it has refused for sure, or told that it would. */
  refusedMs: number
}

/** Refused while it held, a rate is lowered to so much of itself. */
const BACK = 0.97
/** Who refuses at random would drive the rate to nothing: never below so much of what was said. */
const LEAST = 0.05
/** What passed between refusals is the rate, to within about so much. */
const SHY = 0.985
/** CurvePoint again, within this. */
const SAME = 1.05
/** What a climb had reached when it was refused is so much too high. */
const NEAR = 0.95
/** A fast provider is measured over so many units, or cycles of up to so many; a slow one over its minute. */
const SPAN = 5
const CYCLE = 30
/** A cycle is at least so long. */
const LEAST_FAST_MS = 1000
const LEAST_SLOW_MS = 30_000
/** Closed for longer than so many units: a slow provider; and how many short closures make that forgotten. */
const LONG = 2
const SLOW_MEMORY = 6
/** Refused at so little of its rate, so soon after a quiet minute: it may be that the client has only grown too fast. */
const FAR = 0.4
const WARM_MS = 120_000
/** It grows if so much more gets through than before. */
const GROWN = 1.25
/** Less than so much of what was said is not taken for so slow a limit that it must be asked seldom. */
const UNLIKELY = 1 / 4
/** How fast an unknown rate doubles while nothing is refused. */
const EXPLORE_MS = 10_000
/** The same, where not even a guess was configured. */
const GROPE_MS = 2000
/** Doubling so fast, a rate is above what was measured on the way to it. */
const GROWN_TO: Partial<Record<CurveKind, number>> = { fast: 0.75 }
/**
 * Refused although it was kept, a minute's limit is enforced within a shorter window W: so much less is (W + J) for
 * each W's share. First windows of 10 s are suspected, then those of a second.
 */
const TRIMS = [1, 10_000 / 10_050, 1000 / 1050]
/** A strict limiter that is exceeded a little refuses a good part, as each call that comes too early was in vain. */
const STRICT = 0.6
/** It refuses again when so few have gone: they do not tell a rate, so that is halved at most. */
const FEW_TICKETS = 10
const TRIM_MS = 3_600_000

/** A learned rate on its way to another process; without an age it was told by the provider. */
export interface Learned {
  /** The rate that is followed, in units per ms. */
  rate: number
  /** How long ago it was learned, in ms. */
  ageMs?: number
  /** How many refusals in a row have confirmed it: the more, the later a higher one is tried. */
  confirmed?: number
  /** What taught it. */
  of?: CurveKind
  /** Whether bursts are left out, since it was refused although it was kept; as a number: how much the rate is lowered for it. */
  trimmed?: boolean | number
  /** What had stood before a climb. */
  before?: Learned
  /** What was followed before a cut that may have been needless. */
  tested?: Learned & { heldMs: number }
}

interface MeasuredRate {
  rate: number
  /** From one reopening to another. */
  exact: boolean
}

/** As configured or as headers say; trimmed since then, when it was refused although it was kept. */
type StatedRate = ({ kind: 'configured' } | { kind: 'told'; rate: number }) & { trim?: Trim }

interface Trim {
  /** An index of `TRIMS`. */
  step: number
  at: number
}

type RateState =
  | StatedRate
  /** Nothing is known yet, and anything allowed (`discover`): doubles until the first refusal, as TCP slow start. */
  | { kind: 'exploring'; rate: number; since: number }
  | CurvePoint

const stoodOf = ({ kind, rate, since, confirmed, of, unit }: StoodPoint): StoodPoint => ({
  ...{ kind, rate, since, confirmed, of, unit },
})

export class RateEstimator {
  /** Units per ms, as configured. */
  readonly configured: number
  /** Refused again at once when the gate had reopened, or in a search: the provider may save nothing up. */
  strict = false
  readonly #discover: boolean
  readonly #exploreMs: number
  readonly #measure: Throughput
  #state: RateState = { kind: 'configured' }
  /** What the user or a header said last. */
  #said: number
  /** The time in which a rate proves itself: somebody waits, and the gate is open. `since` in states is of it. */
  #proofMs = 0
  #provesSince = NaN
  #closedAt = Infinity
  /** How many short closures until a long one is forgotten. */
  #slowness = 0
  /** What was before a cut that may have been needless, and since when it had been held. */
  #doubted: ThroughputMark | undefined
  #tested: { before: RateState; heldMs: number; now: RateState } | undefined
  /** Chance refuses, too: small steps cannot be told from it. */
  #noisy = false

  /** Whether it may learn a rate above the configured one (`discover`), and whether even that is only assumed. */
  constructor(configured: number, discover = false, assumed = false, before = new Throughput()) {
    this.#measure = before
    this.configured = this.#said = configured
    this.#discover = discover || assumed
    this.#exploreMs = assumed ? GROPE_MS : EXPLORE_MS
  }

  get learned(): boolean {
    const state = this.#state
    return state.kind !== 'configured' || state.trim !== undefined
  }

  /** What was learned, for other processes: plain, with times as ages. */
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
    if (state.kind !== 'found') return { rate: this.#base(state, now), trimmed: state.trim?.step ?? 0 }
    const { rate, confirmed, of, before } = state
    const ageMs = this.#proof(now) - state.since
    return { rate, confirmed, of, ageMs, ...(before && { before: this.#plain(before, now) }) }
  }

  /** What another process, or an earlier one, has learned of the same limit. */
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
    const step = trimmed === true ? TRIMS.length - 1 : Number(trimmed)
    return { ...this.#asSaid(), ...(step > 0 && { trim: { step, at: this.#proof(now) } }) }
  }

  /** Refusals have shown that there is no room to spare for bursts. */
  tight(now: number): boolean {
    const state = this.#stateAt(now)
    return state.kind === 'found' || (state.kind !== 'exploring' && state.trim !== undefined)
  }

  /** The rate that is followed now has not been allowed for long: refusals have to be expected. */
  tried(now: number): boolean {
    const state = this.#stateAt(now)
    return state.kind === 'found'
      ? state.before !== undefined || this.#proof(now) - state.since >= climbsAfter(state)
      : state.kind === 'exploring'
  }

  /** Somebody was refused, and it may be chance: from here on it is measured what gets through. */
  doubted(now: number): void {
    this.#doubted = this.#measure.here(now)
  }

  /** What has got through since then. */
  passes(now: number): number | undefined {
    return this.#doubted && this.#measure.since(this.#doubted, now)
  }

  /** More is refused than by chance. What gets through is the rate. Returns whether that is a cut that must help. */
  exceeded(now: number): boolean {
    const at = this.at(now)
    const rate = Math.min(this.passes(now) ?? Infinity, at)
    const of = this.#slowness === 0 ? 'fast' : 'slow'
    const before = (this.#state = this.#stateAt(now))
    const heldMs = this.#proof(now) - ('since' in before ? before.since : 0)
    const tested = this.#tested?.now === before ? this.#tested : { before, heldMs }
    const trimmed = of === 'fast' && !this.#noisy && this.#trims(before, rate, now)
    if (!trimmed) this.#cut(before, at, rate, of, now)
    this.#tested = { ...tested, now: this.#state }
    return !trimmed && this.at(now) < BACK * at
  }

  /** More is refused than by chance, and this is what gets through. */
  #cut(before: RateState, at: number, rate: number, of: CurveKind, now: number): void {
    if (before.kind === 'found' && before.rate <= rate) {
      this.#refind(before, at, { rate, exact: true }, of, now)
      return
    }
    const last = before.kind === 'found' ? before.before : undefined
    // What had stood before the climb stands.
    if (last && rate <= SAME * last.rate)
      this.#found(Math.max(last.rate, SHY * rate), last.confirmed + 1, of, now)
    else this.#found(BACK * rate, 0, of, now)
  }

  /** Takes the next trim of a stated rate, if there is one, and enough gets through. */
  #trims(state: RateState, passes: number, now: number): boolean {
    if (state.kind === 'found' || state.kind === 'exploring') return false
    const step = (state.trim?.step ?? 0) + 1
    if (step >= TRIMS.length || passes <= STRICT * this.#base(state, now)) return false
    this.#state = { ...state, trim: { step, at: this.#proof(now) } }
    return true
  }

  /** The cut has not helped: back to what was before. Returns whether that changes the rate. */
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
    // What was told is bounded by the new limit; what was found out stands until refusals say otherwise.
    if (before.kind === 'found' || before.kind === 'exploring') this.#state = before
    else
      this.#state = {
        ...this.#asSaid(),
        ...(before.trim && { trim: before.trim }),
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
    return state.kind === 'exploring' ? rate : rate * TRIMS[state.trim?.step ?? 0]!
  }

  /** What was learned and still holds. */
  #stateAt(now: number): RateState {
    const state = this.#state
    const proof = this.#proof(now)
    if (state.kind === 'exploring') return state
    if (state.kind !== 'found') return state.trim && proof - state.trim.at >= TRIM_MS ? this.#asSaid() : state
    const climbed = !this.#discover && followed(state, proof - state.since) >= this.#said
    return climbed ? this.#asSaid() : state
  }

  /** How many times as much as configured a window may hold: what was learned of the pace takes nothing from it. */
  widens(now: number): number {
    // What headers tell narrows the pace, not the cap: else nothing goes until the last minute's log has drained.
    return Math.max(1, this.#untrimmed(now) / this.configured || 1)
  }

  #untrimmed(now: number): number {
    const state = this.#stateAt(now)
    return state.kind === 'found' ? this.at(now) : this.#base(state, now)
  }

  /** What the user or a header says, or how far an unknown rate has grown. */
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

  /** Whether somebody waits for this limit, and for nothing else of ours. */
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

  /** The gate is open again, which this limit had closed, or not (`undefined`). True when that changed the rate. */
  reopened(closure: Closure | undefined, now: number): boolean {
    const rate = this.at(now)
    const measured = closure && this.#measured(rate, closure, now)
    const outage = closure !== undefined && this.#isOutage(closure, now)
    const passed = this.passes(Math.min(now, this.#closedAt))
    this.#measure.reopened(Math.max(0, now - this.#closedAt), now)
    this.#closedAt = Infinity
    this.#prove(now)
    if (!closure || outage) return false
    const state = (this.#state = this.#stateAt(now))
    const of: CurveKind = this.#slowness === 0 ? 'fast' : closure.edge ? 'window' : 'slow'
    if (state.kind === 'exploring')
      return measured !== undefined && this.#searched(rate, measured.rate, of, now)
    if (state.kind === 'found') {
      if (measured) this.#refind(state, rate, measured, of, now)
      return measured !== undefined
    }
    if (!closure.repeated) return false
    // Closed again within a second after a trim: the trim was too small.
    const through = closure.single ? this.#kept(rate, now) : (passed ?? (state.trim && measured?.rate))
    if (of === 'fast' && this.#trims(state, through ?? 0, now)) return true
    if (!measured || measured.rate >= rate) return false
    const grows = of !== 'fast' && measured.rate < FAR * rate && this.#measure.busyMs(now) < WARM_MS
    this.#found(measured.rate, 0, grows ? 'growing' : of, now)
    return true
  }

  /** A search was refused. It goes on if more got through before it began, unless that is what a minute holds. */
  #searched(rate: number, measured: number, of: CurveKind, now: number): boolean {
    if (measured > rate && of === 'fast') return false
    const least = measured > rate ? 0 : rate * (GROWN_TO[of] ?? 0)
    this.#found(Math.max(measured, least), 0, of, now)
    return true
  }

  /** The provider is well, and asks for a slower growth: back to what got through in the last minute. */
  ease(of: 'eased' | 'growing', now: number): void {
    const rate = this.at(now)
    const confirmed = of === 'eased' ? 1 : 0
    this.#found(Math.min(this.#measure.over(MINUTE, 0, now) ?? rate / 2, rate), confirmed, of, now)
  }

  /** What counts by the minute refuses for the rest of a minute in which it has accepted at least half of what it did. */
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

  #measured(rate: number, { told, refusedMs }: Closure, now: number): MeasuredRate | undefined {
    const unit = this.#unit('fast', rate)
    const ms = Math.max(0, now - this.#closedAt)
    this.#slowness = refusedMs > LONG * unit ? SLOW_MEMORY : Math.max(0, this.#slowness - 1)
    const measure = this.#measure
    const fast = this.#slowness === 0
    // Nothing was tried in a told wait, and it may have been too long.
    const minute = told ? Math.max(MINUTE, 2 * ms) : MINUTE
    const spanMs = fast ? SPAN * unit : minute
    const exact = fast
      ? measure.cycle(CYCLE * unit, LEAST_FAST_MS, ms, now)
      : measure.cycle(spanMs, LEAST_SLOW_MS, undefined, now)
    // All that got through a new client's first minute is what a minute holds, however soon that had gone.
    const leastMs = fast || this.#state.kind !== 'exploring' ? 0 : minute
    const about = exact ?? measure.over(spanMs, fast ? ms : 0, now, leastMs)
    if (!about || about < 0) return undefined
    // Refused at once: nothing had been saved up while the gate was closed, so that time must not be counted.
    const few = fast && measure.sinceReopened <= FEW_TICKETS
    this.strict = this.#state.kind === 'exploring' || (few && this.#state.kind !== 'found')
    return { rate: fast || told ? Math.max(about, rate / 2) : about, exact: exact !== undefined }
  }

  /** Refused again: on the climb, then what had stood is right; or while it held, then it is a little too high. */
  #refind(before: CurvePoint, reached: number, measured: MeasuredRate, of: CurveKind, now: number): void {
    const { rate, confirmed } = before
    if (before.of === 'growing') {
      const grows = measured.rate > GROWN * rate || this.#slowness < SLOW_MEMORY
      this.#found(Math.min(measured.rate, reached), 0, grows ? 'growing' : of, now)
      return
    }
    const heldMs = this.#proof(now) - before.since
    if (heldMs > climbsAfter(before)) {
      const seen = confirmed > 1 ? 0 : of === 'fast' ? NEAR * measured.rate : measured.rate
      const next = Math.min(Math.max(seen, rate), reached)
      if (next <= SAME * rate) this.#found(next, confirmed + 1, of, now)
      else this.#found(next, 0, of, now, before)
      return
    }
    const stood = heldMs > DIP * before.unit
    const last = before.before
    // What the climb had led to was spent at once: it was what a bucket had saved, and not a rate.
    if (last && of === 'fast' && (!measured.exact || measured.rate <= SAME * last.rate)) {
      this.#found(last.rate, last.confirmed + 1, of, now)
      return
    }
    const least = stood || of !== 'fast' ? HABITS[of].keeps * rate : 0
    const next = Math.max(least, Math.min(measured.rate, BACK * rate))
    this.#found(next, stood ? confirmed : 0, of, now, stood ? undefined : last)
  }

  /** What got through lately, if it is about as much as allowed, although some was refused. */
  #kept(rate: number, now: number): number | undefined {
    const passed = this.#measure.over(30 * this.#unit('fast', rate), 0, now) ?? 0
    return passed > 0.9 * rate ? passed : undefined
  }

  /** The provider names its limit. True when that changes the rate. */
  told(rate: number): boolean {
    const said = this.#discover ? rate : Math.min(rate, this.configured)
    // Said again, it is no news: refusals may have shown since then that there is less.
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
    const rate = Math.max(found, this.#said * LEAST)
    return { kind: 'found', rate, since: this.#proof(now), confirmed, of, unit: this.#unit(of, rate) }
  }

  #unit(of: CurveKind, rate: number): number {
    return Math.max(1000, (HABITS[of].tickets * this.#measure.size) / Math.max(rate, this.#said * UNLIKELY))
  }
}
