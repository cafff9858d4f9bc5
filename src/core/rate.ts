// What the provider's real rate is, learned.
//
// A limit may be told wrong, or change. What it really is shows in what gets through: accepted ÷ time, from
// one reopening of the gate to the next, counting only time in which somebody waited for this limit (else it
// measures the demand). After a cut to the measured rate R the rate follows a cubic, as TCP CUBIC does
// (RFC 9438): a tenth below R, quickly back to it, a long hold at it, then a gentle climb to see whether the
// limit has risen. Each time the same R is found again the hold doubles, so that a settled limit is seldom
// tried. Headers that name the limit need no search.

/** The dip and the climb: a tenth of R over K. */
const DEPTH = 0.1
const K_MS = 15_000
const HOLD_MS = 25_000
/** Measured over less time or fewer tickets than this, a rate is noise. */
const LEAST_MS = 1000
const LEAST_COUNT = 3

type State =
  | { kind: 'configured' }
  | { kind: 'told'; rate: number }
  | { kind: 'found'; rate: number; since: number; confirmed: number }

export class Rate {
  /** Units per ms, as configured. */
  readonly configured: number
  readonly #discover: boolean
  #state: State = { kind: 'configured' }
  #accepted = 0
  #pressedMs = 0
  #pressedSince = NaN

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
    const rate = state.kind === 'told' ? state.rate : cubic(state, now)
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
      if (this.#discover && !this.learned) this.#found(this.configured, now - K_MS, 0)
    } else {
      this.#pressedMs += now - this.#pressedSince
      this.#pressedSince = NaN
    }
  }

  /** The gate reopens. Refused more than once lately: the rate is cut to what got through. True when cut. */
  reopened(cut: boolean, now: number): boolean {
    const pressed = this.#pressedSince >= 0
    if (pressed) this.press(false, now)
    if (pressed) this.#pressedSince = now
    // Too little to tell: what comes until the next reopening is added.
    if (this.#pressedMs < LEAST_MS || this.#accepted < LEAST_COUNT) return false
    const measured = this.#accepted / this.#pressedMs
    this.#accepted = this.#pressedMs = 0
    if (!cut || measured >= this.at(now)) return false
    const before = this.#state
    const again = before.kind === 'found' && Math.abs(measured / before.rate - 1) < DEPTH
    this.#found(again ? (measured + before.rate) / 2 : measured, now, again ? before.confirmed + 1 : 0)
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
  }
}

function cubic(
  { rate, since, confirmed }: { rate: number; since: number; confirmed: number },
  now: number,
): number {
  const t = now - since
  // A slow limit is not probed to death: the hold is long where tickets are rare, but ends some day.
  const hold = Math.min(HOLD_MS * 2 ** confirmed, Math.max(60_000, 1500 / rate))
  const x = t < K_MS ? t / K_MS - 1 : Math.max(0, (t - K_MS - hold) / K_MS)
  return rate * (1 + DEPTH * x ** 3)
}
