// The interface between a limiter and the store of a shared limit. `llmiter/redis` creates stores.

import type { Closing, Gate } from '../core/gate/gate.ts'
import type { Evidence } from '../core/gate/suspicion.ts'
import type { Learned } from '../core/rate/rate-estimator.ts'
import type { Clock } from '../scheduler/clock.ts'

/**
 * Connects limiters of many processes. `redisStore` of `llmiter/redis` creates one. `memoryStore` of
 * `llmiter/testing` is for tests.
 */
export interface Store {
  /** Called when a limiter joins. The store observes the limiter and gives it slots. */
  open(host: StoreHost): SharedSlots
}

/** A limit in a store: at most `amount` in any `windowMs`, or per calendar day in `timeZone`. */
export interface SharedLimit {
  /** Identifies it among the limits of a limiter. The same in all processes. */
  readonly key: string
  /** The amount in one window. */
  readonly amount: number
  /** The configured amount. `amount` is larger if the limiter has learned a higher limit. */
  readonly configured: number
  /** The window plus the spread of arrivals in ms: W + J. */
  readonly windowMs: number
  /** How much may go immediately after an idle time. */
  readonly burst: number
  /** Whether it is spread over the window, or only counted. */
  readonly paced: boolean
  /** The time zone of a calendar day. */
  readonly timeZone?: string
  /** The current rate of this process in units per ms. 0 for a quota. */
  readonly rate: number
}

/** The limiter as its store sees it. All times are those of `now()`. */
export interface StoreHost {
  /** The name of the limiter. Limiters of the same name share their limits. */
  readonly name: string
  /** The clock of the limiter. */
  readonly clock: Clock
  /** The limiter's monotonic time in ms. */
  now(): number
  /** The limits to share. */
  limits(now: number): SharedLimit[]
  /** The maximum number of calls in flight over all processes. */
  maxConcurrent(): number
  /** The slow start. */
  ramp(): { ms: number; from: number }
  /** How many calls are ready to go. 0 while paused. */
  waiting(): number
  /** How many calls wait, including parked ones. */
  inLine(): number
  /** Whether a ticket also needs room in limiters above or below this one. */
  inTree(): boolean
  /** Runs a function later, without keeping the process alive. Returns a function that cancels it. */
  later(when: number, then: () => void): () => void
  /** Something changed, so tickets may be available. */
  look(): void
  /** Other processes were refused, so the gate closes for `waitMs`. */
  hold(closing: Closing, waitMs: number): void
  /** Allows this process to send the probe that it asked for. */
  permit(): void
  /**
   * This process does not send the next probe. `lost`: another process sends it. Returns the resulting state of
   * the gate.
   */
  retreat(lost: boolean): Gate['state']
  /** Another process found that the provider accepts calls again. */
  open(): void
  /** Another process found the quota used up for `forMs`, or, with `known` false, until the next attempt. */
  spend(forMs: number, known: boolean): void
  /** Another process found that the quota is back. */
  restore(): void
  /** Adopts what all processes have learned, by the key of the limit. */
  adopt(learned: Readonly<Record<string, Learned>>): void
  /** What this limiter has learned, by the key of the limit. */
  learned(now: number): Record<string, Learned>
  /** The amounts of each limit that the provider accepted from other processes. */
  accepted(amounts: readonly number[]): void
  /** How many calls were sent from here in total, and whether the provider answers. */
  met(): Omit<Evidence, 'refusals'>
  /** What other processes have observed since the last call. */
  heard(evidence: Evidence): void
  /** Emits `store` when the store became unreachable or reachable. */
  tell(event: StoreEvent): void
  /** Rejects all waiting calls, because the store does not answer. */
  reject(cause: unknown): void
}

/** What a store reports about itself. */
export interface StoreEvent {
  /**
   * `'up'` and `'down'`: the store answers, or does not. `'foreign-data'`: a key or the channel held something
   * that llmiter did not write, which is ignored. `'version-differs'`: processes with an incompatible version of
   * llmiter use the same name, and the two groups do not share limits. `'expired'`: the store was down for so long
   * that other processes may have the share of this process, so its calls wait. `'limits-differ'`: another process
   * that started or was updated later has other limits, which all processes follow. `limits` has both values.
   * `error` gives details.
   */
  state: 'up' | 'down' | 'foreign-data' | 'version-differs' | 'expired' | 'limits-differ'
  /** The number of processes that share the limit, if known. */
  processes?: number
  /** The error, if there was one. */
  error?: unknown
  /** The limits that differ: the amount of this process, and the amount that all processes follow. */
  limits?: readonly { readonly key: string; readonly here: number; readonly followed: number }[]
}

/** What a store gives to a limiter. Amounts are in the order of `limits()`. */
export interface SharedSlots {
  /** The earliest time from `now` on at which the amounts fit into the leased slots. `Infinity` if they do not. */
  at(amounts: readonly number[], now: number): number
  /** Whether no further call may be in flight here. */
  readonly full: boolean
  /** The maximum number of calls in flight over all processes, if it leaves no room here. Otherwise undefined. */
  readonly crowdedAt: number | undefined
  /** Whether the store does not answer. */
  readonly down: boolean
  /** How many calls other processes have in flight, as far as known. */
  readonly inFlightElsewhere: number
  /**
   * The provider refused a call as too many at once: all processes should have fewer calls in flight.
   * Returns false if only this process can do so.
   */
  tooMany(): boolean
  /** Takes what `at` has just reported as free. */
  take(amounts: readonly number[], now: number): void
  /** A call taken at `takenAt` ended. `differences` is its usage minus what it took, negative if it used less. */
  settle(differences: readonly number[], takenAt: number, refused: readonly number[]): void
  /** Calls have started to wait, or none waits any more. */
  crowd(): void
  /**
   * A call was refused. `judge` is called once it is known what other processes observed. Returns false if there
   * is no one to ask.
   */
  defer(judge: () => void): boolean
  /** The gate of this limiter changed. */
  gate(gate: Gate, closing: Closing, now: number): void
  /** The provider reported a used-up quota, for `forMs`, or, with `known` false, until the next attempt. */
  spend(forMs: number, known: boolean): void
  /**
   * Whether this process may probe now, since no store can say whose turn it is. Otherwise it asks for its turn,
   * which `permit` grants.
   */
  claim(): boolean
  /** This limiter has learned a rate. */
  learned(now: number): void
  /** The limits have changed. */
  update(now: number): void
  /** Why calls are rejected now: the store does not answer. Undefined if they are not. */
  refusal(): { cause: unknown } | undefined
  /** Returns all slots and leaves. */
  stop(): void
}
