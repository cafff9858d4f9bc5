// One target of a pool: whether a call may go to it, and what its answers say of it.
//
// Its limiter keeps the limits and the gate. What a limiter knows nothing of is here: a key that is not accepted, a
// circuit breaker, a quota that is spent, a pause.

import type { BucketRateLimiter, Clock } from 'llmiter'
import { type BreakerRules, CircuitBreaker } from './breaker.ts'
import type { PoolSnapshot } from './options.ts'
import type { PoolTarget } from './pool-target.ts'

/** Times are epoch ms. */
export type TargetState =
  | { readonly state: 'ready' }
  /** Its limits have no room for the next call now. */
  | { readonly state: 'full' }
  /** The provider refused: the gate of its limiter is closed. */
  | { readonly state: 'gated'; readonly until: number }
  /** One call, or a few, find out whether it is back. */
  | { readonly state: 'probing' }
  /** Its quota is used up. */
  | { readonly state: 'spent'; readonly until: number }
  /** The circuit breaker is open. */
  | { readonly state: 'broken'; readonly until: number }
  /** Its key was not accepted (401, 403). */
  | { readonly state: 'dead'; readonly until: number; readonly cause: unknown }
  | { readonly state: 'paused' }
  /** Its limiter was stopped. */
  | { readonly state: 'stopped'; readonly cause: unknown }

/** What an answer says of the target that gave it. */
export type Finding =
  | { readonly of: 'answered' }
  /** 5xx, a timeout, a lost connection. */
  | { readonly of: 'broke' }
  | { readonly of: 'unauthorized'; readonly cause: unknown }
  /** Its quota is used up. */
  | { readonly of: 'spent'; readonly cause: unknown }
  /** It says nothing: a refusal, which is the gate's business, or a call that its caller gave up. */
  | { readonly of: 'nothing' }

const FIRST_DEATH_MS = 600_000
const LONGEST_DEATH_MS = 21_600_000
const SPENT_AGAIN_MS = 60_000
const ASK_AGAIN_MS = 1000
const RATE_FOR_MS = 1000

interface Death {
  until: number
  readonly count: number
  readonly cause: unknown
  /** The one call that tries again is out. */
  trial: boolean
}

export class TargetHealth {
  readonly target: PoolTarget
  readonly limiter: BucketRateLimiter
  readonly breaker: CircuitBreaker | undefined
  paused = false
  /** What it was served, by weight. */
  served = 0
  sent = 0
  answered = 0
  failed = 0
  refused = 0
  full = false
  inFlight = 0
  readonly #clock: Clock
  #death: Death | undefined
  #spent: { until: number; cause: unknown } | undefined
  #stopped: { cause: unknown } | undefined
  #retryAt = -Infinity
  #rate = { perMs: Infinity, until: -Infinity }

  constructor(target: PoolTarget, breaker: BreakerRules | undefined, clock: Clock) {
    this.target = target
    this.limiter = target.limiter
    this.breaker = breaker && new CircuitBreaker(breaker)
    this.#clock = clock
  }

