// What the provider's real rate is, learned.
//
// A limit may be told wrong, or change. What it really is shows in what gets through: accepted ÷ time, from
// one reopening of the gate to the next, counting only time in which somebody waited for this limit (else it
// measures the demand). After a cut to the measured rate R the rate dips to a tenth below it, returns to it on a
// cubic (as TCP CUBIC does, RFC 9438), holds it, and then climbs to see whether the limit has risen: 2 % in the
// first half minute, doubling with each, so that a small overshoot is met first and a limit that has doubled is
// found in three minutes. Each time the climb leads back to the same R the hold doubles, so that a settled limit
// is seldom tried. Headers that name the limit need no search.

const DEPTH = 0.1
const K_MS = 15_000
const HOLD_MS = 25_000
const LONGEST_HOLD_MS = 300_000
/** A rate that stood for so long has stood a whole window of the provider's. */
const PROOF_MS = 60_000
/** The climb: so much above R, doubling in this time. */
const CLIMB = 0.02
const CLIMB_MS = 30_000
/** Measured over less time or fewer tickets than this, a rate is noise. */
const LEAST_MS = 1000
const LEAST_COUNT = 3
/** How fast an unknown rate doubles while nothing is refused. */
const EXPLORE_MS = 10_000
/** So much of what came before a single refusal is remembered when the next one measures. */
const MEMORY_MS = 15_000

interface Found {
  kind: 'found'
  rate: number
  since: number
  /** How often it was found again. */
  confirmed: number
}

type State =
  | { kind: 'configured' }
  | { kind: 'told'; rate: number }
  /** Nothing is known yet, and anything allowed (`discover`): doubles until the first refusal, as TCP slow start. */
  | { kind: 'exploring'; rate: number; since: number }
  | Found

export class Rate {
  /** Units per ms, as configured. */
  readonly configured: number
  readonly #discover: boolean
  #state: State = { kind: 'configured' }
  #accepted = 0
  #pressedMs = 0
  #pressedSince = NaN
  #restedAt = 0

  constructor(configured: number, discover = false) {
    this.configured = configured
    this.#discover = discover
  }

  get learned(): boolean {
    return this.#state.kind !== 'configured'
  }

  inherit(other: Rate): void {
    this.#state = other.#state
  }

  /** Takes over what an earlier process has learned. */
  restore(rate: number, found: boolean, now: number): void {
    if (found) this.#found(rate, now - K_MS, 0)
    else this.told(rate)
  }

  get found(): boolean {
    return this.#state.kind === 'found'
  }

  /** Units per ms at `now`. */
  at(now: number): number {
    const state = this.#state
    if (state.kind === 'configured') return this.configured
    // Only while somebody waits does a rate that is not refused prove anything.
    const then = this.#pressedSince >= 0 ? now : this.#restedAt
    if (state.kind === 'exploring') return state.rate * 2 ** ((then - state.since) / EXPLORE_MS)
    const rate = state.kind === 'told' ? state.rate : followed(state, then)
    if (rate < this.configured || this.#discover) return rate
    if (state.kind === 'found') this.#state = { kind: 'configured' }
    return this.configured
  }

  sent(amount: number): void {
    this.#accepted += amount
  }

  refused(amount: number): void {
    this.#accepted -= amount
  }

  /** Whether somebody waits for this limit, and for nothing else of ours. */
  press(pressed: boolean, now: number): void {
    if (pressed === this.#pressedSince >= 0) return
    if (pressed) {
      this.#pressedSince = now
      const state = this.#state
      if (state.kind === 'found' || state.kind === 'exploring') state.since += now - this.#restedAt
      if (this.#discover && !this.learned)
        this.#state = { kind: 'exploring', rate: this.configured, since: now }
    } else {
      this.#pressedMs += now - this.#pressedSince
      this.#pressedSince = NaN
      this.#restedAt = now
    }
  }

  /** The gate reopens. Refused more than once lately: the rate is cut to what got through. True when cut. */
  reopened(cut: boolean, now: number): boolean {
    const pressed = this.#pressedSince >= 0
    if (pressed) {
      this.press(false, now)
      this.#pressedSince = now
    }
    // Too little to tell: what comes until the next reopening is added.
    if (this.#pressedMs < LEAST_MS || this.#accepted < LEAST_COUNT) return false
    const measured = this.#accepted / this.#pressedMs
    const before = this.#state
    cut ||= before.kind === 'exploring'
    const kept = cut ? 0 : Math.min(1, MEMORY_MS / this.#pressedMs)
    this.#accepted *= kept
    this.#pressedMs *= kept
    const rate = before.kind === 'found' ? Math.max(measured, stood(before, now)) : measured
    if (!cut || rate >= this.at(now)) return false
    const again = before.kind === 'found' && rate >= before.rate
    this.#found(rate, now, again ? before.confirmed + 1 : 0)
    return true
  }

  /** The provider names its limit. True when that changes the rate. */
  told(rate: number): boolean {
    const wanted = this.#discover ? rate : Math.min(rate, this.configured)
    const state = this.#state
    if (state.kind === 'told' ? Math.abs(state.rate - wanted) < 1e-12 : wanted === this.configured)
      return false
    this.#state = wanted === this.configured ? { kind: 'configured' } : { kind: 'told', rate: wanted }
    return true
  }

  #found(rate: number, since: number, confirmed: number): void {
    this.#state = { kind: 'found', rate, since, confirmed }
    this.#restedAt = Math.max(this.#restedAt, since)
  }
}

/** The rate that is followed from a found one: a dip, a hold, a climb. */
function followed(found: Found, now: number): number {
  const t = now - found.since
  if (t < K_MS) return found.rate * (1 + DEPTH * (t / K_MS - 1) ** 3)
  const climbing = t - K_MS - holdMs(found)
  return climbing > 0 ? found.rate * (1 + CLIMB * (2 ** (climbing / CLIMB_MS) - 1)) : found.rate
}

/** Refused on the climb: what had stood before is still right. */
function stood(found: Found, now: number): number {
  return now - found.since > K_MS + Math.max(holdMs(found), PROOF_MS) ? found.rate : 0
}

function holdMs({ rate, confirmed }: Found): number {
  return Math.min(HOLD_MS * 2 ** confirmed, Math.max(LONGEST_HOLD_MS, 1500 / rate))
}
