// The counts of all clients of one guard in this process. Each limit has its own table, so that a client of a
// limit per minute is forgotten after a minute, even if another limit is per day.
//
// Clients are ordered by the time they last passed, so those that can be forgotten come first, and forgetting
// needs no timer and no search. There are never more than `maxKeys` clients per table, and up to that number every
// count is exact.
//
// A flood of made-up addresses fills a table, and must not lock out clients that come later. So a full table is no
// longer exact. New IPv6 clients are identified by the /56 that they share with their neighbours, and by the /48
// if many of its /56 appear. For each new client, an old one is forgotten: of those that passed the longest ago,
// the one furthest from its limit, since it gains the least from a reset count.

import type { GuardAnswer, GuardCount, GuardLimit } from 'llmiter'
import { addressKey, parseNetwork } from './address.ts'
import { SlidingLog } from './sliding-log.ts'

/** A full table counts as full until it has shrunk to this share. */
const EASED = 0.75
/** A /48 with this many known /56 blocks is counted as one client. */
const MOST_BLOCKS = 16
/** How many candidates are compared before one is forgotten. */
const LOOKED_AT = 16
/** The maximum number of candidates, if all of the first ones have used up their limit. */
const MOST_LOOKED_AT = 1000

interface Client {
  readonly log: SlidingLog
  lastAt: number
}

/** The blocks that an IPv6 client belongs to. Undefined for other clients. */
function blocksOf(key: string): { narrow: string; wide: string } | undefined {
  const network = key.includes('/') ? parseNetwork(key) : undefined
  if (!network || network.bits <= 56) return undefined
  return { narrow: addressKey(network.address, 56), wide: addressKey(network.address, 48) }
}

/** The clients of one limit. */
class LimitTable {
  readonly #limit: GuardLimit
  readonly #maxKeys: number
  readonly #clients = new Map<string, Client>()
  /** The number of known /56 blocks per /48. */
  readonly #blocks = new Map<string, number>()
  #full = false
  /** Iterates over the table in a circle, so it returns to an entry only after all others. */
  #hand: Iterator<[string, Client]> = this.#clients.entries()

  constructor(limit: GuardLimit, maxKeys: number) {
    this.#limit = limit
    this.#maxKeys = maxKeys
  }

  get size(): number {
    return this.#clients.size
  }

  get full(): boolean {
    return this.#full
  }

  /** The name under which this client is counted. */
  nameOf(key: string, now: number): string {
    if (this.#clients.has(key)) return key
    this.#forget(now)
    if (this.#clients.size >= this.#maxKeys) this.#full = true
    else if (this.#clients.size <= EASED * this.#maxKeys) this.#full = false
    if (!this.#full) return key
    const blocks = blocksOf(key)
    if (!blocks) return key
    const { narrow, wide } = blocks
    if (this.#clients.has(narrow)) return narrow
    return this.#clients.has(wide) || (this.#blocks.get(wide) ?? 0) >= MOST_BLOCKS ? wide : narrow
  }

  count(name: string, now: number): GuardCount {
    return this.#clients.get(name)?.log.count(this.#limit, now) ?? { used: 0, resetMs: 0 }
  }

  /** Call only after `count` has found room at `now`. */
  add(name: string, now: number): GuardCount {
    const known = this.#clients.get(name)
    if (known) this.#clients.delete(name)
    else if (this.#clients.size >= this.#maxKeys) this.#drop(this.#furthest(now))
    const client = known ?? { log: new SlidingLog(), lastAt: now }
    this.#clients.set(name, client)
    if (!known) this.#countBlock(name, 1)
    client.lastAt = now
    client.log.add(this.#limit, now)
    return client.log.count(this.#limit, now)
  }

  /** Removes two clients for each new one, so that the table shrinks after a flood. */
  #forget(now: number): void {
    let gone = 0
    for (const [key, { lastAt }] of this.#clients) {
      if (lastAt + this.#limit.windowMs > now || gone++ === 2) return
      this.#drop(key)
    }
  }

  #drop(key: string): void {
    this.#clients.delete(key)
    this.#countBlock(key, -1)
  }

  #countBlock(key: string, by: 1 | -1): void {
    if (!key.endsWith('/56')) return
    const network = parseNetwork(key)
    if (!network) return
    const wide = addressKey(network.address, 48)
    const count = (this.#blocks.get(wide) ?? 0) + by
    if (count > 0) this.#blocks.set(wide, count)
    else this.#blocks.delete(wide)
  }

  #furthest(now: number): string {
    const { amount } = this.#limit
    let furthest = ''
    let least = Infinity
    for (let seen = 0; seen < Math.min(MOST_LOOKED_AT, this.#clients.size); seen++) {
      if (seen >= LOOKED_AT && least < amount) break
      const [key, client] = this.#next()
      const { used } = client.log.count(this.#limit, now)
      if (used < least) [furthest, least] = [key, used]
    }
    return furthest
  }

  #next(): [string, Client] {
    let next = this.#hand.next()
    if (next.done) {
      this.#hand = this.#clients.entries()
      next = this.#hand.next()
    }
    return next.value
  }
}

export class Table {
  readonly #limits: readonly GuardLimit[]
  readonly #tables: readonly LimitTable[]

  constructor(limits: readonly GuardLimit[], maxKeys: number) {
    this.#limits = limits
    this.#tables = limits.map((limit) => new LimitTable(limit, maxKeys))
  }

  /** The highest number of clients in any table. */
  get size(): number {
    return Math.max(...this.#tables.map(({ size }) => size))
  }

  /** Whether a table is full, so that new clients are no longer counted exactly. */
  get full(): boolean {
    return this.#tables.some(({ full }) => full)
  }

  take(key: string, now: number): GuardAnswer {
    const names = this.#tables.map((table) => table.nameOf(key, now))
    const counts = this.#tables.map((table, i) => table.count(names[i]!, now))
    if (counts.some(({ used }, i) => used >= this.#limits[i]!.amount)) return { allowed: false, counts }
    return { allowed: true, counts: this.#tables.map((table, i) => table.add(names[i]!, now)) }
  }
}
