// Counts requests in a store that processes share. Without a store, or while it is down, counts in the memory of
// this process.
//
// A store that does not answer costs one timeout, not one per request: after a failure, one request per quarter of
// a second tries it again, and the others do without. A client over its limit is not looked up again until the
// time at which the store said there is room, so a flood of refused requests does not reach the store.

import type { GuardAnswer, GuardStore } from 'llmiter'
import type { Settings } from './options.ts'
import { Table } from './memory-counter.ts'
import { turnedAway, UNKNOWN, type Verdict, verdictOf } from './decision.ts'

const ASK_AGAIN_MS = 250
const MOST_REFUSED = 10_000

/** The reports of the counter. */
export interface CounterReports {
  full(keys: number): void
  store(state: 'up' | 'down', error?: unknown): void
}

export class CounterWithFallback {
  readonly #settings: Settings
  readonly #store: GuardStore | undefined
  readonly #reports: CounterReports
  readonly #table: Table
  readonly #refused = new Map<string, { at: number; until: number; answer: GuardAnswer }>()
  #full = false
  #down = false
  #askAgainAt = 0

  constructor(settings: Settings, store: GuardStore | undefined, reports: CounterReports) {
    this.#settings = settings
    this.#store = store
    this.#reports = reports
    this.#table = new Table(settings.limits, settings.maxKeys)
  }

  take(key: string): Verdict | Promise<Verdict> {
    if (!this.#store) return this.#takeHere(key)
    const now = this.#settings.clock.now()
    const known = this.#stillRefused(key, now)
    if (known) return this.#verdict(known)
    if (this.#down) {
      if (now < this.#askAgainAt) return this.#without(key)
      this.#askAgainAt = now + ASK_AGAIN_MS
    }
    return this.#takeThere(this.#store, key)
  }

  #takeHere(key: string): Verdict {
    const answer = this.#table.take(key, this.#settings.clock.now())
    const { full } = this.#table
    if (full && !this.#full) this.#reports.full(this.#table.size)
    this.#full = full
    return this.#verdict(answer)
  }

  async #takeThere(store: GuardStore, key: string): Promise<Verdict> {
    const { name, limits, clock, shownKey } = this.#settings
    try {
      const answer = await this.#inTime(store.take({ name, key: shownKey(key), limits }))
      if (this.#down) this.#reports.store('up')
      this.#down = false
      const verdict = this.#verdict(answer)
      if (!answer.allowed) {
        const at = clock.now()
        if (this.#refused.size >= MOST_REFUSED) this.#refused.clear()
        this.#refused.set(key, { at, until: at + verdict.retryAfterMs, answer })
      }
      return verdict
    } catch (error) {
      this.#askAgainAt = clock.now() + ASK_AGAIN_MS
      if (!this.#down) this.#reports.store('down', error)
      this.#down = true
      return this.#without(key)
    }
  }

  #without(key: string): Verdict {
    const { onStoreDown } = this.#settings
    if (onStoreDown === 'local') return this.#takeHere(key)
    return onStoreDown === 'open' ? UNKNOWN : turnedAway(ASK_AGAIN_MS)
  }

  #stillRefused(key: string, now: number): GuardAnswer | undefined {
    const known = this.#refused.get(key)
    if (!known) return undefined
    if (now >= known.until) {
      this.#refused.delete(key)
      return undefined
    }
    const counts = known.answer.counts.map(({ used, resetMs }) => ({
      used,
      resetMs: Math.max(0, resetMs - (now - known.at)),
    }))
    return { allowed: false, counts }
  }

  #verdict({ allowed, counts }: GuardAnswer): Verdict {
    return verdictOf(this.#settings.limits, allowed, counts)
  }

  #inTime(answer: Promise<GuardAnswer>): Promise<GuardAnswer> {
    const { clock, storeTimeoutMs } = this.#settings
    return new Promise((resolve, reject) => {
      const late = () => reject(new Error(`the store has not answered within ${storeTimeoutMs} ms`))
      const cancel = clock.setTimer(late, storeTimeoutMs)
      Promise.resolve(answer).then(resolve, reject).finally(cancel)
    })
  }
}
