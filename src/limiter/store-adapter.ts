// The limiter's side of a limit shared by many processes.
//
// The limiter keeps its own queue, gate and learned rates. With a store, tickets come from what the store has
// leased to this process instead of from the limiter's own budget. The gate reacts to refusals in all processes,
// and only one process sends the probe. Stores are implemented in `llmiter/redis`. This file contains only the
// exchange with a store, so that a limiter without one has no overhead.

import type { Cost, Used } from '../core/cost.ts'
import type { SlotSource } from '../core/limit/limit-set.ts'
import { keyOf } from '../core/limit/limit-set.ts'
import { rampOf } from '../core/limit/slow-start.ts'
import type { Learned } from '../core/rate/rate-estimator.ts'
import { quotaSpent, storeDown } from '../call/admission.ts'
import type { TicketIssuer } from '../core/ticket-issuer.ts'
import type { Scheduler } from '../scheduler/scheduler.ts'
import type { QuotaExhaustedError } from '../call/errors.ts'
import type { LimiterEmitter } from './events.ts'
import type { LimiterOptions } from './options.ts'
import type { SharedSlots, Store, StoreHost } from './store.ts'
import { JITTER_MS } from '../core/limit/gcra.ts'

/** The process that found a quota used up tries first. The others wait this much longer, or up to twice as much. */
const BEHIND_MS = 10_000

/** What a store needs to know about a limiter. */
export interface StoreContext {
  readonly name: string
  readonly issuer: TicketIssuer
  readonly scheduler: Pick<Scheduler<never>, 'clock' | 'now' | 'pump' | 'at' | 'forget'>
  readonly events: LimiterEmitter
  readonly options: Pick<LimiterOptions, 'ramp'>
  /** The quota is used up: rejects all waiting calls and later ones. */
  exhaust(error: QuotaExhaustedError): void
  /** Rejects all waiting calls. */
  failAll(error: unknown): void
}

/** Issues tickets from a store. The limiter's own budget is kept as bookkeeping. */
export class StoreAdapter implements SlotSource {
  readonly #runtime: StoreContext
  readonly #slots: SharedSlots

  constructor(runtime: StoreContext, store: Store) {
    this.#runtime = runtime
    this.#slots = store.open(hostOf(runtime))
  }

  get slots(): SharedSlots {
    return this.#slots
  }

  defer(judge: () => void): boolean {
    return this.#slots.defer(judge)
  }

  claim(): boolean {
    return this.#slots.claim()
  }

  at(cost: Cost, now: number): number {
    const { limitSet } = this.#runtime.issuer
    const crowded = limitSet.crowded(cost, now)
    const at = crowded ? Infinity : this.#slots.at(this.#amounts(cost), now)
    // A call that waits for the store to lease a slot counts as waiting for the rate.
    if (at > now) limitSet.press(!crowded && !this.#slots.full, now)
    return at
  }

  get inFlight(): number {
    return this.#runtime.issuer.limitSet.inFlight + this.#slots.inFlightElsewhere
  }

  tooMany(): void {
    if (!this.#slots.tooMany()) this.#runtime.issuer.limitSet.tooMany()
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

function hostOf(runtime: StoreContext): StoreHost {
  const { issuer, scheduler } = runtime
  const { recovery } = issuer
  let ticketsElsewhere = 0
  let heardAt = -Infinity
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
          configured: limit.amount,
          windowMs: limit.windowMs + (limit.jitterMs ?? JITTER_MS),
          burst: rate.tight(now) ? 1 : limit.burst,
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
    hold(closing, waitMs) {
      const now = scheduler.now()
      recovery.hold(closing, waitMs, now)
      for (const bucket of issuer.limitSet.buckets)
        if (Object.values(closing.blamed).includes(keyOf(bucket.limit))) issuer.blamed.add(bucket)
      moved(now)
    },
    permit() {
      const now = scheduler.now()
      recovery.permit(now)
      moved(now)
    },
    retreat(lost) {
      const now = scheduler.now()
      recovery.retreat(lost, now)
      moved(now)
      return recovery.gate.state
    },
    open() {
      // The process that probed has learned from the result for all processes.
      issuer.blamed.clear()
      if (recovery.gate.state !== 'spent') recovery.open()
      moved(scheduler.now())
    },
    spend(forMs, known) {
      const now = scheduler.now()
      const behindMs = BEHIND_MS * (1 + (scheduler.clock.random?.() ?? Math.random()))
      recovery.spend(forMs + (known ? 0 : behindMs), now, known)
      moved(now)
      const reason = 'reported by another process'
      runtime.exhaust(quotaSpent(runtime.name, { ...(known && { waitMs: forMs }), reason }, undefined))
    },
    restore() {
      if (recovery.gate.state === 'spent') recovery.open()
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
    met: () => ({ tickets: recovery.tickets - ticketsElsewhere, passing: recovery.passing }),
    heard(evidence) {
      ticketsElsewhere += evidence.tickets
      const now = scheduler.now()
      issuer.heard(evidence, heardAt, now)
      heardAt = now
    },
    tell: (event) => runtime.events.emit('store', event),
    reject: (cause) => runtime.failAll(storeDown(runtime.name, cause)),
  }
}
