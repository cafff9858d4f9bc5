// One target of a pool: whether a call may go to it, and what its answers say about it.
//
// Its limiter keeps the limits and the gate. This file keeps what a limiter does not know: rejected keys, the
// circuit breaker, used-up quotas and pauses.

import type { BucketRateLimiter, Clock } from 'llmiter'
import { type BreakerRules, CircuitBreaker } from './breaker.ts'
import type { TargetSnapshot } from './pool-snapshot.ts'
import type { PoolTarget } from './pool-target.ts'

/** The state of a target. Times are epoch ms. */
export type TargetState =
  | { readonly state: 'ready' }
  /** Its limits have no room for the next call at the moment. */
  | { readonly state: 'full' }
  /** The provider refused a call, and the gate of its limiter is closed. */
  | { readonly state: 'gated'; readonly until: number }
  /** One or a few calls test whether it works again. */
  | { readonly state: 'probing' }
  /** Its quota is used up. */
  | { readonly state: 'spent'; readonly until: number }
  /** The circuit breaker is open. */
  | { readonly state: 'broken'; readonly until: number }
  /** Its key was rejected (401). */
  | { readonly state: 'dead'; readonly until: number; readonly cause: unknown }
  | { readonly state: 'paused' }
  /** Its limiter was stopped. */
  | { readonly state: 'stopped'; readonly cause: unknown }

/** What an answer says about its target. */
export type Finding =
  | { readonly of: 'answered' }
  /** 5xx, a timeout, a lost connection. */
  | { readonly of: 'broke' }
  | { readonly of: 'unauthorized'; readonly cause: unknown }
  /** The target may not serve this call. Other targets may have other permissions, and it may serve other calls. */
  | { readonly of: 'forbidden' }
  /** Its quota is used up. */
  | { readonly of: 'spent'; readonly cause: unknown }
  /** Nothing: a refusal, which the gate handles, or a call that its caller aborted. */
  | { readonly of: 'nothing' }

const NOTHING: Finding = { of: 'nothing' }

/** Whether a finding counts as a failure for the circuit breaker. Undefined: it does not count. */
const FAILED: Record<Finding['of'], boolean | undefined> = {
  answered: false,
  broke: true,
  unauthorized: false,
  forbidden: false,
  spent: undefined,
  nothing: undefined,
}

const FIRST_DEATH_MS = 600_000
const LONGEST_DEATH_MS = 21_600_000
const SPENT_AGAIN_MS = 60_000
const ASK_AGAIN_MS = 1000
const RATE_FOR_MS = 1000
/** The single call that tries a dead target may hang. After this time another call tries. */
const TRIAL_MS = 60_000

/** Why a target is put aside. Answers to calls up to number `since` are older than that. */
interface Aside {
  readonly until: number
  readonly since: number
  readonly cause: unknown
}

interface Death extends Aside {
  readonly count: number
  /** The number of the call that is testing the target, and how long it is waited for. */
  trial: { readonly number: number; readonly until: number } | undefined
}

export class TargetHealth {
  readonly target: PoolTarget
  readonly limiter: BucketRateLimiter
  readonly breaker: CircuitBreaker | undefined
  paused = false
  /** How many calls it was served, divided by its weight. */
  served = 0
  sent = 0
  answered = 0
  failed = 0
  refused = 0
  full = false
  inFlight = 0
  readonly #clock: Clock
  /** How many calls it was given, including those that were not sent in the end. */
  #number = 0
  #death: Death | undefined
  #spent: Aside | undefined
  #stopped: { cause: unknown } | undefined
  #retryAt = -Infinity
  #rate = { perMs: Infinity, until: -Infinity }

  constructor(target: PoolTarget, breaker: BreakerRules | undefined, clock: Clock) {
    this.target = target
    this.limiter = target.limiter
    this.breaker = breaker && new CircuitBreaker(breaker)
    this.#clock = clock
  }

  /** Like `admits`, but without reading the clock while nothing is known against the target. */
  admitsNow(): boolean {
    return this.#isCalm || this.admits(this.#clock.now())
  }

  get #isCalm(): boolean {
    if (this.paused || this.#stopped || this.#death || this.#spent || this.#retryAt > -Infinity) return false
    return (this.breaker?.state.state ?? 'closed') === 'closed'
  }

