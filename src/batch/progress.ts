// The progress of a job, its estimated end, and its totals. The end is estimated from the limiters: their pace,
// their waiting calls and their quotas. If none of these limits the job, it is estimated from the pace of the last
// minutes.

import { type BucketRateLimiter, type CallOptions, type LimiterStats, type Mark, readUsage } from 'llmiter'
import { leastOf, type Summary } from './summary.ts'

/** How far a job is. */
export interface Progress {
  /** Items that have ended, including failed ones but not skipped ones. */
  done: number
  /** Items that failed. */
  failed: number
  /** Items that `skip` excluded. */
  skipped: number
  /** The number of all items, if known. */
  total?: number
  /** The measured pace, in items per minute. */
  perMinute: number
  /**
   * Time in ms until the end, if the total is known: from the limiters' pace and quotas, the waiting calls, and
   * how long calls take. `Infinity` while a limiter is paused without an end.
   */
  etaMs?: number
}

/** The time span over which the pace is measured. */
const MEMORY_MS = 120_000
/** How many calls the mean duration is computed from. */
const MEASURED = 32

export class Pace {
  #count = 0
  #ms = 0
  #at: number

  constructor(now: number) {
    this.#at = now
  }

  /** Records one more finished item. Returns the pace in items per ms. */
  next(now: number): number {
    const elapsed = now - this.#at
    const kept = Math.exp(-elapsed / MEMORY_MS)
    this.#count = this.#count * kept + 1
    this.#ms = this.#ms * kept + elapsed
    this.#at = now
    return this.#ms > 0 ? this.#count / this.#ms : 0
  }
}

/** The part of a job that goes through one limiter. */
interface Part {
  readonly mark: Mark
  /** The limits before the first item. */
  readonly limits: LimiterStats['limits']
  items: number
  /** The sum of the costs given for items, and how many items had one. */
  readonly cost: Record<string, number>
  said: number
}

function meanCost({ cost, said }: Part): Record<string, number> | undefined {
  if (said === 0) return undefined
  return Object.fromEntries(Object.entries(cost).map(([of, sum]) => [of, sum / said]))
}

/** What is left of a job. */
export interface Remainder {
  /** Items that have not asked for a ticket yet. */
  unread: number
  /** Items that wait for their first ticket, and items whose calls run. */
  inLine: number
  running: number
  /** The maximum number of calls that wait or run at the same time. */
  concurrency: number
  /** The pace of the last minutes, in items per ms. */
  perMs: number
}

/** Estimates the rest of a job from its limiters. */
export class Outlook {
  readonly #parts = new Map<BucketRateLimiter, Part>()
  #items = 0
  #meanMs = 0
  #ranMs = 0
  #measured = 0
  #lastBegunAt = 0
  #waitedMs = 0
  #begun = 0
  #tokens = 0

  /** Records that an item asks this limiter for a ticket. */
  asks(limiter: BucketRateLimiter, { cost }: CallOptions): void {
    let part = this.#parts.get(limiter)
    if (!part) {
      part = { mark: limiter.mark(), limits: limiter.stats().limits, items: 0, cost: {}, said: 0 }
      this.#parts.set(limiter, part)
    }
    this.#items++
    part.items++
    if (!cost) return
    part.said++
    for (const name in cost) part.cost[name] = (part.cost[name] ?? 0) + (cost[name] ?? 0)
  }

  /** Records that an item got its first ticket. */
  begins(waitedMs: number, now: number): void {
    this.#begun++
    this.#waitedMs += waitedMs
    this.#lastBegunAt = now
  }

  /** Records that an item ended, `ms` after its first ticket. */
  ends(ms: number, value: unknown): void {
    this.#measured = Math.min(this.#measured + 1, MEASURED)
    this.#meanMs += (ms - this.#meanMs) / this.#measured
    this.#ranMs += ms
    const { tokens, inputTokens = 0, outputTokens = 0 } = readUsage(value) ?? {}
    this.#tokens += tokens ?? inputTokens + outputTokens
  }

  etaMs({ unread, inLine, running, concurrency, perMs }: Remainder, now: number): number {
    const left = unread + inLine
    if (left + running === 0) return 0
    if (left === 0) return Math.max(0, this.#lastBegunAt + this.#meanMs - now)
    let wait = 0
    for (const [limiter, part] of this.#parts) {
      const calls = Math.round((unread * part.items) / this.#items)
      // Without more calls, the last one in the queue is the last.
      const more = calls > 0 ? limiter.waitTime(meanCost(part), calls - 1) : limiter.waitTime({ requests: 0 })
      wait = Math.max(wait, more)
    }
    // The limiters do not hold the job back, so only its measured pace is known.
    if (wait === 0 && perMs > 0 && concurrency === Infinity) return (left + running) / perMs
    return Math.max(wait + this.#meanMs, ((left + running) / concurrency) * this.#meanMs)
  }

  /** What the limiters have counted since the job began. */
  summary(): Pick<Summary, 'refused' | 'waitedMs' | 'tokens' | 'least' | 'boundBy'> & {
    self: string
    failure?: string
    refusal?: string
  } {
    let [refused, counted] = [0, 0]
    const all = [...this.#parts].map(([limiter, part]) => ({ ...part, stats: limiter.stats(part.mark) }))
    // With only one limiter, its name is omitted.
    const self = all.length === 1 ? all[0]!.stats.name : ''
    const leasts = all.flatMap(({ stats, limits }) => leastOf(stats, limits, this.#ranMs, self) ?? [])
    for (const { stats } of all) {
      refused += stats.refused
      const used = (name: string) =>
        Math.max(0, ...stats.limits.filter(({ of }) => of === name).map((limit) => limit.used))
      counted += used('tokens') || used('inputTokens') + used('outputTokens')
    }
    const least = leasts.sort((a, b) => b.ms - a.ms)[0]
    const failure = all.map(({ stats }) => stats.lastFailure).find(Boolean)
    const last = all.map(({ stats }) => stats.lastRefusal).find(Boolean)
    return {
      refused,
      waitedMs: this.#begun > 0 ? this.#waitedMs / this.#begun : 0,
      tokens: this.#tokens || counted,
      ...(least && { least }),
      boundBy: all.flatMap(({ stats }) => stats.boundBy).sort((a, b) => b.share - a.share),
      self,
      ...(failure !== undefined && { failure }),
      ...(last && { refusal: `${last.kind}: ${last.reason}` }),
    }
  }
}

/** The number of items, if it is known without reading them. */
export function countOf(items: unknown): number | undefined {
  const { length, size } = items as { length?: unknown; size?: unknown }
  const count = typeof items === 'string' ? undefined : (length ?? size)
  return typeof count === 'number' ? count : undefined
}
