// The counts of all clients of one guard, in this process.
//
// Clients stand in the order in which they last passed, so whoever can be forgotten stands first, and forgetting needs
// no timer and no search. There are never more than `maxKeys` of them. When all of those still count, a new client
// is turned away: to forget one that counts would give its limit twice, and that is what a flood of made-up keys is
// after.

import type { GuardAnswer, GuardLimit } from 'llmiter'
import { SlidingLog } from './sliding-log.ts'

interface Client {
  readonly logs: readonly SlidingLog[]
  lastAt: number
}

/** There is no room for another client before so many ms. */
export interface Full {
  readonly fullMs: number
}

export class Table {
  readonly #limits: readonly GuardLimit[]
  readonly #maxKeys: number
  readonly #longestMs: number
  readonly #clients = new Map<string, Client>()

  constructor(limits: readonly GuardLimit[], maxKeys: number) {
    this.#limits = limits
    this.#maxKeys = maxKeys
    this.#longestMs = Math.max(...limits.map(({ windowMs }) => windowMs))
  }

  get size(): number {
    return this.#clients.size
  }

  take(key: string, now: number): GuardAnswer | Full {
    const known = this.#clients.get(key)
    if (!known) {
      const fullMs = this.#makeRoom(now)
      if (fullMs > 0) return { fullMs }
    }
    const limits = this.#limits
    const client = known ?? { logs: limits.map(() => new SlidingLog()), lastAt: now }
    const { logs } = client
    const counts = logs.map((log, i) => log.count(limits[i]!, now))
    if (counts.some(({ used }, i) => used >= limits[i]!.amount)) return { allowed: false, counts }
    logs.forEach((log, i) => log.add(limits[i]!, now))
    client.lastAt = now
    if (known) this.#clients.delete(key)
    this.#clients.set(key, client)
    return { allowed: true, counts: logs.map((log, i) => log.count(limits[i]!, now)) }
  }

  /** Two go for each that comes, so the table shrinks after a flood. Returns the ms until there is room. */
  #makeRoom(now: number): number {
    let gone = 0
    for (const [key, { lastAt }] of this.#clients) {
      const leftMs = lastAt + this.#longestMs - now
      if (leftMs > 0) return this.#clients.size < this.#maxKeys ? 0 : leftMs
      this.#clients.delete(key)
      if (++gone === 2) break
    }
    return 0
  }
}
