// What a guard tells to those who listen. A listener that throws disturbs nobody: it is reported to `error`.

import { text } from '../lib/validate.ts'
import type { Verdict } from './decision.ts'

export interface GuardEvents {
  /** A request was turned away. */
  refuse: { key: string; verdict: Verdict }
  /** The guard remembers as many clients as it may, and new ones are turned away. Told once, until one is let in. */
  full: { keys: number }
  /** The store does not answer, or does again. */
  store: { state: 'up' | 'down'; error?: unknown }
  /** Something of yours threw: a listener, or, with `node:http`, one of the options. */
  error: { error: unknown; where: string }
}

export type GuardEventName = keyof GuardEvents
export type GuardEvent<E extends GuardEventName = GuardEventName> = GuardEvents[E] & { guard: string }

const EVENTS: readonly GuardEventName[] = ['refuse', 'full', 'store', 'error']

type Listener = (event: never) => void

export class GuardEmitter {
  readonly #guard: string
  readonly #listeners: Record<GuardEventName, Set<Listener>> = {
    refuse: new Set(),
    full: new Set(),
    store: new Set(),
    error: new Set(),
  }

  constructor(guard: string) {
    this.#guard = guard
  }

  on<E extends GuardEventName>(event: E, listener: (event: GuardEvent<E>) => void): () => void {
    if (!EVENTS.includes(event))
      throw new TypeError(`event must be ${EVENTS.map(text).join(' or ')}, got ${text(event)}`)
    if (typeof listener !== 'function')
      throw new TypeError(`listener must be a function, got ${text(listener)}`)
    this.#listeners[event].add(listener)
    return () => this.#listeners[event].delete(listener)
  }

  emit<E extends GuardEventName>(name: E, event: GuardEvents[E]): void {
    for (const listener of [...this.#listeners[name]]) {
      try {
        ;(listener as (event: GuardEvent<E>) => void)({ guard: this.#guard, ...event })
      } catch (error) {
        if (name !== 'error') this.emit('error', { error, where: `listener of '${name}'` })
      }
    }
  }
}
