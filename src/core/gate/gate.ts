// What a refusal does: the gate of one limiter, and how it finds out that the provider accepts again.
//
//   open ──refusal──▶ closed ──wait over──▶ probing ──nothing refused in time / answered──▶ open
//                       ▲                      │
//                       └──────refused─────────┘            quota ──▶ spent ──reset, or a trial a minute──▶ open
//
// The wait is the provider's own (plus 0–2 %, so that many clients do not return together), else
// 0.5 s × 1.5ⁿ ± 15 %, capped by what the rate makes worth trying. The probe is a real call: the oldest one.
// After a `rate` refusal the gate opens when no refusal has come back within SRTT + 4 · RTTVAR of refusals
// (Jacobson's estimator, RFC 6298): refusals return in tens of ms, answers in seconds. After an `overload`
// silence may be a black hole: it lets 1, 2, 4 calls go, and only an answer opens the gate.
//
// Where a provider counts by the minute and says nothing, the wait ends with its window, once that is known: window-phase.ts.

import { type Suspected, Suspicion, type RateTrust } from './suspicion.ts'
import { ToldWaits } from './told-waits.ts'
import { WindowPhase } from './window-phase.ts'
import { type Duration, duration } from '../../lib/duration.ts'
import type { WallTime } from '../limit/sliding-window.ts'
import type { Closure } from '../rate/rate-estimator.ts'

/** How long a closed gate stays closed when the provider does not say. */
export interface RecoveryOptions {
  /** The first wait. Default 500. */
  minMs?: Duration | undefined
  /** The longest. Default: the time of 40 tickets, at least 2 s (5 s after a `rate` refusal), at most 30 s. */
  maxMs?: Duration | undefined
  /** The factor from one wait to the next. Default 1.5. */
  factor?: number | undefined
  /** Waits are spread by this share up and down. Default 0.15. */
  jitter?: number | undefined
}

/** What closed the gate: too many calls, or a busy provider. */
export type GateKind = 'rate' | 'overload'

/** How the gate closed. */
export interface Closing {
  /** What closed it. */
  readonly kind: GateKind
  /** The keys of the limits that refusals have named. */
  readonly blamed: readonly string[]
  /** The provider said how long to wait. */
  readonly told: boolean
  /** How often it has closed in a row. */
  readonly tries: number
}

/** The state of the gate, with what it waits for. */
export type Gate =
  | { state: 'open' }
  | { state: 'closed'; kind: GateKind; until: number }
  /** The wait is over. Processes that share a limit probe in turn: ends with the store's permit, or at once if no store decides. */
  | { state: 'turn'; kind: GateKind }
  /** The user's own probe is asked instead of a call. Its answer ends this. */
  | { state: 'asking'; kind: GateKind }
  | { state: 'probing'; kind: GateKind; since: number; out: number; allowed: number; lastAt: number }
  | { state: 'spent'; until: number; known: boolean; trialOut: boolean }

const OPEN: Gate = { state: 'open' }
const BLOCKED: Suspected = { of: 'blocked', refusals: 1 }
const TRIED: RateTrust = { tried: true, measured: false }
/** A told wait that proves too short is not believed for long: at least this, doubling. An overload may end at once. */
const LEAST_MS = 50
const MOST_LEAST_MS = { rate: 8000, overload: 1000 } as const
export const TRIAL_MS = 60_000
/**
 * A wait of this length or longer ends by the wall clock too: while a machine sleeps, its monotonic clock stands still.
 * Until it ends, somebody must look at the wall clock this often.
 */
const BY_WALL_MS = 30_000
/** How long a probe may stay out without an answer before the next one goes. */
const PROBE_MS = 30_000
/** The longest wait is the time of WORTH tickets, with lower bounds: a window of a minute may have to end first. */
const WORTH = 40
const LEAST_CAP_MS = 2000
const LEAST_RATE_CAP_MS = 5000
const LONGEST_CAP_MS = 30_000
/** How long the silence after a probe lasts, whatever the times of refusals say. */
const LEAST_QUIET_MS = 50
const MOST_QUIET_MS = 5000
/** After an overload, this many probes may go before one is answered. */
const FEW = 4

