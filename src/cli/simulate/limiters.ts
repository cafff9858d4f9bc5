// Simulates llmiter as a program would use it: `BucketRateLimiter`s on the virtual clock, with `withLimiter`
// around the call. It states the cost as well as a careful caller can, and the actual usage.
//
// Several processes are several limiters of the same name. With a shared store, such as that of `llmiter/redis`,
// each is configured with the whole limit. Without a store, each gets its part of it.

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
import { whyOf } from '../../telemetry/sampler.ts'
import { Recorder, type Levels, type OnTime } from './recorder.ts'
import type { SimulatedCall, Way, World } from './world.ts'

/** The initial guess of a user who does not know the limit, in calls per minute. */
const FIRST_GUESS = 60
const MINUTE_MS = 60_000

/** With more curves than this, they cannot be told apart, so the page shows their sum. */
const MOST_CURVES = 20

export class Limiters {
  readonly #plan: JobPlan
  readonly #limiters: BucketRateLimiter[]
  readonly #marks: Mark[]
  readonly #ways: ((call: SimulatedCall) => Promise<unknown>)[]
  readonly #store: MemoryStore | undefined
  readonly recorders: Recorder[] = []
  #next = 0
  /** Calls served per process, in the first half of the calls. */
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

  /** Calls are assigned to processes in turn. */
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

  /** What calls waited for, as the mean over all processes. */
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

  /** Creates the recorder of each limiter. */
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

/** The length of an answer is not known in advance, so the mean is used. */
export function costFor({ provider, sizes }: JobPlan, { job }: SimulatedCall) {
  const { reserved } = KINDS[provider]!
  const expected = { ...job, outputTokens: sizes.outputTokens }
  return { tokens: reserved(tokensOf(sizes, expected)), inputTokens: job.inputTokens }
}

/** Answers reach the limiter in the form in which OpenAI's SDK would throw them. */
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
    // SDKs do this by themselves when no answer arrives.
    retry: {},
  }
}

/** Includes documented behaviour of the provider: its window for requests, or the capacity of its bucket. */
function limitOf(of: string, amount: number, { provider, knobs }: Partial<JobPlan>): LimitOptions {
  const { windowMs, holdsMs } = KINDS[provider!]?.keeps?.(knobs!) ?? {}
  const usual = of === 'requests' ? Math.min(5, amount / 2) : amount / 5
  return {
    ...{ of, amount, per: '1m' },
    ...(windowMs !== undefined && of === 'requests' && { window: windowMs }),
    ...(holdsMs !== undefined && { burst: Math.max(1, Math.min(usual, (amount * holdsMs) / MINUTE_MS)) }),
  }
}

/** For each limit, the cost of a few calls, and at least of the largest call. */
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

/** Worst first. */
const GATES = ['closed', 'probing', 'open'] as const

/** The levels of these limiters combined. If `parts` limiters share a limit, each counts for its part of it. */
export function levelsOf(limiters: readonly BucketRateLimiter[], parts: number): Levels {
  const all = limiters.map((limiter) => limiter.stats())
  const limits = (name: RegExp) => all.flatMap((stats) => stats.limits.find(({ of }) => name.test(of)) ?? [])
  // The cause that holds the most calls.
  const held = all.filter(({ why }) => why).sort((a, b) => b.waiting - a.waiting)[0]
  const [requests, tokens] = [limits(/^requests$/), limits(/token/i)]
  return {
    waiting: sum(all, ({ waiting }) => waiting),
    parked: sum(all, ({ parked }) => parked),
    inFlight: sum(all, ({ inFlight }) => inFlight),
    gate: GATES.find((state) => all.some(({ gate }) => gate === state))!,
    ...(held && { why: whyOf(held.why!, held.name) }),
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
