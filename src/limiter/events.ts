// The events of a limiter.

import type { Emitter } from '../lib/emitter.ts'
import type { GateState } from '../core/inspect.ts'
import type { StoreEvent } from './store.ts'
import type { Synonyms } from '../lib/suggest.ts'
import type { CallEvents } from '../call/events.ts'
import type { HealthReading } from '../call/health.ts'

/** The data of each event, besides the limiter's name. */
export interface LimiterEvents extends CallEvents {
  /** The gate closed, started probing, or opened again. */
  gate: { state: GateState; reopensInMs?: number }
  /** The limiter's estimate of the provider's real limit changed. */
  learn: { of: string; perMinute: number }
  /** A configured quota is used up. Calls wait at least `waitMs` until it resets. Emitted once each time. */
  quota: { of: string; amount: number; perMs: number; waitMs: number }
  /**
   * A limit with a `refill` is empty, and calls wait until it is refilled. Emitted with each ticket that leaves
   * nothing.
   */
  depleted: { of: string }
  /** The provider's latency became too high (`unhealthy`), close to the threshold (`warning`), or normal. */
  health: HealthReading
  /** The store of a shared limit became unreachable or reachable. `processes` is how many processes share it. */
  store: StoreEvent
  /** No call is waiting or in flight. */
  idle: Record<never, never>
  /** A `drain()` has finished. */
  drain: Record<never, never>
  /** `stop()` was called, and the waiting calls were rejected. */
  stop: { reason?: unknown }
}

/** The name of an event of a limiter. */
export type EventName = keyof LimiterEvents

/** Every event carries the name of its limiter. */
export type LimiterEvent<E extends EventName = EventName> = LimiterEvents[E] & { limiter: string }

/** A list that the compiler keeps complete. */
export const EVENTS = Object.keys({
  request: 1,
  issue: 1,
  start: 1,
  finish: 1,
  usage: 1,
  chunk: 1,
  refuse: 1,
  park: 1,
  reject: 1,
  gate: 1,
  learn: 1,
  quota: 1,
  depleted: 1,
  empty: 1,
  health: 1,
  retry: 1,
  stuck: 1,
  error: 1,
  store: 1,
  idle: 1,
  drain: 1,
  stop: 1,
} satisfies Record<EventName, 1>) as EventName[]

export const EVENT_SYNONYMS: Synonyms = {
  request: 'queued received',
  issue: 'ticket acquired',
  start: 'executing active',
  finish: 'done complete completed success end',
  refuse: '429 ratelimit ratelimited throttled',
  reject: 'dropped failed',
}

export type LimiterEmitter = Emitter<LimiterEvents, { limiter: string }>
