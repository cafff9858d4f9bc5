// Forecasts how much this process will need, and limits how often it may ask: at most four requests in any second,
// the first immediately and the others at growing intervals. So a single call does not wait, and a stream of calls
// asks steadily.

const FLOW_MS = 1000
/** How many standard deviations above the expected number of calls to request, because arrivals are random. */
const SPREAD = 1.5
const GAPS_MS = [0, 0, 20, 255]
/**
 * A random offset: processes that ask in step would always arrive in the same order, and the last would find
 * nothing left.
 */
const SPREAD_MS = 40

export class DemandForecast {
  /** The recent rate of calls per ms. */
  #flow = 0
  #flowAt = 0
  #mean: number[] = []
  #asked: number[] = []
  #askedAt = -Infinity
  readonly #random: () => number
  #spread = 0

  constructor(random: () => number) {
    this.#random = random
  }

  /** Records a call that was sent, and what it took. */
  went(amounts: readonly number[], now: number): void {
    this.#flow = this.flow(now) + 1 / FLOW_MS
    this.#flowAt = now
    this.#mean = amounts.map((amount, i) => (this.#mean[i] ?? amount) * 0.9 + amount * 0.1)
  }

  flow(now: number): number {
    return this.#flow * Math.exp((this.#flowAt - now) / FLOW_MS)
  }

  /** The estimated cost of a call, from the waiting call and those already sent. */
  each(waits: readonly number[]): number[] {
    return waits.length > 0 && this.#mean.length !== waits.length ? [...waits] : [...this.#mean]
  }

  /** How many slots to request, for waiting calls and for those that are likely to arrive. */
  slots(waiting: number, aheadMs: number, now: number): number {
    const calls = this.flow(now) * aheadMs
    return waiting + Math.floor(calls + SPREAD * Math.sqrt(calls))
  }

  get lastWentAt(): number {
    return this.#flowAt
  }

  /** The next time from `now` on at which a request may be sent. */
  mayAskAt(now: number, everyMs: number): number {
    while (this.#asked.length > 0 && this.#asked[0]! + 1000 <= now) this.#asked.shift()
    const count = this.#asked.length
    if (count >= GAPS_MS.length) return this.#asked.at(-GAPS_MS.length)! + 1000
    const gap =
      count === 0
        ? 0
        : Math.max(GAPS_MS[count]!, everyMs > GAPS_MS.at(-1)! ? everyMs : 0) + (count > 1 ? this.#spread : 0)
    return Math.max(now, (this.#asked.at(-1) ?? -Infinity) + gap)
  }

  /** A request that only repeats a lost one does not count among the four. */
  asking(now: number, alone: boolean, counts: boolean): void {
    this.#askedAt = now
    if (!counts) return
    this.#asked.push(now)
    this.#spread = alone ? 0 : SPREAD_MS * this.#random()
  }

  get askedAt(): number {
    return this.#askedAt
  }
}
