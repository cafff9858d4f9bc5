// The events of a limiter.

import type { Emitter } from '../lib/emitter.ts'
import type { GateState } from '../core/inspect.ts'
import type { StoreEvent } from './store.ts'
import type { Synonyms } from '../lib/suggest.ts'
import type { CallEvents } from '../call/events.ts'
import type { HealthReading } from '../call/health.ts'

/** The data of each event, besides the limiter's name. */
export interface LimiterEvents extends CallEvents {
  /** The gate closed, is being probed, or is open again. */
  gate: { state: GateState; reopensInMs?: number }
  /** The limiter's estimate of the provider's real limit changed. */
  learn: { of: string; perMinute: number }
  /** A configured quota is used up: calls wait `waitMs` or longer until it resets. Emitted once each time. */
  quota: { of: string; amount: number; perMs: number; waitMs: number }
  /** A limit with a `refill` is empty: calls wait until it is refilled. Emitted with each ticket that leaves nothing. */
  depleted: { of: string }
  /** The provider's latency is too high, nearly too high (`warning`), or normal again. */
  health: HealthReading
  /** The store of a shared limit became unreachable, or is back; `processes` is how many share it. */
  store: StoreEvent
  /** Nothing waits and nothing is in flight. */
  idle: Record<never, never>
  /** A `drain()` is over. */
  drain: Record<never, never>
  /** `stop()` was called; the calls that waited were rejected. */
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
