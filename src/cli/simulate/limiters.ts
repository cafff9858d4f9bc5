// llmiter as a program would use it: `BucketRateLimiter`s on the virtual clock, and `withLimiter` around the call,
// which says what it will cost as well as a careful caller can, and what it has used.
//
// Several processes are several limiters of one name. With a store that they share, as `llmiter/redis` is one, each is
// told the whole limit; without, each can only be told its part.

import {
  type BoundBy,
  BucketRateLimiter,
  type Mark,
  reasonWords,
  withLimiter,
  type LimitOptions,
  type LimiterOptions,
} from 'llmiter'
import { memoryStore, type MemoryStore } from 'llmiter/testing'
import type { FleetShares } from './client.ts'
import { KINDS, type UsageTier } from './providers.ts'
import { tokensOf, type JobPlan } from './plan.ts'
import { Recorder, type Levels, type OnTime } from './recorder.ts'
import type { SimulatedCall, Way, World } from './world.ts'

/** What somebody starts with who knows nothing of his limit: so many calls a minute. */
const FIRST_GUESS = 60
const MINUTE_MS = 60_000

/** More curves than that nobody tells apart: then the page shows their sum. */
const MOST_CURVES = 20

export class Limiters {
  readonly #plan: JobPlan
  readonly #limiters: BucketRateLimiter[]
  readonly #marks: Mark[]
  readonly #ways: ((call: SimulatedCall) => Promise<unknown>)[]
  readonly #store: MemoryStore | undefined
  readonly recorders: Recorder[] = []
  #next = 0
  /** By process, of the first half of the calls. */
  readonly #served: number[]
  #left: number

