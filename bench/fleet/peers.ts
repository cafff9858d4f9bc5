// The measured packages that keep one limit over many processes through Redis: llmiter and its alternatives. Each
// member has its own connection, as a process would.

import Bottleneck from 'bottleneck'
import { Redis } from 'ioredis'
import { RateLimiterRedis } from 'rate-limiter-flexible'
import { BucketRateLimiter } from '../../src/index.ts'
import { redisStore } from '../../src/distributed/redis/index.ts'

export interface Member {
  /** Resolves when the call has its ticket and was sent. */
  run(call: () => void): Promise<unknown>
  end(): void
}

export interface Peer {
  name: string
  /** Adds a member to the fleet that shares `amount` in any `windowMs`. */
  join(url: string, amount: number, windowMs: number): Promise<Member>
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

const connect = (url: string) => {
  const client = new Redis(url)
  client.on('error', () => {})
  return client
}

export const llmiter: Peer = {
  name: 'llmiter',
  async join(url, amount, windowMs) {
    const client = connect(url)
    const limiter = new BucketRateLimiter({
      ...{ name: 'fleet', ramp: false, limits: [{ of: 'requests', amount, per: windowMs }] },
      store: redisStore(client),
    })
    return {
      run: (call) => limiter.run(call),
      end() {
        limiter.stop()
        client.disconnect()
      },
    }
  },
}

/** Waits and asks again until no further wait is needed. */
async function patiently(waitMs: () => Promise<number>, call: () => void) {
  for (;;) {
    const ms = await waitMs()
    if (ms <= 0) return call()
    await sleep(ms)
  }
}

const GCRA = `
local clock = redis.call('TIME')
local now = clock[1] * 1000 + clock[2] / 1000
local due = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
local step, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local wait = due - (burst - 1) * step - now
if wait > 0 then return tostring(wait) end
redis.call('SET', KEYS[1], due + step, 'PX', math.ceil(burst * step + 1000))
return '0'`

const gcraScript: Peer = {
  name: 'GCRA script',
  async join(url, amount, windowMs) {
    const client = connect(url)
    client.defineCommand('gcra', { numberOfKeys: 1, lua: GCRA })
    const { gcra } = client as unknown as { gcra(key: string, step: number, burst: number): Promise<string> }
    return {
      run: (call) =>
        patiently(async () => Number(await gcra.call(client, 'gcra', windowMs / amount, amount)), call),
      end: () => client.disconnect(),
    }
  },
}

const flexible: Peer = {
  name: 'rate-limiter-flexible',
  async join(url, amount, windowMs) {
    const client = connect(url)
    const limiter = new RateLimiterRedis({ storeClient: client, points: amount, duration: windowMs / 1000 })
    const waitMs = () =>
      limiter.consume('fleet').then(
        () => 0,
        (refused: Error | { msBeforeNext: number }) => {
          if (refused instanceof Error) throw refused
          return Math.max(1, refused.msBeforeNext)
        },
      )
    return { run: (call) => patiently(waitMs, call), end: () => client.disconnect() }
  },
}

const bottleneck: Peer = {
  name: 'Bottleneck',
  async join(url, amount, windowMs) {
    const limiter = new Bottleneck({
      ...{ id: 'fleet', datastore: 'ioredis', clientOptions: { port: Number(new URL(url).port) } },
      ...{ reservoir: amount, reservoirRefreshAmount: amount, reservoirRefreshInterval: windowMs },
      Redis,
    })
    limiter.on('error', () => {})
    await limiter.ready()
    return {
      run: (call) => limiter.schedule(async () => call()),
      end: () => void limiter.disconnect(false),
    }
  },
}

export const PEERS: readonly Peer[] = [llmiter, gcraScript, flexible, bottleneck]
