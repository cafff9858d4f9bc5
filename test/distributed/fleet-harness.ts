// What the stories of real trouble share: a few limiters on a real Redis, each with a client and connections of its own, as if
// each were a process, all of them with more calls to make than they may.

import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { BucketRateLimiter, type LimiterOptions, type StoreEvent } from 'llmiter'
import { type RedisClient, redisStore, type RedisStoreOptions } from 'llmiter/redis'
import { createClient } from 'redis'
import { between, mostIn } from '../../bench/fleet/count.ts'
import { Upstash } from '../../bench/fleet/upstash.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'

export { sleep }

export const WINDOW = 2000
export const AMOUNT = 80
/** Two windows with their jitter: calls come in clumps after an outage, and a part of a window may lie between them. */
export const CYCLES_MS = 2 * (WINDOW + 50)
/** Tickets a second: what T = (W + J) / n allows. */
export const PACE = (AMOUNT / (WINDOW + 50)) * 1000

type Kind = 'ioredis' | 'redis' | 'upstash'

/** A client as people make it, and its end. */
function clientOf(kind: Kind, url: string): { client: RedisClient; end(): void } {
  if (kind === 'upstash') return { client: Upstash(url), end() {} }
  if (kind === 'redis') {
    const client = createClient({ url })
    client.on('error', () => {})
    client.connect().catch(() => {})
    return { client, end: () => client.destroy() }
  }
  const client = new Redis(url)
  client.on('error', () => {})
  return { client, end: () => client.disconnect() }
}

export interface CrewOptions {
  kinds?: readonly Kind[]
  store?: RedisStoreOptions
  limiter?: Partial<LimiterOptions>
}

/** `urls`: one for all, or one for each. */
export function crew(urls: string | readonly string[], options: CrewOptions = {}) {
  const { kinds = ['ioredis', 'redis', 'ioredis', 'redis'], store, limiter: given } = options
  const times: number[] = []
  const failures: unknown[] = []
  let over = false
  const hands = kinds.map((kind, i) => {
    const own = clientOf(kind, typeof urls === 'string' ? urls : urls[i]!)
    const limiter = new BucketRateLimiter({
      ...{ name: 'crew', ramp: false, limits: [{ of: 'requests', amount: AMOUNT, per: WINDOW }] },
      ...{ store: redisStore(own.client, store), ...given },
    })
    const said: StoreEvent[] = []
    const errors: unknown[] = []
    const calls: number[] = []
    /** `refusal`: what each of its calls ends with. */
    const hand: { resting: boolean; refusal?: Error } = { resting: false }
    limiter.on('store', (event) => said.push(event))
    limiter.on('error', ({ error }) => errors.push(error))
    const keepCalling = async () => {
      while (!over && !hand.resting) {
        try {
          await limiter.run(() => {
            if (hand.refusal) throw hand.refusal
            times.push(performance.now())
            calls.push(performance.now())
          })
        } catch (error) {
          failures.push(error)
          await sleep(50)
        }
      }
    }
    return Object.assign(hand, { kind, limiter, said, errors, calls, keepCalling, end: own.end })
  })
  const states = () => hands.map(({ said }) => said.map(({ state }) => state).join(' '))
  return {
    ...{ hands, times, failures, states },
    /** What they use together in the next `ms`, as a share of the pace. */
    async used(ms: number): Promise<number> {
      const from = performance.now()
      await sleep(ms)
      const to = performance.now()
      return between(times, from, to) / ((PACE * (to - from)) / 1000)
    },
    // Calls that a busy machine delays come together: by more than the 50 ms that a limiter allows for.
    most: () => mostIn(times, WINDOW - 100),
    start(calls = 8): void {
      for (const { keepCalling } of hands) for (let i = 0; i < calls; i++) void keepCalling()
    },
    stop(): void {
      over = true
      for (const { limiter, end } of hands) {
        limiter.stop()
        end()
      }
    },
  }
}

export const config = (admin: Redis, ...pairs: string[]) => admin.call('CONFIG', 'SET', ...pairs)

/** A server for one test, and the client that controls it. */
export async function scene(run: (server: RedisServer, admin: Redis) => Promise<void>) {
  const server = await startRedis()
  const admin = new Redis(server.url)
  admin.on('error', () => {})
  try {
    await run(server, admin)
  } finally {
    admin.disconnect()
    await server.close()
  }
}
