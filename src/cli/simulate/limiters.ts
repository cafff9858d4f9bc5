// llmiter as a program would use it: `BucketRateLimiter`s on the virtual clock, and `withLimiter` around the call,
// which says what it will cost as well as a careful caller can, and what it has used.
//
// Several processes are several limiters, each told its part of the limit. A store that they share would replace
// exactly that: the same limiters, each told the whole.

import { BucketRateLimiter, withLimiter, type LimitOptions, type LimiterOptions } from 'llmiter'
import { KINDS, type Tier } from './providers.ts'
import { tokensOf, type Plan } from './plan.ts'
import { Recorder, type Levels, type OnTime } from './recorder.ts'
import type { Call, World } from './world.ts'

/** What somebody starts with who knows nothing of his limit: so many calls a minute. */
const FIRST_GUESS = 60
const MINUTE_MS = 60_000

export class Limiters {
  readonly #limiters: BucketRateLimiter[]
  readonly #ways: ((call: Call) => Promise<unknown>)[]
  readonly recorders: Recorder[] = []
  #next = 0

  constructor(world: World, plan: Plan, tier: Tier, watched?: OnTime) {
    const { processes } = plan
    const options = { ...told(plan, tier), clock: world.clock }
    this.#limiters = Array.from(
      { length: processes },
      (_, i) => new BucketRateLimiter({ name: processes > 1 ? `llmiter ${i + 1}` : 'llmiter', ...options }),
    )
    this.#ways = this.#limiters.map((limiter) =>
      wayThrough(limiter, world, plan, watched && this.#record(limiter, world, watched)),
    )
  }

  /** Processes get their calls in turn. */
  call(call: Call): Promise<unknown> {
    return this.#ways[this.#next++ % this.#ways.length]!(call)
  }

  stop(): void {
    for (const limiter of this.#limiters) limiter.stop('the simulation is over')
  }

  #record(limiter: BucketRateLimiter, world: World, watched: OnTime): Recorder {
    const recorder = new Recorder(world.clock, watched, limiter.name, () => levelsOf(limiter))
    limiter.on('request', () => recorder.count('requests'))
    limiter.on('issue', ({ waitedMs }) => recorder.issued(waitedMs))
    limiter.on('refuse', () => recorder.count('refused'))
    limiter.on('finish', ({ ok }) => recorder.count(ok ? 'finished' : 'failed'))
    limiter.on('reject', () => recorder.count('rejected'))
    this.recorders.push(recorder)
    return recorder
  }
}

function wayThrough(limiter: BucketRateLimiter, world: World, plan: Plan, recorder: Recorder | undefined) {
  const { sizes, knobs } = plan
  const { reserved, settled } = KINDS[plan.provider]!
  // How long an answer will be nobody knows; a caller knows about how long they are.
  const output = sizes.outputTokens
  const way = withLimiter((call: Call) => send(world, call), limiter, {
    cost: ({ job }) => ({
      tokens: reserved(tokensOf(sizes, { ...job, outputTokens: output })),
      inputTokens: job.inputTokens,
    }),
    usage: ({ call: { job } }) => ({
      tokens: settled(tokensOf(sizes, job), knobs),
      inputTokens: job.inputTokens,
      outputTokens: job.outputTokens,
    }),
  })
  if (!recorder) return way
  return async (call: Call) => {
    recorder.asked(reserved(tokensOf(sizes, { ...call.job, outputTokens: output })))
    await way(call)
    recorder.used(settled(tokensOf(sizes, call.job), knobs))
  }
}

/** An answer reaches the limiter as OpenAI's SDK would throw it. */
async function send(world: World, call: Call) {
  const { status, headers, body } = await world.send(call)
  if (status === 200) return { status, headers, call }
  if (status === 0) throw Object.assign(new Error('no answer'), { code: 'ETIMEDOUT' })
  throw Object.assign(new Error(`refused (${status})`), { status, headers, ...body })
}

function told(plan: Plan, tier: Tier): Omit<LimiterOptions, 'name' | 'clock'> {
  const { processes, pacing } = plan
  const unknown = plan.told === 'unknown'
  const { rpm, tpm, itpm, otpm, concurrency } = unknown ? guess(plan, tier) : tier
  const factor = (plan.told === 'unknown' ? 1 : plan.told) / processes
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
function limitOf(of: string, amount: number, { provider, knobs }: Partial<Plan>): LimitOptions {
  const { windowMs, holdsMs } = KINDS[provider!]?.keeps?.(knobs!) ?? {}
  const usual = of === 'requests' ? Math.min(5, amount / 2) : amount / 5
  return {
    ...{ of, amount, per: '1m' },
    ...(windowMs !== undefined && of === 'requests' && { window: windowMs }),
    ...(holdsMs !== undefined && { burst: Math.max(1, Math.min(usual, (amount * holdsMs) / MINUTE_MS)) }),
  }
}

/** Of each limit what a few calls take, and at least the largest of them. */
function guess({ provider, jobs, sizes }: Plan, tier: Tier): Tier {
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

function levelsOf(limiter: BucketRateLimiter): Levels {
  const { waiting, parked, inFlight, gate, limits } = limiter.stats()
  const requests = limits.find(({ of }) => of === 'requests')
  const tokens = limits.find(({ of }) => /token/i.test(of))
  return {
    ...{ waiting, parked, inFlight, gate },
    ...(requests && { rate: requests.learned ?? requests.amount, limit: requests.amount }),
    ...(tokens && { tokens: { available: tokens.available, limit: tokens.amount } }),
  }
}