export class GateKeeper {
  gate: Gate = OPEN
  /** Tickets issued in all, including those of other processes that share the limit. */
  tickets = 0
  /** A call that was sent after the gate last closed was answered, so the provider is not down. */
  passing = false
  readonly suspicion = new Suspicion()
  readonly waits = new ToldWaits()
  readonly #random: () => number
  readonly #asks: () => boolean
  readonly #claim: () => boolean
  readonly #wall: WallTime
  /** When a long wait ends by the wall clock, in epoch ms. */
  #wallUntil = Infinity
  #backoff!: { minMs: number; maxMs: number | undefined; factor: number; jitter: number }
  /** The rate at the last refusal: it decides how long a wait is worthwhile. */
  #pace = Infinity
  /** When the gate last closed. Refusals of calls sent before that carry no news. */
  #closedAt = -Infinity
  #firstClosedAt = -Infinity
  readonly #edge = new WindowPhase()
  /** The current wait ends with the provider's window. */
  #atEdge = false
  /** The wait that the provider told, if the gate keeps it. */
  #toldMs: number | undefined
  #tries = 0
  #ticketsAtClose = -Infinity
  #smoothedMs = 0
  #variationMs = 0

  constructor(random: () => number, asks: () => boolean, claim: () => boolean, wall: WallTime) {
    this.#wall = wall
    this.#random = random
    this.#asks = asks
    this.#claim = claim
    this.configure()
  }

