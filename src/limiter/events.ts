// What a limiter tells to those who listen. A listener that throws disturbs nobody: it is reported to `error`.

import type { GateState } from '../core/inspect.ts'
import type { StoreEvent } from './store-adapter.ts'
import type { Refusal } from '../responses/verdict.ts'
import type { HealthReading } from './health.ts'

export interface LimiterEvents {
  /** A call asks for a ticket. */
  request: { waiting: number }
  /** A ticket was issued, after so long in line since the call came, or was refused. */
  issue: { waitedMs: number }
  /** A call begins with its ticket, in its caller's own async context: what is active there (a span) is the caller's. */
  start: { waitedMs: number }
  /** A call ended: answered (`ok`) or failed with an error of its own. */
  finish: { ok: boolean; ms: number }
  /** A stream gave its `first` token, or the next; its reader waited so long for it. */
  chunk: { first: boolean; ms: number }
  /** The provider refused a call. */
  refuse: { verdict: Refusal; error: unknown }
  /** The refused call waits at the front of the line. */
  park: { parked: number; refusals: number }
  /** The limiter turned a call away: the line is full, the wait too long, the limiter stopped, the call aborted. */
  reject: { error: unknown }
  /** The gate closed, is being probed, or is open again. */
  gate: { state: GateState; reopensInMs?: number }
  /** The provider's real limit, as far as it is known, changed. */
  learn: { of: string; perMinute: number }
  /** By its latency the provider is unhealthy, nearly so (`warning`), or well again. */
  health: HealthReading
  /** A transient failure will be tried again. */
  retry: { attempt: number; delayMs: number; error: unknown }
  /** A call was refused ten times, has been parked for five minutes, or its stream is not being read. */
  stuck: { refusals: number; parkedMs: number; reason: string }
  /** Something of yours threw (a listener, a probe, `usage`, `classify`, the clock); the calls go on. */
  error: { error: unknown; where: string }
  /** The store of a shared limit is out of reach, or back; `processes` is how many share it. */
  store: StoreEvent
  /** Nothing waits and nothing is in flight. */
  idle: Record<never, never>
  /** A `drain()` is over. */
  drain: Record<never, never>
  /** `stop()` was called; those who waited have been turned away. */
  stop: { reason?: unknown }
}

export type EventName = keyof LimiterEvents

/** Every event carries the name of its limiter. */
export type LimiterEvent<E extends EventName = EventName> = LimiterEvents[E] & { limiter: string }

/** A list that the compiler keeps complete. */
export const EVENTS = Object.keys({
  request: 1,
  issue: 1,
  start: 1,
  finish: 1,
  chunk: 1,
  refuse: 1,
  park: 1,
  reject: 1,
  gate: 1,
  learn: 1,
  health: 1,
  retry: 1,
  stuck: 1,
  error: 1,
  store: 1,
  idle: 1,
  drain: 1,
  stop: 1,
} satisfies Record<EventName, 1>) as EventName[]

type EventListener = (event: never) => void

export class EventEmitter {
  readonly #name: string
  readonly #listeners = new Map<EventName, Set<EventListener>>()

  constructor(name: string) {
    this.#name = name
  }

  on<E extends EventName>(name: E, listener: (event: LimiterEvent<E>) => void): () => void {
    const set = this.#listeners.get(name) ?? new Set()
    this.#listeners.set(name, set)
    set.add(listener)
    return () => {
      set.delete(listener)
      if (set.size === 0 && this.#listeners.get(name) === set) this.#listeners.delete(name)
    }
  }

  /** Whether it is worth making an event. */
  heard(name: EventName): boolean {
    return this.#listeners.size > 0 && this.#listeners.has(name)
  }

  emit<E extends EventName>(name: E, event: LimiterEvents[E]): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      try {
        ;(listener as (event: LimiterEvent<E>) => void)({ limiter: this.#name, ...event })
      } catch (error) {
        if (name !== 'error') this.emit('error', { error, where: `listener of '${name}'` })
      }
    }
  }
}
