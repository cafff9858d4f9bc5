/** A store in memory that behaves like Redis, for limiters in one process and in virtual time. */
import { choice, fields, number } from '../../lib/validate.ts'
import type { BudgetStore, SharedSlots, Store, StoreHost } from '../../index.ts'
import { budgetLedger } from './budget-ledger.ts'
import { Ledger } from './ledger.ts'
import { FleetAgent } from '../../distributed/client/agent.ts'
import type { StoreTransport, StoreNews } from '../../distributed/protocol.ts'
import { callableOrNone, drawn } from '../check.ts'

/** Options of `memoryStore`. */
export interface MemoryStoreOptions {
  /**
   * How long a request and its answer take together, in ms. A function receives the number of the limiter, so that
   * distances to the store can differ.
   * @default 1
   */
  lagMs?: number | ((limiter: number) => number)
  /**
   * Whether news is published to all immediately. If not, it arrives with the next answer.
   * @default true
   */
  pubsub?: boolean
  /**
   * What a limiter does that is cut off: see `redisStore`.
   * @default 'share'
   */
  onStoreDown?: 'share' | 'wait' | 'reject'
  /** The number of processes, for limiters that are cut off. */
  processes?: number
  /**
   * The store's clock, in epoch ms.
   * @default the clock of the first limiter
   */
  time?: () => number
}

/** A store in memory that can simulate failures. */
export interface MemoryStore extends Store, BudgetStore {
  /** The number of requests so far. */
  readonly questions: number
  /** Cuts off limiters, given by number in the order in which they joined. */
  cut(limiters: 'all' | readonly number[]): void
  /** Ends `cut`. */
  mend(): void
  /** Loses all data, as after FLUSHALL. */
  flush(): void
  /** Kills the limiter with this number without a goodbye. */
  kill(limiter: number): void
}

/** Copies a message as Redis would, limited to what JSON can express. Takes half the time of a structured clone. */
const sent = <T>(message: T): T => JSON.parse(JSON.stringify(message)) as T

/**
 * Shares limits between limiters of one process, as `redisStore` does between processes. Each limiter represents
 * one process.
 *
 * @example
 * const store = memoryStore()
 * const fleet = Array.from({ length: 20 }, () =>
 *   new BucketRateLimiter({ name: 'gpt-5', requestsPerMinute: 600, store, clock }))
 */
export function memoryStore(options: MemoryStoreOptions = {}): MemoryStore {
  const { pubsub, onStoreDown, processes, lagMs } = checked(options)
  const ledgers = new Map<string, Ledger>()
  const listeners = new Map<string, Set<(news: StoreNews, now: number) => void>>()
  const dead = new Set<number>()
  let cut: (limiter: number) => boolean = () => false
  let members = 0
  /** Applies only to `cut('all')`, because a pool has no number. */
  let isCut = false
  let questions = 0
  let generation = 0

  const ledgerOf = (name: string) => {
    let ledger = ledgers.get(name)
    if (!ledger) {
      ledger = new Ledger((news, now) => {
        for (const heard of listeners.get(name) ?? []) heard(news, now)
      })
      ledgers.set(name, ledger)
    }
    return ledger
  }

  const transportOf = (host: StoreHost, limiter: number): StoreTransport => {
    const { clock, name } = host
    const start = clock.wall() - clock.now()
    const time = options.time ?? (() => start + clock.now())
    const later = (then: () => void) => {
      clock.setTimer(then, lagMs(limiter) / 2, false)
    }
    return {
      ask(request, done) {
        if (dead.has(limiter)) return
        questions++
        if (cut(limiter)) {
          later(() => done(new Error('the store is cut off')))
          return
        }
        later(() => {
          const answer = ledgerOf(name).ask(request, time(), String(++generation))
          const copy = sent(answer)
          later(() => done(undefined, copy))
        })
      },
      listen(heard) {
        if (!pubsub) return () => {}
        const hear = (news: StoreNews, now: number) => {
          if (cut(limiter) || dead.has(limiter)) return
          const copy = sent(news)
          later(() => heard(copy, now))
        }
        const set = listeners.get(name) ?? new Set()
        listeners.set(name, set.add(hear))
        return () => set.delete(hear)
      },
      close() {},
    }
  }

  const budgets = budgetLedger(() => {
    if (isCut) throw new Error('the store is cut off')
  })

  return {
    reserve: budgets.reserve,
    settle: budgets.settle,
    open(host: StoreHost): SharedSlots {
      const limiter = members++
      const random = () => host.clock.random?.() ?? Math.random()
      const gone = (ids: readonly string[]) => ids.filter((id) => dead.has(Number(id)))
      return new FleetAgent(host, transportOf(host, limiter), {
        id: String(limiter),
        onStoreDown,
        processes,
        random,
        gone,
      })
    },
    get questions() {
      return questions
    },
    cut(limiters) {
      cut = (limiter) => limiters === 'all' || limiters.includes(limiter)
      isCut = limiters === 'all'
    },
    mend() {
      cut = () => false
      isCut = false
    },
    flush() {
      for (const ledger of ledgers.values()) ledger.flush()
      budgets.flush()
    },
    kill(limiter) {
      dead.add(limiter)
    },
  }
}

function checked(options: MemoryStoreOptions) {
  fields(options, 'memoryStore', ['lagMs', 'pubsub', 'onStoreDown', 'processes', 'time'])
  const { lagMs = 1, pubsub = true, onStoreDown = 'share', processes, time } = options
  choice(pubsub, 'pubsub', [true, false])
  choice(onStoreDown, 'onStoreDown', ['share', 'wait', 'reject'])
  if (processes !== undefined) number(processes, 'processes', 'a whole number of at least 1')
  callableOrNone(time, 'time')
  return { pubsub, onStoreDown, processes, lagMs: drawn(lagMs, 'lagMs') }
}