  /** Whether a call may stand in line there. */
  admits(now: number): boolean {
    if (this.paused || this.#stopped || now < this.#retryAt) return false
    if (this.#death && (now < this.#death.until || this.#death.trial)) return false
    if (this.#spent && now < this.#spent.until) return false
    return this.breaker?.allows(now) ?? true
  }

  /** When to look again, if nothing else happens. */
  opensAt(): number {
    if (this.paused || this.#stopped || this.#death?.trial) return Infinity
    const broken = this.breaker?.state
    return Math.max(
      this.#retryAt,
      this.#death?.until ?? -Infinity,
      this.#spent?.until ?? -Infinity,
      broken?.state === 'open' ? broken.until : -Infinity,
    )
  }

  /** Why nobody should wait for it: it is dead, spent or stopped. */
  hopeless(now: number): { cause: unknown } | undefined {
    if (this.#stopped) return this.#stopped
    if (this.#death && (now < this.#death.until || this.#death.trial)) return this.#death
    return this.#spent && now < this.#spent.until ? this.#spent : undefined
  }

  sentOne(): void {
    this.sent++
    this.inFlight++
    this.breaker?.sent()
    if (this.#death) this.#death.trial = true
  }

  /** A call sent at `sentAt` is over. */
  ended(finding: Finding, sentAt: number, now: number): void {
    this.inFlight--
    const failed = {
      answered: false,
      broke: true,
      unauthorized: false,
      spent: undefined,
      nothing: undefined,
    }[finding.of]
    this.breaker?.ended(failed, sentAt, now)
    if (finding.of === 'answered') {
      this.answered++
      this.#death = undefined
      this.#spent = undefined
    } else if (finding.of === 'unauthorized') this.#die(finding.cause, sentAt, now)
    else if (this.#death) this.#death.trial = false
    if (finding.of === 'spent') this.#spend(finding.cause, now)
  }

  #spend(cause: unknown, now: number): void {
    const until = now + (this.limiter.stats().reopensInMs || SPENT_AGAIN_MS)
    this.#spent = { until: Math.max(until, this.#spent?.until ?? 0), cause }
  }

  #die(cause: unknown, sentAt: number, now: number): void {
    const before = this.#death
    // Of calls sent together one is enough: those sent before it died say nothing new.
    if (before && !before.trial && sentAt < before.until) return
    const count = (before?.count ?? 0) + 1
    const ms = Math.min(FIRST_DEATH_MS * 2 ** (count - 1), LONGEST_DEATH_MS)
    this.#death = { until: now + ms, count, cause, trial: false }
  }

  /** Its limiter turned a call away for a reason that holds for the next one, too. */
  unavailable(error: unknown, now: number): void {
    const { code } = Object(error) as { code?: unknown }
    if (code === 'LIMITER_STOPPED') this.#stopped = { cause: error }
    else if (code === 'QUOTA_EXHAUSTED') this.#spend(error, now)
    else this.#retryAt = now + ASK_AGAIN_MS
  }

  /** The next call tries, whatever was known. */
  retry(now: number): void {
    if (this.#death) this.#death = { ...this.#death, until: now, trial: false }
    this.#spent = undefined
    this.limiter.resume()
    this.breaker?.close(now)
  }

  /** Calls per ms that its limits let through, one with another. */
  rate(now: number): number {
    if (now >= this.#rate.until) {
      const rates = this.limiter
        .stats()
        .limits.filter(({ of }) => of === 'requests')
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
    if (death && now < death.until) return { state: 'dead', until: wall(death.until), cause: death.cause }
    if (this.#spent && now < this.#spent.until) return { state: 'spent', until: wall(this.#spent.until) }
    const breaker = this.breaker?.state
    if (breaker?.state === 'open' && now < breaker.until)
      return { state: 'broken', until: wall(breaker.until) }
    const { gate, reopensInMs = 0 } = this.limiter.stats()
    if (gate === 'closed') return { state: 'gated', until: wall(now + reopensInMs) }
    if (gate === 'probing' || breaker?.state === 'half-open') return { state: 'probing' }
    return { state: this.full ? 'full' : 'ready' }
  }

  snapshot(now: number): PoolSnapshot['targets'][string] {
    const death = this.#death
    const breaker = this.breaker?.state
    return {
      limiter: this.limiter.snapshot(),
      ...(death && { deadMs: Math.max(0, death.until - now), deaths: death.count }),
      ...(breaker?.state === 'open' && { brokenMs: Math.max(0, breaker.until - now) }),
      ...(this.#spent && { spentMs: Math.max(0, this.#spent.until - now) }),
      ...(this.paused && { paused: true }),
    }
  }

  /** Takes over what was known `ageMs` ago. */
  restore(saved: PoolSnapshot['targets'][string], ageMs: number, now: number): void {
    const { limiter, deadMs, deaths = 1, brokenMs, spentMs, paused = false } = saved
    this.limiter.restore(limiter)
    const cause = new Error(`'${this.target.name}' was put aside before the restart`)
    if (deadMs !== undefined)
      this.#death = { until: now + Math.max(0, deadMs - ageMs), count: deaths, cause, trial: false }
    if (brokenMs !== undefined) this.breaker?.open(now + Math.max(0, brokenMs - ageMs), now)
    if (spentMs !== undefined) this.#spent = { until: now + Math.max(0, spentMs - ageMs), cause }
    this.paused = paused
  }
}