  constructor(world: World, plan: JobPlan, tier: UsageTier, watched?: OnTime) {
    const { processes } = plan
    this.#plan = plan
    this.#store = plan.store === 'shared' ? memoryStore() : undefined
    this.#served = Array<number>(processes).fill(0)
    this.#left = Math.ceil(plan.jobs.length / 2)
    const options = { ...told(plan, tier), clock: world.clock, ...(this.#store && { store: this.#store }) }
    this.#limiters = Array.from(
      { length: processes },
      () => new BucketRateLimiter({ name: 'llmiter', ...options }),
    )
    this.#marks = this.#limiters.map((limiter) => limiter.mark())
    const recorders = watched && this.#record(world, watched)
    this.#ways = this.#limiters.map((limiter, i) => wayThrough(limiter, world, plan, recorders?.[i]))
  }

  /** Processes get their calls in turn. */
  async call(call: SimulatedCall): Promise<void> {
    const process = this.#next++ % this.#ways.length
    await this.#ways[process]!(call)
    if (this.#left-- > 0) this.#served[process]!++
  }

  fleet(): FleetShares {
    return {
      least: least(this.#served),
      most: -least(this.#served.map((calls) => -calls)),
      ...(this.#store && { questions: this.#store.questions }),
    }
  }

  /** What calls waited for, as the mean of all processes. */
  boundBy(): BoundBy[] {
    const sums = new Map<string, BoundBy>()
    for (const [i, limiter] of this.#limiters.entries()) {
      for (const reason of limiter.stats(this.#marks[i]).boundBy) {
        const words = reasonWords(reason)
        const share = (sums.get(words)?.share ?? 0) + reason.share / this.#limiters.length
        sums.set(words, { ...reason, share })
      }
    }
    return [...sums.values()].sort((a, b) => b.share - a.share)
  }

  stop(): void {
    for (const limiter of this.#limiters) limiter.stop('the simulation is over')
  }

  /** The recorder of each limiter. */
  #record(world: World, watched: OnTime): Recorder[] {
    const limiters = this.#limiters
    const parts = this.#plan.store === 'shared' ? limiters.length : 1
    const over = (some: readonly BucketRateLimiter[], name: string) => {
      const recorder = new Recorder(world.clock, watched, name, () => levelsOf(some, parts))
      this.recorders.push(recorder)
      for (const limiter of some) listen(limiter, recorder)
      return recorder
    }
    if (limiters.length > 1 && limiters.length <= MOST_CURVES)
      return limiters.map((limiter, i) => over([limiter], `llmiter ${i + 1}`))
    const all = over(limiters, 'llmiter')
    return limiters.map(() => all)
  }
}

const least = (values: readonly number[]) => values.reduce((a, b) => Math.min(a, b))

function listen(limiter: BucketRateLimiter, recorder: Recorder): void {
  limiter.on('request', () => recorder.count('requests'))
  limiter.on('issue', ({ waitedMs }) => recorder.issued(waitedMs))
  limiter.on('refuse', () => recorder.count('refused'))
  limiter.on('finish', ({ ok }) => recorder.count(ok ? 'finished' : 'failed'))
  limiter.on('reject', () => recorder.count('rejected'))
}

export function wayThrough(
  limiter: BucketRateLimiter,
  world: Way,
  plan: JobPlan,
  recorder: Recorder | undefined,
) {
  const { sizes, knobs } = plan
  const { settled } = KINDS[plan.provider]!
  const way = withLimiter((call: SimulatedCall) => send(world, call), limiter, {
    cost: (call) => costFor(plan, call),
    usage: ({ call: { job } }) => ({
      tokens: settled(tokensOf(sizes, job), knobs),
      inputTokens: job.inputTokens,
      outputTokens: job.outputTokens,
    }),
  })
  if (!recorder) return way
  return async (call: SimulatedCall) => {
    recorder.asked(costFor(plan, call).tokens)
    await way(call)
    recorder.used(settled(tokensOf(sizes, call.job), knobs))
  }
}

/** How long an answer will be nobody knows; a caller knows about how long they are. */
export function costFor({ provider, sizes }: JobPlan, { job }: SimulatedCall) {
  const { reserved } = KINDS[provider]!
  const expected = { ...job, outputTokens: sizes.outputTokens }
  return { tokens: reserved(tokensOf(sizes, expected)), inputTokens: job.inputTokens }
}

/** An answer reaches the limiter as OpenAI's SDK would throw it. */
async function send(world: Way, call: SimulatedCall) {
  const reply = await world.send(call)
  if (!reply) throw Object.assign(new Error('no answer'), { code: 'ETIMEDOUT' })
  const { status, headers, body } = reply
  if (status === 200) return { status, headers, call }
  throw Object.assign(new Error(`refused (${status})`), { status, headers, ...body })
}

export function told(plan: JobPlan, tier: UsageTier): Omit<LimiterOptions, 'name' | 'clock'> {
  const { pacing } = plan
  const parts = plan.store === 'shared' ? 1 : plan.processes
  const unknown = plan.told === 'unknown'
  const { rpm, tpm, itpm, otpm, concurrency } = unknown ? guess(plan, tier) : tier
  const factor = (plan.told === 'unknown' ? 1 : plan.told) / parts
  const limit = (of: string, perMinute: number | undefined): LimitOptions[] =>
    perMinute === undefined ? [] : [limitOf(of, perMinute * factor, unknown ? {} : plan)]
  return {
    limits: [
      ...limit('requests', rpm),
      ...limit('tokens', tpm),
      ...limit('inputTokens', itpm),
      ...limit('outputTokens', otpm),
    ],
    ...(concurrency !== undefined && { maxConcurrent: Math.max(1, Math.floor(concurrency * factor)) }),
    pacing,
    discover: unknown,
    // What an SDK does of itself when no answer comes.
    retry: {},
  }
}

/** With what is known of how the provider keeps it: the windows it counts requests in, or what its bucket holds. */
function limitOf(of: string, amount: number, { provider, knobs }: Partial<JobPlan>): LimitOptions {
  const { windowMs, holdsMs } = KINDS[provider!]?.keeps?.(knobs!) ?? {}
  const usual = of === 'requests' ? Math.min(5, amount / 2) : amount / 5
  return {
    ...{ of, amount, per: '1m' },
    ...(windowMs !== undefined && of === 'requests' && { window: windowMs }),
    ...(holdsMs !== undefined && { burst: Math.max(1, Math.min(usual, (amount * holdsMs) / MINUTE_MS)) }),
  }
}

/** Of each limit what a few calls take, and at least the largest of them. */
function guess({ provider, jobs, sizes }: JobPlan, tier: UsageTier): UsageTier {
  const { reserved } = KINDS[provider]!
  const enough = (of: (job: (typeof jobs)[number]) => number) => {
    let [sum, largest] = [0, 0]
    for (const job of jobs) {
      sum += of(job)
      largest = Math.max(largest, of(job))
    }
    return Math.max((FIRST_GUESS * sum) / jobs.length, largest)
  }
  return {
    rpm: FIRST_GUESS,
    ...(tier.tpm !== undefined && { tpm: enough((job) => reserved(tokensOf(sizes, job))) }),
    ...(tier.itpm !== undefined && { itpm: enough(({ inputTokens }) => inputTokens) }),
    ...(tier.otpm !== undefined && { otpm: enough(({ outputTokens }) => outputTokens) }),
  }
}

/** The worst first. */
const GATES = ['closed', 'probing', 'open'] as const

/** Of these limiters together. Where `parts` share a limit, each counts for its part of it. */
export function levelsOf(limiters: readonly BucketRateLimiter[], parts: number): Levels {
  const all = limiters.map((limiter) => limiter.stats())
  const limits = (name: RegExp) => all.flatMap((stats) => stats.limits.find(({ of }) => name.test(of)) ?? [])
  const [requests, tokens] = [limits(/^requests$/), limits(/token/i)]
  return {
    waiting: sum(all, ({ waiting }) => waiting),
    parked: sum(all, ({ parked }) => parked),
    inFlight: sum(all, ({ inFlight }) => inFlight),
    gate: GATES.find((state) => all.some(({ gate }) => gate === state))!,
    ...(requests.length > 0 && {
      rate: sum(requests, ({ learned, amount }) => (learned ?? amount) / parts),
      limit: sum(requests, ({ amount }) => amount / parts),
    }),
    ...(tokens.length > 0 && {
      tokens: {
        available: sum(tokens, ({ available }) => available / parts),
        limit: sum(tokens, ({ amount }) => amount / parts),
      },
    }),
  }
}

const sum = <T>(all: readonly T[], of: (one: T) => number) => all.reduce((total, one) => total + of(one), 0)
