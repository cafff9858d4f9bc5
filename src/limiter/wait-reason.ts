// Why calls wait: what holds the first call in the queue now, and what held it in the last minute.
//
// Recording the history adds no cost to a call: it is written after the scheduler has set its timer, at most ten
// times per second.

import { MINUTE } from '../lib/units.ts'
import type { HealthMonitor } from '../call/health.ts'
import type { PendingCall } from '../call/pending-call.ts'
import type { TicketIssuer } from '../core/ticket-issuer.ts'
import type { SharedSlots } from './store.ts'

/** What holds the first call in the queue. Unknown fields are missing. */
export interface WaitReason {
  /**
   * `'limit'`: a rate or quota from `limits`. `'concurrency'`: the maximum number of calls is in flight. `'gate'`:
   * the provider refused a call, and has not accepted one since. `'latency'`: the provider is slow, and `health`
   * lowers the rate. `'pause'`: `pause()` was called. `'retry'`: a failed call waits for its next attempt.
   * `'store'`: the store has no slot for this process yet, or does not answer.
   */
  kind: 'limit' | 'concurrency' | 'gate' | 'latency' | 'pause' | 'retry' | 'store'
  /** The name of the limiter: this one, or one of its parents. */
  limiter: string
  /** The limit: its dimension, amount and window in ms as configured. */
  of?: string
  /**
   * The configured amount of the limit, or how many calls may be in flight now. Missing while no limit is known and
   * calls wait for the answers of the first few.
   */
  amount?: number
  /** The window of the limit in ms. */
  perMs?: number
  /**
   * The amount per `perMs` that the limiter uses, if it has learned a lower one or `health` has lowered it. For
   * calls in flight: the same as `amount`, if the provider refused more.
   */
  learned?: number
  /** Why the gate is closed. */
  refused?: 'rate' | 'overload' | 'quota'
  /** Codes and words of the last refusal, or status and name of the last failure, without text from the caller. */
  provider?: string
  /**
   * Other limiters whose tickets the first call holds while it waits, because it is nested in their calls. If
   * calls of two limiters are nested in each other in opposite order, they may deadlock.
   */
  holds?: readonly string[]
  /** Time in ms until the gate lets a call through or the pause ends, if known. */
  reopensInMs?: number
}

/** A reason, and the share of the time in which it held the first call. */
export interface BoundBy extends WaitReason {
  /** The share of the last minute, or of the time since the mark, from 0 to 1. */
  share: number
}

/** The parts of a limiter that show why its calls wait. */
interface Source {
  readonly name: string
  readonly issuer: TicketIssuer
  /** This limiter and its ancestors up to the root. */
  readonly chain: readonly Source[]
  readonly health: Pick<HealthMonitor, 'share'> | undefined
  readonly lastRefusal: { reason: string } | undefined
  readonly lastFailure: string | undefined
  readonly backingOff: number
  /** The store adapter, if there is a store. */
  readonly shared: { readonly slots: Pick<SharedSlots, 'crowdedAt' | 'down'> } | undefined
  /** Set after `stop()`, when nothing waits any more. */
  readonly stopped: object | undefined
  readonly history: WaitHistory
}

/** Why the first call waits. If none waits, why a call made now would wait for the gate. */
export function reasonOf(runtime: Source, now: number): WaitReason | undefined {
  const { first } = runtime.issuer
  if (!first && runtime.backingOff > 0) return retryReason(runtime)
  for (const at of runtime.chain) {
    if (at.stopped) return undefined
    const reason = gateReason(at, now) ?? (first && limitReason(at, first.cost, now))
    if (reason)
      return reason.kind === 'concurrency' ? { ...reason, ...heldAround(first as PendingCall) } : reason
  }
  if (!first) return undefined
  if (runtime.chain.some(({ shared }) => shared)) return { kind: 'store', limiter: runtime.name }
  // The call may go, and its timer is a little late, so the last reason applies.
  return runtime.history.last
}

/** A reason by name: the dimension of a limit, else the kind. */
export const nameOf = ({ of, kind }: WaitReason): string => of ?? kind

const retryReason = ({ name, lastFailure }: Source): WaitReason => ({
  ...{ kind: 'retry', limiter: name },
  ...(lastFailure !== undefined && { provider: lastFailure }),
})

/** The limiters whose tickets the enclosing calls hold. */
function heldAround({ waitState }: PendingCall): Pick<WaitReason, 'holds'> {
  const names = new Set<string>()
  for (let at = waitState?.within; at; at = at.waitState?.within)
    if (at.state === 'in flight') names.add(at.policy.runtime.name)
  return names.size > 0 ? { holds: [...names] } : {}
}

function gateReason({ name, issuer, lastRefusal, shared }: Source, now: number): WaitReason | undefined {
  const { gate } = issuer.recovery
  if (issuer.pausedUntil > now) return { kind: 'pause', limiter: name, ...within(issuer.pausedUntil - now) }
  if (gate.state === 'turn' && shared?.slots.down) return { kind: 'store', limiter: name }
  // A probe may go, so something else holds it.
  if (gate.state === 'open' || (gate.state === 'probing' && gate.out < gate.allowed)) return undefined
  return {
    kind: 'gate',
    limiter: name,
    refused: gate.state === 'spent' ? 'quota' : gate.kind,
    ...(lastRefusal && { provider: lastRefusal.reason }),
    ...('until' in gate && within(issuer.recovery.remainingMs(now))),
  }
}

