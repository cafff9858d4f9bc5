// Every client, alone and as a cluster, on a real Redis: the same limit, shared by all of them.

import { spawnSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis as UpstashRedis } from '@upstash/redis'
import { Cluster, Redis } from 'ioredis'
import { BucketRateLimiter } from 'llmiter'
import { redisStore, type RedisClient } from 'llmiter/redis'
import { createClient, createCluster } from 'redis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { freePort, haveRedis, type RedisServer, startRedis } from '../support/redis.ts'
import { upstashBridge } from '../support/upstash.ts'

/** Two limiters on this client, and what they do in a second and a half. */
async function share(client: RedisClient, name: string, prefix?: string) {
  const store = redisStore(client, prefix === undefined ? {} : { prefix })
  const limiters = [1, 2].map(
    () => new BucketRateLimiter({ name, requestsPerMinute: 1200, ramp: false, store }),
  )
  const errors: unknown[] = []
  const times: number[] = []
  for (const limiter of limiters) {
    limiter.on('error', ({ error }) => errors.push(error))
    limiter.on('store', ({ error }) => errors.push(error))
    for (let i = 0; i < 200; i++) limiter.run(() => times.push(performance.now())).catch(() => {})
  }
  const since = performance.now()
  while (times.length < 50 && performance.now() < since + 8000) await sleep(10)
  for (const limiter of limiters) limiter.stop()
  return {
    errors,
    paceMs: (times[34]! - times[5]!) / 29,
    calls: times.length,
    issued: limiters.map((one) => one.stats().issued),
  }
}

function expectShared({ errors, paceMs, issued }: Awaited<ReturnType<typeof share>>) {
  expect(errors).toEqual([])
  expect(paceMs).toBeGreaterThan(44)
  expect(paceMs).toBeLessThan(62)
  for (const one of issued) expect(one).toBeGreaterThan(0)
}

describe.skipIf(!haveRedis())('a limit is shared through', () => {
  let server: RedisServer
  let redis: Redis
  beforeAll(async () => {
    server = await startRedis()
    redis = new Redis(server.url)
  })
  afterAll(async () => {
    redis?.disconnect()
    await server?.close()
  })

  test('ioredis, with a prefix of its own and keys of one hash tag', async () => {
    expectShared(await share(redis, 'io', 'my:'))
    const keys = await redis.keys('my:*')
    expect(keys).toContain('my:{io}')
    expect(keys.filter((key) => !key.startsWith('my:{io}'))).toEqual([])
  })

  test('redis (node-redis)', async () => {
    const client = createClient({ url: server.url })
    await client.connect()
    expectShared(await share(client, 'node'))
    client.destroy()
  })

  test('@upstash/redis, over HTTP, without pub/sub', async () => {
    const bridge = await upstashBridge(redis)
    const client = new UpstashRedis({ url: bridge.url, token: 'any', enableTelemetry: false })
    expectShared(await share(client, 'up'))
    bridge.close()
  })

  test('the least rights, and no more', async () => {
    const rights = 'on >secret resetkeys ~llmiter:* resetchannels &llmiter:* -@all'
    const commands =
      '+eval +evalsha +subscribe +publish +time +get +set +del +pexpire +zadd +zrem +zcard +zcount +zrange ' +
      '+zrangebyscore +zremrangebyscore +zrank +hget +hset +hdel +ping +info +client +hello'
    await redis.call('ACL', 'SETUSER', 'fleet', ...rights.split(' '), ...commands.split(' '))
    const url = server.url.replace('redis://', 'redis://fleet:secret@')
    const client = new Redis(url)
    expectShared(await share(client, 'rights'))
    await expect(client.call('KEYS', '*')).rejects.toThrow('NOPERM')
    client.disconnect()
  })

  test('and so is what the provider accepts at once', async () => {
    const store = redisStore(redis)
    const limiters = [1, 2, 3, 4].map(
      () => new BucketRateLimiter({ name: 'crowd', requestsPerMinute: 6000, ramp: false, store }),
    )
    let [inFlight, done, refused] = [0, 0, 0]
    for (const limiter of limiters)
      for (let i = 0; i < 200; i++)
        limiter
          .run(async () => {
            if (inFlight === 8) {
              refused++
              throw Object.assign(new Error('too many concurrent requests'), { status: 429 })
            }
            inFlight++
            await sleep(300)
            inFlight--
            done++
          })
          .catch(() => {})
    await sleep(8000)
    for (const limiter of limiters) limiter.stop()
    // Where each finds out by itself, more than twenty.
    expect(refused).toBeLessThan(15)
    expect(done).toBeGreaterThan(120)
  })

  test('nothing keeps the process alive, and a wrong client is reported immediately', () => {
    expect(() => redisStore({} as never)).toThrow(
      'redisStore needs a client of ioredis, redis or @upstash/redis',
    )
    expect(() => redisStore(redis, { prefx: 1 } as never)).toThrow("redisStore has no option 'prefx'")
    expect(() => redisStore(redis, { prefix: '{a}' })).toThrow(
      "prefix must be a string without braces, got '{a}'",
    )
    expect(() => redisStore(redis, { processes: 0 })).toThrow(
      'processes must be a whole number of at least 1, got 0',
    )
    expect(() => redisStore(redis, { onStoreDown: 'panic' as never })).toThrow("got 'panic'")
  })
})

describe.skipIf(!haveRedis())('a limit is shared through a cluster of three', () => {
  let nodes: RedisServer[] = []
  beforeAll(async () => {
    const ports = [await freePort(), await freePort(), await freePort()]
    nodes = await Promise.all(
      ports.map((port) =>
        startRedis(
          [
            '--cluster-enabled',
            'yes',
            '--cluster-port',
            String(port < 55_000 ? port + 10_000 : port - 10_000),
          ],
          port,
        ),
      ),
    )
    const made = spawnSync('redis-cli', [
      ...['--cluster', 'create', ...ports.map((port) => `127.0.0.1:${port}`), '--cluster-yes'],
    ])
    if (made.status !== 0) throw new Error(`${made.stdout}${made.stderr}`)
    const client = new Redis(nodes[0]!.url)
    while (!String(await client.call('CLUSTER', 'INFO')).includes('cluster_state:ok')) await sleep(50)
    client.disconnect()
  }, 40_000)
  afterAll(() => Promise.all(nodes.map((node) => node.close())))

  test('by ioredis', async () => {
    const cluster = new Cluster(nodes.map(({ port }) => ({ host: '127.0.0.1', port })))
    for (const name of ['a', 'b', 'c']) expectShared(await share(cluster, name))
    cluster.disconnect()
  })

  test('by redis (node-redis)', async () => {
    const cluster = createCluster({ rootNodes: nodes.map(({ url }) => ({ url })) })
    await cluster.connect()
    for (const name of ['d', 'e', 'f']) expectShared(await share(cluster, name))
    cluster.destroy()
  })
})
