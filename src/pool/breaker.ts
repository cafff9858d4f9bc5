// The circuit breaker of one target, for 5xx, timeouts and lost connections. The gate of the target's limiter
// handles refusals.
//
//   closed ──share of failures, after minimum of calls──▶ open ──wait──▶ half-open: 1, 2, 4 calls ──▶ closed
//                                                          ▲                   │
//                                                          └──── a failure ────┘

import type { Clock, Duration } from 'llmiter'
import { duration } from '../lib/duration.ts'
import { fields, given, number, text } from '../lib/validate.ts'

/** When a failing target is put aside. */
export interface BreakerOptions {
  /**
   * The number of calls within the window before the share counts.
   * @default 10
   */
  readonly minCalls?: number
  /**
   * The share of failures that opens the breaker, above 0 and up to 1.
   * @default 0.5
   */
  readonly share?: number
  /**
   * Opens the breaker at this number of failures within the window, whatever their share.
   * @default only the share counts
   */
  readonly failures?: number
  /**
   * The statuses that count as failures, besides lost connections and timeouts.
   * @default 5xx
   */
  readonly statuses?: readonly number[]
  /**
   * The length of the window.
   * @default 30 s
   */
  readonly windowMs?: Duration
  /**
   * How long the breaker stays open before a call tries the target.
   * @default 30 s
   */
  readonly openMs?: Duration
}

export interface BreakerRules {
  readonly minCalls: number
  readonly share: number
  readonly failures: number
  readonly statuses: ReadonlySet<number> | undefined
  readonly windowMs: number
  readonly openMs: number
}

/** @throws TypeError that names the invalid option. */
export function parseBreaker(
  breaker: BreakerOptions | false = {},
  name = 'breaker',
): BreakerRules | undefined {
  if (breaker === false) return undefined
  fields(breaker, name, ['minCalls', 'share', 'failures', 'statuses', 'windowMs', 'openMs'])
  const { minCalls = 10, share = 0.5, failures, statuses, windowMs = '30s', openMs = '30s' } = breaker
  given(failures, (value) => number(value, `${name}.failures`, 'a whole number of at least 1'))
  if (statuses !== undefined && (!Array.isArray(statuses) || statuses.some((one) => !Number.isInteger(one))))
    throw new TypeError(`${name}.statuses must be an array of statuses, got ${text(statuses)}`)
  return {
    minCalls: number(minCalls, `${name}.minCalls`, 'a whole number of at least 1'),
    share: number(share, `${name}.share`, 'a number from 0 to 1'),
    failures: failures ?? Infinity,
    statuses: statuses && new Set(statuses),
    windowMs: duration(windowMs, `${name}.windowMs`),
    openMs: duration(openMs, `${name}.openMs`),
  }
}

export type BreakerState =
  | { readonly state: 'closed' }
  | { readonly state: 'open'; readonly until: number }
  /**
   * If a probe has not returned by `until`, it may hang, and another one may go. `out` still includes it, and
   * `hung` counts it.
   */
  | {
      readonly state: 'half-open'
      readonly allowed: number
      out: number
      hung: number
      good: number
      until: number
    }

const LAST_STEP = 4

export class CircuitBreaker {
  state: BreakerState = { state: 'closed' }
  readonly #rules: BreakerRules
  #sent = 0
  /** Answers to calls sent up to this number say nothing about the current state. */
  #since = 0
  /** The failures and calls in the current half of the window, and in the previous half. */
  #present = { failed: 0, calls: 0 }
  #before = { failed: 0, calls: 0 }
  #halfAt = -Infinity

  constructor(rules: BreakerRules) {
    this.#rules = rules
  }

  /** Whether a call may go. Ends a wait that is over. */
  allows(now: number): boolean {
    if (this.state.state === 'open' && now >= this.state.until) this.#halfOpen(1, 0)
    const { state } = this
    if (state.state !== 'half-open') return state.state === 'closed'
    if (state.out + state.good < state.allowed + state.hung) return true
    if (now < state.until) return false
    state.hung++
    return true
  }

  sent(clock: Pick<Clock, 'now'>): void {
    this.#sent++
    if (this.state.state !== 'half-open') return
    this.state.out++
    this.state.until = clock.now() + this.#rules.openMs
  }

  /** Whether an answer counts as a failure. `failed` is the result for its kind. Undefined: it does not count. */
  judges(failed: boolean | undefined, status: number | undefined): boolean | undefined {
    const { statuses } = this.#rules
    if (!statuses || status === undefined) return failed
    if (statuses.has(status)) return true
    return failed === undefined ? undefined : false
  }

  /** The `number`th call ended. `failed` undefined: it says nothing about the target's health. */
  ended(failed: boolean | undefined, number: number, now: number): void {
    const { state } = this
    if (number <= this.#since || state.state === 'open') return
    if (state.state === 'closed') {
      if (failed !== undefined) this.#count(failed, now)
      return
    }
    state.out--
    state.hung = Math.min(state.hung, state.out)
    if (failed) this.open(now + this.#rules.openMs)
    else if (failed === false && ++state.good >= state.allowed) {
      if (state.allowed >= LAST_STEP) this.close()
      else this.#halfOpen(2 * state.allowed, state.out)
    }
  }

  open(until: number): void {
    this.state = { state: 'open', until }
    this.#since = this.#sent
  }

  close(): void {
    this.state = { state: 'closed' }
    this.#since = this.#sent
    this.#present = { failed: 0, calls: 0 }
    this.#before = { failed: 0, calls: 0 }
  }

  #halfOpen(allowed: number, out: number): void {
    this.state = { state: 'half-open', allowed, out, hung: out, good: 0, until: Infinity }
  }

  #count(failed: boolean, now: number): void {
    const { windowMs, minCalls, share, failures, openMs } = this.#rules
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
    const all = before.failed + present.failed
    if (failed && (all >= failures || (calls >= minCalls && all >= share * calls))) this.open(now + openMs)
  }
}