  configure({ minMs = 500, maxMs, factor = 1.5, jitter = 0.15 }: RecoveryOptions = {}): void {
    this.#backoff = {
      factor,
      jitter,
      minMs: duration(minMs, 'recovery.minMs'),
      maxMs: maxMs === undefined ? undefined : duration(maxMs, 'recovery.maxMs'),
    }
  }

  /** Whether a call may go now. Ends a wait that is over. */
  allows(now: number): boolean {
    if (this.gate.state === 'closed' && this.over(now)) this.gate = { state: 'turn', kind: this.gate.kind }
    if (this.gate.state === 'turn' && this.#claim()) this.permit(now)
    const { gate } = this
    if (gate.state === 'open') return true
    if (gate.state === 'spent') return this.over(now) && !gate.trialOut
    if (gate.state !== 'probing') return false
    if (gate.out < gate.allowed) return true
    if (now < this.wakeAt(now)) return false
    if (gate.kind === 'rate') this.open()
    else gate.allowed = gate.out < FEW ? 2 * gate.out : gate.out + 1
    return true
  }

  /** When to look again, if nothing else happens. */
  wakeAt(now: number): number {
    const { gate } = this
    const until = 'until' in gate ? this.#lookAt(gate.until, now) : Infinity
    if (gate.state === 'closed') return until
    if (gate.state === 'spent') return gate.trialOut ? Infinity : until
    if (gate.state === 'turn' || gate.state === 'asking') return Infinity
    if (gate.state === 'open' || gate.out < gate.allowed) return -Infinity
    return gate.lastAt + (gate.kind === 'rate' || gate.out < FEW ? this.#quietMs() : PROBE_MS)
  }

  #lookAt(until: number, now: number): number {
    return this.#wallUntil === Infinity ? until : Math.min(until, now + BY_WALL_MS)
  }

  /** Whether the wait of a gate that is closed or spent is over, by either clock. */
  over(now: number): boolean {
    const { gate } = this
    return !('until' in gate) || now >= gate.until || now + this.#wall.offsetMs >= this.#wallUntil
  }

  /** Whether the gate closed just now for the first time, rather than again after a refused probe. */
  closesFirst(now: number): boolean {
    return this.gate.state === 'closed' && this.#firstClosedAt === now
  }

  /** How long the gate stays shut, in ms. */
  remainingMs(now: number): number {
    const { gate } = this
    if (!('until' in gate) || this.over(now)) return 0
    return Math.min(gate.until - now, this.#wallUntil - now - this.#wall.offsetMs)
  }

  #waits(ms: number, now: number): number {
    this.#wallUntil = ms >= BY_WALL_MS ? now + ms + this.#wall.offsetMs : Infinity
    return now + ms
  }

  sent(now: number): void {
    const { gate } = this
    if (gate.state === 'probing') {
      gate.out++
      gate.lastAt = now
    } else if (gate.state === 'spent') gate.trialOut = true
  }

  /**
   * A call sent at `sentAt` was refused at this rate. Closes the gate, unless it is no news or others pass.
   */
  refused(
    kind: GateKind,
    waitMs: number | undefined,
    sentAt: number,
    rate: number,
    now: number,
    trust: RateTrust = TRIED,
  ): Suspected {
    let { gate } = this
    this.#measure(now - sentAt)
    // A trial that is refused for its rate shows that the quota is back.
    if (gate.state === 'spent') {
      if (!gate.trialOut) return BLOCKED
      this.open()
      gate = this.gate
    }
    if (sentAt >= this.#closedAt) {
      this.#pace = rate
      const suspected = this.suspicion.refused(trust, this.tickets, sentAt, now)
      if (gate.state === 'open' && suspected.of !== 'blocked') return suspected
      this.#blocked(suspected, now)
      this.#close(this.#limits(waitMs) ? 'rate' : kind, waitMs, now)
    } else if (waitMs !== undefined && gate.state === 'closed' && this.#toldMs !== undefined) {
      if (waitMs > this.remainingMs(now)) gate.until = this.#waits(waitMs, now)
    }
    return BLOCKED
  }

  /** The user's probe has answered. */
  asked(blocked: boolean, now: number): void {
    if (this.gate.state !== 'asking') return
    if (blocked) this.#close(this.gate.kind, undefined, now)
    else this.open()
  }

  /** A call sent at `sentAt` was answered, which may open the gate. */
  answered(sentAt: number, now: number): void {
    const { gate } = this
    if (gate.state === 'closed' && !this.waits.believes(this.#toldMs ?? 0)) {
      this.#toldMs = undefined
      const wait = Math.max(this.#backoffMs(gate.kind), this.waits.leastMs)
      gate.until = this.#waits(Math.max(0, this.#closedAt + wait - now), now)
    }
    if (sentAt >= this.#firstClosedAt) this.passing = true
    if (gate.state === 'spent' && gate.trialOut) {
      this.open()
      return
    }
    if (gate.state === 'probing' && sentAt >= gate.since) this.open()
  }

  /** A call ended without news about the limits (aborted, or failed otherwise): the next call probes. */
  lost(sentAt: number): void {
    const { gate } = this
    if (gate.state === 'probing' && sentAt >= gate.since) gate.out--
    else if (gate.state === 'spent') gate.trialOut = false
  }

  /** The quota is used up until a known reset; without one, one call a minute tries. */
  spend(waitMs: number | undefined, now: number, known = waitMs !== undefined): void {
    this.gate = { state: 'spent', until: this.#waits(waitMs ?? TRIAL_MS, now), known, trialOut: false }
  }

  /** Other processes that share the limit were refused: closes for this long. Calls already sent bring no news. */
  hold({ kind, told, tries }: Closing, waitMs: number, now: number): void {
    this.#toldMs = told ? waitMs : undefined
    this.#shut(kind, waitMs, now)
    if (tries === 1) this.#firstClosedAt = now
    this.#tries = tries
    this.suspicion.blocked()
  }

  /** It is this process's turn to probe: by the user's own probe, or by a call. */
  permit(now: number): void {
    if (this.gate.state !== 'turn') return
    const { kind } = this.gate
    if (this.#asks()) this.gate = { state: 'asking', kind }
    else this.gate = { state: 'probing', kind, since: now, out: 0, allowed: 1, lastAt: now }
  }

  /**
   * Another process that shares the limit may send the next probe: no call waits here, or another process already has
   * the permit (`lost`). A probe that may still be refused stays; one out for longer opens the gate after `rate`.
   */
  retreat(lost: boolean, now: number): void {
    const { gate } = this
    if (gate.state !== 'probing' && !(lost && gate.state === 'open')) return
    const kind = gate.state === 'open' ? 'rate' : gate.kind
    if (!lost && gate.state === 'probing') {
      if (gate.out > 0 && now < gate.lastAt + this.#quietMs()) return
      if (kind === 'rate' && gate.out > 0) return this.open()
    }
    this.gate = { state: 'closed', kind, until: this.#waits(0, now) }
  }

  /** The quota is reported to be back: the next call tries. */
  resume(now: number): void {
    const { gate } = this
    if (gate.state === 'spent') this.gate = { ...gate, until: this.#waits(0, now), known: false }
  }

  open(): void {
    this.#atEdge = false
    const { gate } = this
    if (gate.state === 'probing' && gate.kind === 'rate' && this.#toldMs === undefined)
      this.#edge.found(this.#firstClosedAt, this.#closedAt, gate.since)
    this.gate = OPEN
    this.#tries = 0
  }

  /** How the gate just closed, for other processes that share the limit. */
  get closing(): Omit<Closing, 'blamed'> {
    const kind = 'kind' in this.gate ? this.gate.kind : 'rate'
    return { kind, told: this.#toldMs !== undefined, tries: this.#tries }
  }

  /** How the gate was closed, the last time. */
  closure(): Closure {
    return {
      edge: this.#edge.known,
      told: this.#toldMs !== undefined,
      refusedMs: this.#closedAt - this.#firstClosedAt + (this.#toldMs ?? 0),
    }
  }

  /** A provider that answers some of a few calls is not down: it gets too many calls. A told wait is believed. */
  #limits(waitMs: number | undefined): boolean {
    return waitMs === undefined && this.passing && this.tickets - this.#ticketsAtClose < WORTH
  }

  /** If several calls were refused before the gate closes, the next try can wait longer. */
  #blocked(suspected: Suspected, now: number): void {
    if (this.gate.state !== 'open' || suspected.of !== 'blocked' || suspected.refusals === 1) return
    this.#tries = 1
    this.#firstClosedAt = now
  }

  #close(kind: GateKind, waitMs: number | undefined, now: number): void {
    const least = Math.min(LEAST_MS * 2 ** this.#tries, MOST_LEAST_MS[kind])
    if (waitMs !== undefined && this.#tries > 0) this.waits.refused(now - this.#firstClosedAt, waitMs)
    this.#toldMs = waitMs !== undefined && this.waits.believes(waitMs) ? waitMs : undefined
    const wait =
      this.#toldMs === undefined
        ? Math.max(this.#guessMs(kind, now), waitMs === undefined ? 0 : this.waits.leastMs)
        : Math.max(this.#toldMs * (1 + 0.02 * this.#random()), least)
    this.#shut(kind, wait, now)
  }

  #shut(kind: GateKind, waitMs: number, now: number): void {
    if (this.passing) this.#tries = 0
    this.passing = false
    this.#ticketsAtClose = this.tickets
    if (this.#tries++ === 0) this.#firstClosedAt = now
    this.#closedAt = now
    this.gate = { state: 'closed', kind, until: this.#waits(waitMs, now) }
  }

  #guessMs(kind: GateKind, now: number): number {
    const edge = this.#edge
    if (this.#atEdge) edge.missed()
    this.#atEdge = kind === 'rate' && edge.known && (this.#tries > 0 || this.#random() >= edge.doubt)
    return this.#atEdge ? edge.waitMs(now) : this.#backoffMs(kind)
  }

  #backoffMs(kind: GateKind): number {
    const { minMs, maxMs, factor, jitter } = this.#backoff
    const worth = Math.max(WORTH / this.#pace, kind === 'rate' ? LEAST_RATE_CAP_MS : LEAST_CAP_MS)
    const cap = maxMs ?? Math.max(Math.min(worth, LONGEST_CAP_MS), minMs)
    const wait = Math.min(minMs * factor ** this.#tries, cap) * (1 + jitter * (2 * this.#random() - 1))
    return Math.min(wait, maxMs ?? Math.max(cap, LONGEST_CAP_MS))
  }

  #measure(ms: number): void {
    if (this.#smoothedMs === 0) {
      this.#smoothedMs = ms
      this.#variationMs = ms / 2
      return
    }
    this.#variationMs += (Math.abs(this.#smoothedMs - ms) - this.#variationMs) / 4
    this.#smoothedMs += (ms - this.#smoothedMs) / 8
  }

  #quietMs(): number {
    const quiet = this.#smoothedMs + 4 * this.#variationMs
    return Math.min(Math.max(quiet, LEAST_QUIET_MS), MOST_QUIET_MS)
  }
}
