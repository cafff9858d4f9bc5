// Measures what got through, and in how much time. Only time in which a call waited for this limit counts: otherwise
// this would measure the demand instead of the limit.
//
// From one closing of the gate to the next, the throughput is exactly the rate of a token bucket, since its tokens are
// gone at both ends. A window counter starts afresh when it accepts again, so it is measured between reopenings. These
// cycles are used where one is long enough.

/** Measured over less time or fewer tickets than this, a rate is noise. */
const LEAST_MS = 1000
const LEAST_TICKETS = 3
const LEAST_CYCLE_TICKETS = 8
const MOST_MARKS = 160

/** How things stood at a moment to measure from. */
export interface ThroughputMark {
  pressedMs: number
  accepted: number
  tickets: number
  /** The gate reopened here, after this many ms. */
  closedMs?: number
}

export class Throughput {
  #accepted = 0
  #tickets = 0
  #pressedMs = 0
  #since = NaN
  #marks: ThroughputMark[] = [{ pressedMs: 0, accepted: 0, tickets: 0 }]

  get pressed(): boolean {
    return this.#since >= 0
  }

  /** The mean cost of a ticket. */
  get size(): number {
    return this.#accepted > 0 ? this.#accepted / this.#tickets : 1
  }

  press(pressed: boolean, now: number): void {
    if (pressed === this.pressed) return
    this.#pressedMs = this.#time(now)
    this.#since = pressed ? now : NaN
  }

  sent(amount: number, now: number, tickets: number): void {
    if (tickets === 0) return
    const last = this.#marks.at(-1)!
    if (this.#time(now) - last.pressedMs >= LEAST_MS && this.#tickets - last.tickets >= LEAST_TICKETS)
      this.#mark(this.here(now))
    this.#accepted += amount
    this.#tickets += tickets
  }

  refused(amount: number): void {
    this.#accepted -= amount
    this.#tickets--
  }

  /** A cycle of refusals ends here. */
  reopened(closedMs: number, now: number): void {
    this.#mark({ ...this.here(now), closedMs })
  }

  #mark(mark: ThroughputMark): void {
    this.#marks.push(mark)
    if (this.#marks.length > MOST_MARKS) this.#marks.splice(0, MOST_MARKS / 4)
  }

  /** How many tickets have gone since a cycle ended. */
  get sinceReopened(): number {
    return this.#tickets - (this.#cycleEnd?.tickets ?? 0)
  }

  /** For how long calls have waited since a cycle ended. */
  sinceReopenedMs(now: number): number {
    return this.#time(now) - (this.#cycleEnd?.pressedMs ?? 0)
  }

  get #cycleEnd(): ThroughputMark | undefined {
    return this.#marks.findLast(({ closedMs }) => closedMs !== undefined)
  }

  /**
   * The throughput per ms since the first reopening within the last `spanMs` that is at least `cycleMs` old, if any.
   * With `closedMs`, it is measured from closing to closing, and the last closing was that long ago.
   */
  cycle(spanMs: number, cycleMs: number, closedMs: number | undefined, now: number): number | undefined {
    const time = this.#time(now)
    const from = this.#marks.find(
      ({ closedMs: before, pressedMs, tickets }) =>
        before !== undefined &&
        time - pressedMs <= 1.02 * spanMs &&
        time - pressedMs - (closedMs ?? 0) >= cycleMs &&
        this.#tickets - tickets >= LEAST_CYCLE_TICKETS,
    )
    if (!from || closedMs === undefined) return from && this.#from(from, time)
    return this.#from({ ...from, pressedMs: from.pressedMs - from.closedMs! }, time - closedMs)
  }

  /** The throughput per ms in the `spanMs` before the gate closed (`closedMs` ago), or in all recorded time. */
  over(spanMs: number, closedMs: number, now: number, leastMs = 0): number | undefined {
    const time = this.#time(now) - closedMs
    const first = this.#marks[0]!
    const short = time - first.pressedMs < 1.25 * spanMs
    const from = short ? first : this.#marks.findLast(({ pressedMs }) => time - pressedMs >= spanMs)
    return this.#from(from ?? first, time, leastMs)
  }

  /** How things stand now. */
  here(now: number): ThroughputMark {
    return { pressedMs: this.#time(now), accepted: this.#accepted, tickets: this.#tickets }
  }

  /** The throughput per ms since the mark. */
  since(mark: ThroughputMark, now: number): number | undefined {
    return this.#from(mark, this.#time(now))
  }

  #from({ pressedMs, accepted, tickets }: ThroughputMark, time: number, leastMs = 0): number | undefined {
    if (time - pressedMs < LEAST_MS || this.#tickets - tickets < LEAST_TICKETS) return undefined
    return (this.#accepted - accepted) / Math.max(time - pressedMs, leastMs)
  }

  #time(now: number): number {
    return this.pressed ? this.#pressedMs + now - this.#since : this.#pressedMs
  }
}