const within = (ms: number) => (ms < Infinity ? { reopensInMs: Math.max(0, ms) } : {})

function limitReason(
  { name, issuer: { limitSet }, health, shared }: Source,
  cost: Parameters<typeof limitSet.holding>[0],
  now: number,
): WaitReason | undefined {
  if (limitSet.opens(now)) return { kind: 'concurrency', limiter: name }
  const most = limitSet.crowded(cost, now) ? limitSet.concurrency : shared?.slots.crowdedAt
  if (most !== undefined) {
    const lowered = most < limitSet.maxConcurrent && { learned: most }
    return { kind: 'concurrency', limiter: name, amount: most, ...lowered }
  }
  const bucket = limitSet.holding(cost, now)
  if (!bucket) return undefined
  const { limit, rate } = bucket
  const share = limit.paced ? (health?.share?.(now) ?? 1) : 1
  const slow = share < 1
  return {
    kind: slow ? 'latency' : 'limit',
    limiter: name,
    of: limit.of,
    ...(!limit.assumed && { amount: limit.said.amount }),
    perMs: limit.said.perMs,
    ...((rate.learned || slow) && { learned: (share * limit.said.amount * rate.at(now)) / rate.configured }),
  }
}

const keyOf = ({ kind, limiter, of, perMs, refused }: WaitReason): string =>
  [kind, limiter, of, perMs, refused].join('/')

/** Time in ms per reason that held the first call. */
export type WaitTimes = Map<string, { reason: WaitReason; ms: number }>

/** How many reasons are kept, so that a limiter whose limits change often does not grow without bound. */
const MOST_REASONS = 50

/** Time per reason that held the first call: in the current minute, in the previous one, and in total. */
export class WaitHistory {
  #reason: WaitReason | undefined
  #since = -Infinity
  #began = -Infinity
  #minute: WaitTimes = new Map()
  #before = this.#minute
  readonly #all: WaitTimes = new Map()

  /** The last recorded reason. */
  get last(): WaitReason | undefined {
    return this.#reason && withoutTime(this.#reason)
  }

  /** Records what holds the first call from now on. */
  note(reason: WaitReason | undefined, now: number): void {
    this.#add(this.#minute, now)
    this.#add(this.#all, now)
    if (now - this.#began >= MINUTE) {
      this.#before = now - this.#began < 2 * MINUTE ? this.#minute : new Map()
      this.#minute = new Map()
      this.#began = now
    }
    this.#reason = reason
    this.#since = now
  }

  #add(times: WaitTimes, now: number): void {
    if (!this.#reason) return
    const key = keyOf(this.#reason)
    const ms = (times.get(key)?.ms ?? 0) + Math.max(0, now - this.#since)
    times.set(key, { reason: this.#reason, ms })
    if (times.size > MOST_REASONS) forgetOne(times, key)
  }

  /** The times since the limiter was created. */
  times(now: number): WaitTimes {
    const times = new Map(this.#all)
    this.#add(times, now)
    return times
  }

  /** The shares since a moment whose `times` are known. */
  boundSince(at: number, before: WaitTimes, now: number): BoundBy[] {
    const since = [...this.times(now)].map(([key, { reason, ms }]) => ({
      reason,
      ms: ms - (before.get(key)?.ms ?? 0),
    }))
    return shares(since, now - at)
  }

  /** The shares in the last minute. Of the previous minute, the part that is less than a minute old counts. */
  boundBy(now: number): BoundBy[] {
    const minutes = Math.max(0, now - this.#began) / MINUTE
    // Nothing was recorded for a while, so the current minute has become the previous one.
    const old = minutes >= 1
    const minute = new Map(old ? [] : this.#minute)
    this.#add(minute, now)
    const earlier = old ? this.#minute : this.#before
    const left = Math.max(0, MINUTE - total(minute))
    const kept = Math.min(Math.max(0, (old ? 2 : 1) - minutes), left / Math.max(1, total(earlier)))
    for (const [key, { reason, ms }] of earlier) {
      const found = minute.get(key)
      minute.set(key, { reason: found?.reason ?? reason, ms: (found?.ms ?? 0) + kept * ms })
    }
    return shares([...minute.values()], MINUTE)
  }
}

/** Removes the reason with the shortest time, except the current one. */
function forgetOne(times: WaitTimes, now: string): void {
  const others = [...times].filter(([key]) => key !== now)
  const [shortest] = others.reduce((least, each) => (each[1].ms < least[1].ms ? each : least))
  times.delete(shortest)
}

/** Removes the reopening time, which is in the past by now. */
const withoutTime = ({ reopensInMs: _, ...reason }: WaitReason): WaitReason => reason

const total = (times: WaitTimes) => [...times.values()].reduce((sum, { ms }) => sum + ms, 0)

/** Shares, longest first. */
const shares = (times: { reason: WaitReason; ms: number }[], ofMs: number): BoundBy[] =>
  times
    .filter(({ ms }) => ms > 0)
    .map(({ reason, ms }) => ({ ...withoutTime(reason), share: Math.min(1, ms / ofMs) }))
    .sort((a, b) => b.share - a.share)
