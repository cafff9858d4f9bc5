// A limit shared by many processes: the seam between a limiter and its store.
//
// The limiter keeps its own line, its gate and its learned rates. Where a store is given, tickets come from what
// the store has leased to this process instead of from the limiter's own budget, the gate does what all processes
// together have seen, and only one of them sends the probe. What a store is stands in `llmiter/redis`; here is
// only what the two say to each other, so that a limiter without a store pays nothing for it.

import type { Clock } from '../scheduler/clock.ts'
import type { Cost, SlotSource, Used } from '../core/limit/limit-set.ts'
import { keyOf } from '../core/limit/limit-set.ts'
import { rampOf } from '../core/limit/slow-start.ts'
import type { Learned } from '../core/rate/rate-estimator.ts'
import type { Gate, GateKind } from '../core/gate/gate.ts'
import { StoreDownError } from '../call/errors.ts'
import type { LimiterRuntime } from './runtime.ts'
import { JITTER_MS } from '../core/limit/gcra.ts'

/** Where limiters of many processes meet. `redisStore` of `llmiter/redis` makes one; `memoryStore` of `llmiter/testing` is for tests. */
export interface Store {
  /** A limiter joins. The store is told what happens, and asked for tickets. */
  open(host: StoreHost): SharedSlots
}

/** A limit as a store sees it: at most `amount` in any `windowMs`, or in a day by the calendar of `timeZone`. */
export interface SharedLimit {
  /** Names it among the limits of a limiter: the same in all processes. */
  readonly key: string
  readonly amount: number
  /** The window with the spread of arrivals: W + J. */
  readonly windowMs: number
  readonly burst: number
  readonly paced: boolean
  readonly timeZone?: string
  /** Units per ms that this process would follow now; 0 for what is counted. */
  readonly rate: number
}

/** The limiter, as its store sees it. All times are those of `now()`. */
export interface StoreHost {
  readonly name: string
  readonly clock: Clock
  now(): number
  limits(now: number): SharedLimit[]
  maxConcurrent(): number
  ramp(): { ms: number; from: number }
  /** How many would go if they could: none while paused. */
  waiting(): number
  inLine(): number
  /** Whether a ticket needs room in other limiters too: those above and below. */
  inTree(): boolean
  /** Does something later; the process need not stay alive for it. Returns its cancel. */
  later(when: number, then: () => void): () => void
  /** Something changed: tickets may go. */
  look(): void
  /** Others were refused: the gate closes for so long. */
  hold(kind: GateKind, waitMs: number, blamed: readonly string[]): void
  /** This process may send the probe that it asked for. */
  permit(): void
  /** Nobody here sends the next probe; `lost`: it is another's now. Returns what the gate is then. */
  retreat(lost: boolean): Gate['state']
  /** The provider accepts again, as another process found out. */
  open(): void
  /** What all have learned, by the key of the limit. */
  adopt(learned: Readonly<Record<string, Learned>>): void
  learned(now: number): Record<string, Learned>
  /** So much more than by this process was accepted of each limit. */
  accepted(amounts: readonly number[]): void
  /** Tells that the store is out of reach, or back. */
  tell(event: StoreEvent): void
  /** Rejects all who wait, since the store does not answer. */
  reject(cause: unknown): void
}

export interface StoreEvent {
  state: 'up' | 'down'
  /** The number of processes that share the limit, as far as known. */
  processes?: number
  error?: unknown
}

/** What a store gives to a limiter. Amounts stand in the order of `limits()`. */
export interface SharedSlots {
  /** The earliest time from `now` on at which the amounts fit, of what this process holds; else `Infinity`. */
  at(amounts: readonly number[], now: number): number
  /** Whether no more may be in flight here. */
  readonly full: boolean
  take(amounts: readonly number[], now: number): void
  /** A call taken at `takenAt` is over; it has used so much more (less, when negative) than it took. */
  settle(differences: readonly number[], takenAt: number, refused: readonly number[]): void
  /** Somebody waits, or nobody any more. */
  crowd(): void
  /** The gate of this limiter moved; `blamed` are the keys of the limits that refusals have named. */
  gate(gate: Gate, blamed: readonly string[], now: number): void
  /** The gate wants to know who may probe. */
  claim(): void
  /** This limiter has learned a rate. */
  learned(now: number): void
  /** The limits are others now. */
  update(now: number): void
  /** Whether calls are to be turned away now, since the store does not answer. */
  refusal(): { cause: unknown } | undefined
  /** Gives everything back and leaves. */
  stop(): void
}

/** Tickets from a store, with the limiter's own budget as its book-keeping. */
export class StoreAdapter implements SlotSource {
  readonly #runtime: LimiterRuntime
  readonly #slots: SharedSlots

  constructor(runtime: LimiterRuntime, store: Store) {
    this.#runtime = runtime
    this.#slots = store.open(hostOf(runtime))
  }

  get slots(): SharedSlots {
    return this.#slots
  }

