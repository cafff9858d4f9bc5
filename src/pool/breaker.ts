// The circuit breaker of one target: 5xx, timeouts and lost connections. Refusals belong to the gate of its limiter.
//
//   closed ──share of failures, after a least number of calls──▶ open ──wait over──▶ half-open: 1, 2, 4 calls ──▶ closed
//                                                                  ▲                     │
//                                                                  └───── a failure ─────┘

export interface BreakerRules {
  readonly minCalls: number
  readonly share: number
  readonly windowMs: number
  readonly openMs: number
}

export type BreakerState =
  | { readonly state: 'closed' }
  | { readonly state: 'open'; readonly until: number }
  | { readonly state: 'half-open'; readonly allowed: number; out: number; good: number }

const LAST_STEP = 4

export class CircuitBreaker {
  state: BreakerState = { state: 'closed' }
  readonly #rules: BreakerRules
  /** Answers of calls sent before the state last changed say nothing of the present one. */
  #since = -Infinity
  /** The failures and calls of the present half of the window, and of the one before. */
  #present = { failed: 0, calls: 0 }
  #before = { failed: 0, calls: 0 }
  #halfAt = -Infinity

  constructor(rules: BreakerRules) {
    this.#rules = rules
  }

  /** Whether a call may go. Moves on from a wait that is over. */
  allows(now: number): boolean {
    if (this.state.state === 'open' && now >= this.state.until) this.#halfOpen(1, now)
    const { state } = this
    if (state.state === 'half-open') return state.out + state.good < state.allowed
    return state.state === 'closed'
  }

  sent(): void {
    if (this.state.state === 'half-open') this.state.out++
  }

  /** A call sent at `sentAt` is over. `undefined`: it says nothing of the target's health. */
  ended(failed: boolean | undefined, sentAt: number, now: number): void {
    const { state } = this
    if (sentAt < this.#since || state.state === 'open') return
    if (state.state === 'closed') {
      if (failed !== undefined) this.#count(failed, now)
      return
    }
    state.out--
    if (failed) this.open(now + this.#rules.openMs, now)
    else if (failed === false && ++state.good === state.allowed) {
      if (state.allowed >= LAST_STEP) this.close(now)
      else this.#halfOpen(2 * state.allowed, now, this.#since)
    }
  }

  open(until: number, now: number): void {
    this.state = { state: 'open', until }
    this.#since = now
  }

  close(now: number): void {
    this.state = { state: 'closed' }
    this.#since = now
    this.#present = { failed: 0, calls: 0 }
    this.#before = { failed: 0, calls: 0 }
  }

  #halfOpen(allowed: number, now: number, since = now): void {
    this.state = { state: 'half-open', allowed, out: 0, good: 0 }
    this.#since = since
  }

  #count(failed: boolean, now: number): void {
    const { windowMs, minCalls, share, openMs } = this.#rules
    const half = windowMs / 2
    const passed = now - this.#halfAt
    if (passed >= half) {
      this.#before = passed < windowMs ? this.#present : { failed: 0, calls: 0 }
      this.#present = { failed: 0, calls: 0 }
      this.#halfAt = now
    }
    const [before, present] = [this.#before, this.#present]
    present.calls++
    if (failed) present.failed++
    const calls = before.calls + present.calls
    if (failed && calls >= minCalls && before.failed + present.failed >= share * calls)
      this.open(now + openMs, now)
  }
}