  /** Whether a call may wait for this target. */
  admits(now: number): boolean {
    if (this.paused || this.#stopped || now < this.#retryAt || this.#dead(now)) return false
    if (this.#spent && now < this.#spent.until) return false
    return this.breaker?.allows(now) ?? true
  }

  #dead(now: number): Death | undefined {
    const death = this.#death
    return death && now < (death.trial ?? death).until ? death : undefined
  }

  /** When to check again, if nothing else happens. */
  opensAt(): number {
    if (this.paused || this.#stopped) return Infinity
    const { state } = this.breaker ?? {}
    return Math.max(
      this.#retryAt,
      (this.#death?.trial ?? this.#death)?.until ?? -Infinity,
      this.#spent?.until ?? -Infinity,
      state && state.state !== 'closed' ? state.until : -Infinity,
    )
  }

  /** Why no call should wait for it: it is dead, spent or stopped. */
  hopeless(now: number): { cause: unknown } | undefined {
    if (this.#stopped) return this.#stopped
    return this.#dead(now) ?? (this.#spent && now < this.#spent.until ? this.#spent : undefined)
  }

  /** Returns the number of the call, for `ended`. */
  sentOne(): number {
    this.sent++
    this.inFlight++
    this.#number++
    this.breaker?.sent(this.#clock)
    if (this.#death) this.#death.trial = { number: this.#number, until: this.#clock.now() + TRIAL_MS }
    return this.#number
  }

  /**
   * The `number`th call ended. Returns whether the target was put aside or restored, so that waiting calls must be
   * reviewed.
   */
  ended(finding: Finding, number: number, now: number, status?: number): boolean {
    this.inFlight--
    const before = this.breaker?.state
    this.breaker?.ended(this.breaker.judges(FAILED[finding.of], status), number, now)
    if (finding.of === 'broke' || finding.of === 'unauthorized' || finding.of === 'forbidden') this.failed++
    const aside = this.#death !== undefined || this.#spent !== undefined
    this.#found(finding, number, now)
    const changed = this.breaker?.state !== before || before?.state === 'half-open'
    return changed || aside || this.#death !== undefined || this.#spent !== undefined
  }

  /** The `number`th call was not sent in the end. */
  unsent(number: number, now: number): void {
    this.sent--
    this.ended(NOTHING, number, now)
  }

  #found(finding: Finding, number: number, now: number): void {
    if (finding.of === 'answered') {
      this.answered++
      // Only for calls sent since then: the target may have been put aside while earlier calls were in flight.
      if (this.#death && number > this.#death.since) this.#death = undefined
      if (this.#spent && number > this.#spent.since) this.#spent = undefined
    } else if (finding.of === 'unauthorized') this.#die(finding.cause, number, now)
    else if (finding.of === 'spent') this.#spend(finding.cause, now)
    if (this.#death?.trial?.number === number) this.#death.trial = undefined
  }

  #spend(cause: unknown, now: number): void {
    const until = now + (this.limiter.stats().reopensInMs || SPENT_AGAIN_MS)
    this.#spent = { until: Math.max(until, this.#spent?.until ?? -Infinity), since: this.#number, cause }
  }

  #die(cause: unknown, number: number, now: number): void {
    const before = this.#death
    // Of several calls sent together, one is enough. Calls sent before it died say nothing new.
    if (before && number <= before.since) return
    const count = (before?.count ?? 0) + 1
    const ms = Math.min(FIRST_DEATH_MS * 2 ** (count - 1), LONGEST_DEATH_MS)
    this.#death = { until: now + ms, since: this.#number, count, cause, trial: undefined }
  }

  /** Its limiter rejected a call for a reason that also applies to the next one. */
  unavailable(error: unknown, now: number): void {
    const { code } = Object(error) as { code?: unknown }
    if (code === 'LIMITER_STOPPED') this.#stopped = { cause: error }
    else if (code === 'QUOTA_EXHAUSTED') this.#spend(error, now)
    else this.#retryAt = now + ASK_AGAIN_MS
  }

  /** Lets the next call try, whatever is known. */
  retry(now: number): void {
    if (this.#death) this.#death = { ...this.#death, until: now, trial: undefined }
    this.#spent = undefined
    this.limiter.resume()
    this.breaker?.close()
  }

  /** The combined rate that its limits allow, in calls per ms. */
  rate(now: number): number {
    if (now >= this.#rate.until) {
      const rates = this.limiter
        .limits()
        .filter(({ of, perMs }) => of === 'requests' && perMs < Infinity)
        .map(({ amount, learned, perMs }) => (learned ?? amount) / perMs)
      this.#rate = { perMs: Math.min(Infinity, ...rates), until: now + RATE_FOR_MS }
    }
    return this.#rate.perMs
  }

  state(now: number): TargetState {
    const wall = (at: number) => this.#clock.wall() + Math.max(0, at - now)
    if (this.#stopped) return { state: 'stopped', cause: this.#stopped.cause }
    if (this.paused) return { state: 'paused' }
    const death = this.#death
    if (death?.trial) return { state: 'probing' }
    if (this.#dead(now)) return { state: 'dead', until: wall(death!.until), cause: death!.cause }
    if (this.#spent && now < this.#spent.until) return { state: 'spent', until: wall(this.#spent.until) }
    const breaker = this.breaker?.state
    if (breaker?.state === 'open' && now < breaker.until)
      return { state: 'broken', until: wall(breaker.until) }
    const { gate, reopensInMs = 0 } = this.limiter.stats()
    if (gate === 'closed') return { state: 'gated', until: wall(now + reopensInMs) }
    if (gate === 'probing' || breaker?.state === 'half-open') return { state: 'probing' }
    return { state: this.full ? 'full' : 'ready' }
  }

  snapshot(now: number): TargetSnapshot {
    const death = this.#death
    const breaker = this.breaker?.state
    return {
      limiter: this.limiter.snapshot(),
      ...(death && { deadMs: Math.max(0, death.until - now), deaths: death.count }),
      // A half-open breaker starts closed after a restart.
      ...(breaker?.state === 'open' && { brokenMs: Math.max(0, breaker.until - now) }),
      ...(breaker?.state === 'half-open' && { brokenMs: 0 }),
      ...(this.#spent && { spentMs: Math.max(0, this.#spent.until - now) }),
      ...(this.paused && { paused: true }),
    }
  }

  /** Restores a state that is `ageMs` old. */
  restore(saved: TargetSnapshot, ageMs: number, now: number): void {
    const { limiter, deadMs, deaths = 1, brokenMs, spentMs, paused = false } = saved
    this.limiter.restore(limiter)
    const cause = new Error(`'${this.target.name}' was put aside before the restart`)
    const aside = (ms: number) => ({ until: now + Math.max(0, ms - ageMs), since: this.#number, cause })
    if (deadMs !== undefined) this.#death = { ...aside(deadMs), count: deaths, trial: undefined }
    if (brokenMs !== undefined) this.breaker?.open(aside(brokenMs).until)
    if (spentMs !== undefined) this.#spent = aside(spentMs)
    this.paused = paused
  }
}