  at(cost: Cost, now: number): number {
    const { limitSet } = this.#runtime.issuer
    const at = limitSet.full ? Infinity : this.#slots.at(this.#amounts(cost), now)
    // Who waits for the store to lease a slot waits for the rate, as who waits for its time does.
    if (at > now) limitSet.press(!limitSet.full && !this.#slots.full, now)
    return at
  }

  take(cost: Cost, now: number): void {
    this.#runtime.issuer.limitSet.take(cost, now)
    this.#slots.take(this.#amounts(cost), now)
  }

  settle(cost: Cost, used: Used, takenAt: number, now: number): void {
    const { limitSet } = this.#runtime.issuer
    limitSet.settle(cost, used, takenAt, now)
    const refused = used === 'refused' ? this.#amounts(cost) : []
    const difference = ({ of, settle }: { of: string; settle: string }): number => {
      const taken = cost[of] ?? 0
      if (typeof used === 'string') return used === 'unsent' || of !== 'requests' ? -taken : 0
      return settle === 'usage' && used?.[of] !== undefined ? used[of] - taken : 0
    }
    this.#slots.settle(
      limitSet.buckets.map(({ limit }) => difference(limit)),
      takenAt,
      refused,
    )
  }

  crowd(crowded: boolean, now: number): void {
    const { limitSet } = this.#runtime.issuer
    limitSet.crowd(crowded, now)
    if (!crowded) limitSet.press(false, now)
    this.#slots.crowd()
  }

  press(): void {}

  #amounts(cost: Cost): number[] {
    return this.#runtime.issuer.limitSet.buckets.map(({ limit }) => cost[limit.of] ?? 0)
  }
}

function hostOf(runtime: LimiterRuntime): StoreHost {
  const { issuer, scheduler } = runtime
  const { recovery } = issuer
  const moved = (now: number) => {
    issuer.stir()
    issuer.watchGate(now)
    scheduler.pump(now)
  }
  return {
    name: runtime.name,
    clock: scheduler.clock,
    now: () => scheduler.now(),
    limits: (now) =>
      issuer.limitSet.buckets.map((bucket) => {
        const { limit, rate } = bucket
        return {
          key: keyOf(limit),
          amount: bucket.amount(now),
          windowMs: limit.windowMs + JITTER_MS,
          burst: rate.tight ? 1 : limit.burst,
          paced: limit.paced,
          rate: limit.paced ? bucket.pace(now) : 0,
          ...(limit.timeZone && { timeZone: limit.timeZone }),
        }
      }),
    maxConcurrent: () => issuer.limitSet.maxConcurrent,
    ramp: () => rampOf(runtime.options.ramp),
    waiting: () => (issuer.pausedUntil > scheduler.now() ? 0 : issuer.waiting),
    inLine: () => issuer.waiting,
    inTree: () => issuer.chain.length > 1 || issuer.children.length > 0,
    later(when, then) {
      const task = scheduler.at(when, then, false)
      return () => scheduler.forget(task)
    },
    look: () => moved(scheduler.now()),
    hold(kind, waitMs, blamed) {
      const now = scheduler.now()
      recovery.hold(kind, waitMs, now)
      for (const bucket of issuer.limitSet.buckets)
        if (blamed.includes(keyOf(bucket.limit))) issuer.blamed.add(bucket)
      moved(now)
    },
    permit() {
      const now = scheduler.now()
      if (runtime.probe) runtime.ask()
      else recovery.permit(now)
      moved(now)
    },
    retreat(lost) {
      const now = scheduler.now()
      recovery.retreat(lost, now)
      moved(now)
      return recovery.gate.state
    },
    open() {
      // Who probed has learned from it, for all.
      issuer.blamed.clear()
      if (recovery.gate.state !== 'spent') recovery.open()
      moved(scheduler.now())
    },
    adopt(learned) {
      const now = scheduler.now()
      for (const { limit, rate } of issuer.limitSet.buckets) rate.adopt(learned[keyOf(limit)], now)
    },
    learned(now) {
      const all: Record<string, Learned> = {}
      for (const { limit, rate } of issuer.limitSet.buckets) {
        const learned = rate.share(now)
        if (learned) all[keyOf(limit)] = learned
      }
      return all
    },
    accepted(amounts) {
      const now = scheduler.now()
      const { buckets } = issuer.limitSet
      const requests = amounts[buckets.findIndex(({ limit }) => limit.of === 'requests')]
      buckets.forEach(({ rate }, i) =>
        rate.sent(amounts[i] ?? 0, now, requests ?? Math.sign(amounts[i] ?? 0)),
      )
    },
    tell: (event) => runtime.events.emit('store', event),
    reject: (cause) => runtime.failAll(storeDown(runtime.name, cause)),
  }
}

/** What calls are rejected with while the store does not answer. */
export function storeDown(name: string, cause: unknown): StoreDownError {
  return new StoreDownError(`'${name}': the store of the shared limit does not answer`, cause)
}
