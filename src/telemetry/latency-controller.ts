// Computes how slow a provider is, and which share of the rate to use as a result. Pure: all methods take `now`.
//
// Each measure has a moving average with time constant τ. It decays while idle (Δ since the last sample):
//
//   W = 1 + W · e^(−Δ/τ)        A = v/W + (1 − 1/W) · A        read as A · e^(−Δ/τ)
//
// A sample counts as at most four times the threshold, and three slow samples within 3 τ are needed. So a single
// call that took a minute has no effect. Let x be the worst ratio of average to threshold. The share s follows
//
//   d ln s / dt  =  − ln x / τ             while x > 1: at twice the threshold s halves in τ
//                   ½ ln(1/x) / τ          while x < 1: at half of it or less s doubles in 2 τ
//
// between 0.1 and 1. The share changes in proportion to the distance from the threshold and stays constant at the
// threshold. So it settles at the rate at which the provider is as fast as required, instead of swinging between
// all and nothing. The minimum share of 0.1 serves as probes, and its growth is the ramp after them. Between two
// samples the averages decay, so ln x falls linearly, and any idle time is computed with one formula.

const MOST = 4
const SLOW_SAMPLES = 3
const SLOW_MEMORY = 3
const LEAST_SHARE = 0.1
/**
 * A warning starts here and ends at `CALM`. An unhealthy state also ends here. The gap keeps the state from
 * flickering.
 */
const WARN = 0.9
const CALM = 0.8
/** At half the threshold or less, the share grows at its maximum speed. */
const DEEPEST = Math.LN2

export type State = 'healthy' | 'warning' | 'unhealthy'

class Average {
  readonly #threshold: number
  readonly #tau: number
  #value = 0
  #weight = 0
  #at = -Infinity
  /** When the last few slow or nearly slow samples arrived. */
  #slow: number[] = []

  constructor(threshold: number, tau: number) {
    this.#threshold = threshold
    this.#tau = tau
  }

  add(value: number, now: number): void {
    this.#weight = 1 + this.#weight * this.#forgotten(now)
    this.#value += (Math.min(value, MOST * this.#threshold) - this.#value) / this.#weight
    this.#at = now
    if (value >= WARN * this.#threshold) this.#slow = [...this.#slow.slice(1 - SLOW_SAMPLES), now]
  }

  at(now: number): number {
    return this.#value * this.#forgotten(now)
  }

  ratio(now: number): number {
    return this.at(now) / this.#threshold
  }

  /** Whether enough slow samples exist to rule out chance. */
  proven(now: number): boolean {
    return this.#slow.length === SLOW_SAMPLES && now - this.#slow[0]! <= SLOW_MEMORY * this.#tau
  }

  #forgotten(now: number): number {
    return Math.exp((this.#at - now) / this.#tau)
  }
}

export class Vitals<K extends string> {
  readonly #averages: ReadonlyMap<K, Average>
  readonly #tau: number
  #state: State = 'healthy'
  /** ln s and ln x at that time. */
  #share = 0
  #excess = -DEEPEST
  #at = 0

  constructor(thresholds: Partial<Record<K, number>>, timeConstantMs: number) {
    this.#tau = timeConstantMs
    const given = Object.entries(thresholds) as [K, number][]
    this.#averages = new Map(given.map(([of, threshold]) => [of, new Average(threshold, timeConstantMs)]))
  }

  /** Records the duration of a call. */
  sample(of: K, ms: number, now: number): void {
    const average = this.#averages.get(of)
    if (!average) return
    this.#share = this.#shareAt(now)
    this.#at = now
    average.add(ms, now)
    this.#excess = Math.max(-DEEPEST, Math.log(this.#worst(now)))
  }

  /** The share of the rate to use. */
  share(now: number): number {
    return Math.exp(this.#shareAt(now))
  }

  /** The state, and whether it changed since it was last read. */
  look(now: number): { state: State; changed: boolean } {
    const state = this.state(now)
    const changed = state !== this.#state
    this.#state = state
    return { state, changed }
  }

  state(now: number): State {
    const x = this.#worst(now)
    if (x > 1 || (x >= WARN && this.#state === 'unhealthy')) return 'unhealthy'
    return x >= WARN || (x >= CALM && this.#state !== 'healthy') ? 'warning' : 'healthy'
  }

  averages(now: number): Map<K, number> {
    return new Map([...this.#averages].map(([of, average]) => [of, average.at(now)]))
  }

  /** The worst ratio of average to threshold. A measure without enough slow samples counts as calm. */
  #worst(now: number): number {
    let worst = 0
    for (const average of this.#averages.values()) {
      const x = average.ratio(now)
      worst = Math.max(worst, average.proven(now) ? x : Math.min(x, CALM))
    }
    return worst
  }

  #shareAt(now: number): number {
    const elapsed = (now - this.#at) / this.#tau
    const falling = Math.min(elapsed, Math.max(0, this.#excess))
    const fallen = falling * (this.#excess - falling / 2)
    const low = Math.max(Math.log(LEAST_SHARE), this.#share - fallen)
    const depth = Math.max(0, -this.#excess)
    return Math.min(0, low + rise(depth + elapsed - falling) - rise(depth))
  }
}

/** By how much ln s grows while ln x falls from 0 to −depth. */
function rise(depth: number): number {
  return depth < DEEPEST ? depth ** 2 / 4 : (DEEPEST * (depth - DEEPEST / 2)) / 2
}
