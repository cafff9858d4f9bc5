// The interface between a limiter and the store of a shared limit. `llmiter/redis` makes stores.

import type { Closing, Gate } from '../core/gate/gate.ts'
import type { Evidence } from '../core/gate/suspicion.ts'
import type { Learned } from '../core/rate/rate-estimator.ts'
import type { Clock } from '../scheduler/clock.ts'

/** Where limiters of many processes meet. `redisStore` of `llmiter/redis` makes one; `memoryStore` of `llmiter/testing` is for tests. */
export interface Store {
  /** Called when a limiter joins. The store hears what happens and gives it tickets. */
  open(host: StoreHost): SharedSlots
}

/** A limit as a store sees it: at most `amount` in any `windowMs`, or in a day by the calendar of `timeZone`. */
export interface SharedLimit {
  /** Names it among the limits of a limiter: the same in all processes. */
  readonly key: string
  /** The amount in one window. */
  readonly amount: number
  /** The amount of the options; `amount` is more where the limiter has found more. */
  readonly configured: number
  /** The window with the spread of arrivals: W + J. */
  readonly windowMs: number
  /** How much may go at once after a quiet spell. */
  readonly burst: number
  /** Whether it is spread over the window, or only counted. */
  readonly paced: boolean
  /** The time zone of a calendar day. */
  readonly timeZone?: string
  /** The rate of this process now, in units per ms; 0 for a quota. */
  readonly rate: number
}

/** The limiter, as its store sees it. All times are those of `now()`. */
export interface StoreHost {
  /** The limiter's name: limiters of one name share their limits. */
  readonly name: string
  /** Where time comes from. */
  readonly clock: Clock
  /** The time of the limiter's own monotonic clock, in ms. */
  now(): number
  /** The limits to share. */
  limits(now: number): SharedLimit[]
  /** The most calls in flight over all processes. */
  maxConcurrent(): number
  /** The slow start. */
  ramp(): { ms: number; from: number }
  /** How many calls wait to go; 0 while paused. */
  waiting(): number
  /** How many wait, the parked included. */
  inLine(): number
  /** Whether a ticket needs room in other limiters too: those above and below. */
  inTree(): boolean
  /** Does something later; the process need not stay alive for it. Returns its cancel. */
  later(when: number, then: () => void): () => void
  /** Something changed: tickets may go. */
  look(): void
  /** Other processes were refused: the gate closes for `waitMs`. */
  hold(closing: Closing, waitMs: number): void
  /** This process may send the probe that it asked for. */
  permit(): void
  /** No call here sends the next probe; `lost`: another process sends it. Returns the state of the gate after that. */
  retreat(lost: boolean): Gate['state']
  /** The provider accepts again, as another process found out. */
  open(): void
  /** Another process was told that the quota is used up: for this long, or until it tries again if unknown. */
  spend(forMs: number, known: boolean): void
  /** The quota is back, as another process found out. */
  restore(): void
  /** What all have learned, by the key of the limit. */
  adopt(learned: Readonly<Record<string, Learned>>): void
  /** Takes over a rate that another process has learned. */
  learned(now: number): Record<string, Learned>
  /** The amounts of each limit that the provider accepted from other processes. */
  accepted(amounts: readonly number[]): void
  /** How many calls have gone here in all, and whether the provider answers. */
  met(): Omit<Evidence, 'refusals'>
  /** What other processes have met since the last time. */
  heard(evidence: Evidence): void
  /** Emits `store`: it is out of reach, or back. */
  tell(event: StoreEvent): void
  /** Rejects all calls that wait, since the store does not answer. */
  reject(cause: unknown): void
}

/** What a store reports about itself. */
export interface StoreEvent {
  /**
   * `'up'` and `'down'`: the store answers, or does not. `'foreign-data'`: a key or the channel held something that
   * llmiter did not write; it is ignored. `'version-differs'`: processes with a version of llmiter that cannot share
   * with this one use the same name; the two keep apart. `'expired'`: the store has been down for so long that others
   * may have the share of this process; its calls wait. `'limits-differ'`: another process was started, or updated,
   * later and has other limits. All follow those. `limits` has both values. `error` says more.
   */
  state: 'up' | 'down' | 'foreign-data' | 'version-differs' | 'expired' | 'limits-differ'
  /** The number of processes that share the limit, as far as known. */
  processes?: number
  /** What went wrong, if something did. */
  error?: unknown
  /** Where limits differ: the amount of this process, and the amount that all follow. */
  limits?: readonly { readonly key: string; readonly here: number; readonly followed: number }[]
}

/** What a store gives to a limiter. Amounts stand in the order of `limits()`. */
export interface SharedSlots {
  /** The earliest time from `now` on at which the amounts fit, of what this process holds; else `Infinity`. */
  at(amounts: readonly number[], now: number): number
  /** Whether no more may be in flight here. */
  readonly full: boolean
  /** How many calls other processes have in flight, as far as known. */
  readonly inFlightElsewhere: number
  /**
   * The provider refused a call as too many at once: all processes are to have fewer in flight.
   * False when this process must see to it alone.
   */
  tooMany(): boolean
  /** Takes what `at` has just said is free. */
  take(amounts: readonly number[], now: number): void
  /** A call taken at `takenAt` ended. `differences` is its usage minus what it took; negative if it used less. */
  settle(differences: readonly number[], takenAt: number, refused: readonly number[]): void
  /** Calls wait now, or none waits any more. */
  crowd(): void
  /**
   * A call was refused: `judge` is called once it is known what other processes met. False when no other must be asked.
   */
  defer(judge: () => void): boolean
  /** The gate of this limiter moved. */
  gate(gate: Gate, closing: Closing, now: number): void
  /** The provider says that the quota is used up: for this long, or until the next call tries if unknown. */
  spend(forMs: number, known: boolean): void
  /** The gate asks which process may probe. */
  claim(): void
  /** This limiter has learned a rate. */
  learned(now: number): void
  /** The limits are others now. */
  update(now: number): void
  /** Why calls are rejected now, if they are: the store does not answer. */
  refusal(): { cause: unknown } | undefined
  /** Gives everything back and leaves. */
  stop(): void
}
