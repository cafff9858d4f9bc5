// The events of a guard.

import type { Emitter } from '../lib/emitter.ts'
import type { Verdict } from './decision.ts'

/** The data of each event of a guard. */
export interface GuardEvents {
  /** A request was rejected. `key` is a hash of the client's key, unless `hashKeys` is false. */
  refuse: { key: string; verdict: Verdict }
  /**
   * A limit now tracks `maxKeys` clients. From now on some are forgotten early, and new IPv6 clients share a count
   * with their neighbours. Emitted once, until a quarter of the table is free again.
   */
  full: { keys: number }
  /**
   * A request had `X-Forwarded-For` from a peer that `trustProxy` does not trust, so its client is identified by
   * the address of that peer. Emitted once per guard. Without a listener it is written to `console.warn`.
   */
  proxy: { peer: string | undefined; header: 'X-Forwarded-For' }
  /** The store stopped answering, or answers again. */
  store: { state: 'up' | 'down'; error?: unknown }
  /** User code threw: a listener or, with `node:http`, one of the options. */
  error: { error: unknown; where: string }
}

/** The name of an event of a guard. */
export type GuardEventName = keyof GuardEvents
/** An event of a guard, with the guard's name. */
export type GuardEvent<E extends GuardEventName = GuardEventName> = GuardEvents[E] & { guard: string }

/** A list that the compiler keeps complete. */
export const GUARD_EVENTS = Object.keys({
  refuse: 1,
  full: 1,
  proxy: 1,
  store: 1,
  error: 1,
} satisfies Record<GuardEventName, 1>) as GuardEventName[]

export type GuardEmitter = Emitter<GuardEvents, { guard: string }>
