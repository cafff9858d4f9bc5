/**
 * Who is measured: llmiter and the packages that people use in its place, each set up as its README says for
 * the job, all behind one verb.
 */
import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { RateLimit, Sema } from 'async-sema'
import Bottleneck from 'bottleneck'
import pLimit from 'p-limit'
import PQueue from 'p-queue'
import pThrottle from 'p-throttle'
import { BucketRateLimiter, type LimiterOptions } from '../src/index.ts'
import { logTo } from '../src/telemetry/log.ts'

export type Work = () => Promise<number>

interface Line {
  run(work: Work): Promise<unknown>
  /** What must pass before the next turn has the machine for itself. */
  close?(): Promise<unknown>
}

/** Makes a new line, which will get so many calls. */
export type Contestant = (calls: number) => Line

/** More than any bench asks for: these limits are kept, counted and checked, but nobody waits for them. */
export const HUGE = 1e12

/** One limit, as most users have. Without the ramp: the bench is not about the first five seconds. */
export const ONE_LIMIT = { name: 'bench', requestsPerMinute: HUGE, burst: HUGE, ramp: false } as const

const huge = (of: string) => ({ of, amount: HUGE, per: '1m', burst: HUGE }) as const

/** Five limits, three of them on tokens, as a busy account has. */
const FIVE_LIMITS: LimiterOptions = {
  name: 'bench',
  limits: ['requests', 'tokens', 'inputTokens', 'outputTokens', 'images'].map(huge),
  ramp: false,
}

export const llmiter =
  (options: LimiterOptions): Contestant =>
  () => {
    const limiter = new BucketRateLimiter(options)
    return { run: (work) => limiter.run(work) }
  }

/** With a log, which is written to a real file. */
export const llmiterWithLog =
  (options: LimiterOptions): Contestant =>
  () => {
    const dir = join(tmpdir(), `llmiter-bench-${process.pid}`)
    const limiter = new BucketRateLimiter(options)
    const log = logTo(limiter, { dir })
    const close = async () => {
      log.stop()
      rmSync(dir, { recursive: true })
    }
    return { run: (work) => limiter.run(work), close }
  }

/** Everything in use: a cost in five limits, three priorities, seven tenants. */
export const llmiterWithAll =
  (options: Partial<LimiterOptions>): Contestant =>
  () => {
    const limiter = new BucketRateLimiter({ ...FIVE_LIMITS, ...options })
    const tenants = Array.from({ length: 7 }, (_, i) => `tenant-${i}`)
    let i = 0
    return {
      run(work) {
        i++
        const cost = { requests: 1, tokens: 900, inputTokens: 700, outputTokens: 200, images: 1 }
        return limiter.run(work, { cost, priority: i % 3, tenant: tenants[i % 7]! })
      },
    }
  }

export const pLimitOf =
  (concurrency: number): Contestant =>
  () => {
    const limit = pLimit(concurrency)
    return { run: (work) => limit(work) }
  }

export const pQueueOf =
  (concurrency: number): Contestant =>
  () => {
    const queue = new PQueue({ concurrency })
    return { run: (work) => queue.add(work) }
  }

export const pQueueByRate: Contestant = () => {
  const queue = new PQueue({ intervalCap: HUGE, interval: 60_000 })
  return { run: (work) => queue.add(work) }
}

export const pThrottleByRate: Contestant = () => {
  const throttled = pThrottle({ limit: HUGE, interval: 60_000 })((work: Work) => work())
  return { run: (work) => throttled(work) }
}

export const semaOf =
  (concurrency: number): Contestant =>
  () => {
    const sema = new Sema(concurrency)
    return {
      async run(work) {
        await sema.acquire()
        try {
          return await work()
        } finally {
          sema.release()
        }
      },
    }
  }

export const semaByRate: Contestant = (calls) => {
  // It makes one token for each call of a second beforehand, so its limit cannot be huge.
  const wait = RateLimit(calls)
  return {
    async run(work) {
      await wait()
      return work()
    },
    // It leaves a timer of a second behind for each call.
    close: () => sleep(1200),
  }
}

export const bottleneckOf =
  (concurrency: number): Contestant =>
  () => {
    const bottleneck = new Bottleneck({ maxConcurrent: concurrency })
    return { run: (work) => bottleneck.schedule(work), close: () => bottleneck.disconnect() }
  }
