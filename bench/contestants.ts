/**
 * The measured packages: llmiter and its alternatives, each configured as its README recommends, behind one
 * interface.
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
  /** Must finish before the next turn may use the machine. */
  close?(): Promise<unknown>
}

/** Creates a new queue for this many calls. */
export type Contestant = (calls: number) => Line

/** More than any bench uses: these limits are stored, counted and checked, but no call waits for them. */
export const HUGE = 1e12

/** One limit, as most users have. Without the ramp, because the bench is not about the first five seconds. */
export const ONE_LIMIT = { name: 'bench', requestsPerMinute: HUGE, burst: HUGE, ramp: false } as const

const huge = (of: string) => ({ of, amount: HUGE, per: '1m', burst: HUGE }) as const

/** Five limits, three of them for tokens, as an account with heavy use has. */
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

/** With a log written to a real file. */
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

/** With all features: a cost in five limits, three priorities, seven tenants. */
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
  // It creates one token for each call of a second in advance, so its limit cannot be huge.
  const wait = RateLimit(calls)
  return {
    async run(work) {
      await wait()
      return work()
    },
    // It leaves a timer of one second behind for each call.
    close: () => sleep(1200),
  }
}

export const bottleneckOf =
  (concurrency: number): Contestant =>
  () => {
    const bottleneck = new Bottleneck({ maxConcurrent: concurrency })
    return { run: (work) => bottleneck.schedule(work), close: () => bottleneck.disconnect() }
  }
