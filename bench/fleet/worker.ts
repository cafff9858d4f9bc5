// One process of a fleet: it always has waiting calls, sends them to the HTTP provider, and reports its limiter's
// events to its parent. Started by `fleet.ts`, never manually.

import { Upstash } from './upstash.ts'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { BucketRateLimiter } from '../../src/index.ts'
import { type RedisClient, redisStore } from '../../src/distributed/redis/index.ts'
import type { WorkerOptions, WorkerSays } from './fleet.ts'

const options = JSON.parse(process.argv[2]!) as WorkerOptions
const {
  redisUrl,
  provider,
  silent = false,
  limits,
  backlog,
  store = {},
  client: kind = 'ioredis',
  wallShiftMs = 0,
} = options
const say = (message: WorkerSays) => process.send?.(message)

if (wallShiftMs !== 0) {
  const { now } = Date
  Date.now = () => now() + wallShiftMs
}

async function open(): Promise<RedisClient> {
  if (kind === 'upstash') return Upstash(redisUrl)
  if (kind === 'redis') {
    const client = createClient({ url: redisUrl })
    client.on('error', () => {})
    client.connect().catch(() => {})
    return client
  }
  const client = new Redis(redisUrl)
  client.on('error', () => {})
  return client
}

const limiter = new BucketRateLimiter({
  name: 'fleet',
  ramp: false,
  ...limits,
  store: redisStore(await open(), store),
})
limiter.on('store', ({ state, processes }) =>
  say({ of: 'store', state, processes: processes ?? 0, at: Date.now() }),
)
limiter.on('gate', ({ state }) => say({ of: 'gate', state, at: Date.now() }))
limiter.on('error', ({ error, where }) => say({ of: 'error', message: `${where}: ${String(error)}` }))
process.on('unhandledRejection', (error) => say({ of: 'error', message: `unhandled: ${String(error)}` }))

const body = JSON.stringify({ model: 'gpt-5', messages: [{ role: 'user', content: 'Hi' }], max_tokens: 1 })
const call = () =>
  limiter.run(async () => {
    if (silent) return
    const response = await fetch(`${provider}/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    })
    const answer = await response.text()
    if (response.status !== 200)
      throw Object.assign(new Error(answer), { status: response.status, headers: response.headers })
  })

let stopping = false
const keepCalling = async () => {
  while (!stopping) await call().catch(() => new Promise((resolve) => setTimeout(resolve, 50)))
}

process.on('message', (message) => {
  if (message === 'go') for (let i = 0; i < backlog; i++) void keepCalling()
  if (message !== 'stop') return
  stopping = true
  limiter.stop('the run is over')
  say({ of: 'end', issued: limiter.stats().issued })
  setTimeout(() => process.exit(0), 300)
})
process.on('disconnect', () => process.exit(0))

// The first connection takes longer than any later call.
await fetch(`${provider}/models`).then((response) => response.text())
say({ of: 'ready' })
