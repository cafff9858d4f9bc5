// What a guard tells those who listen.

import type { Emitter } from '../lib/emitter.ts'
import type { Verdict } from './decision.ts'

/** What each event of a guard tells. */
export interface GuardEvents {
  /** A request was turned away. `key` is a hash of the client's key, unless `hashKeys` is false. */
  refuse: { key: string; verdict: Verdict }
  /**
   * A limit remembers as many clients as it may. From now on some are forgotten early, and IPv6 clients that are new share
   * a count with their neighbours. Told once, until a quarter of the room is free again.
   */
  full: { keys: number }
  /**
   * A request came with `X-Forwarded-For` from a peer that `trustProxy` does not trust, so its client is
   * known by the address of that peer. Told once for each guard, by
   * `console.warn` where nobody listens.
   */
  proxy: { peer: string | undefined; header: 'X-Forwarded-For' }
  /** The store does not answer, or does again. */
  store: { state: 'up' | 'down'; error?: unknown }
  /** Something of yours threw: a listener, or, with `node:http`, one of the options. */
  error: { error: unknown; where: string }
}

/** The name of an event of a guard. */
export type GuardEventName = keyof GuardEvents
/** An event of a guard, with its name. */
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
