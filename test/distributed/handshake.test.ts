// Connections that open and are never ready, and a client of the user's that has ended.

import { Redis } from 'ioredis'
import { BucketRateLimiter, type StoreEvent } from 'llmiter'
import { redisStore } from 'llmiter/redis'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { startCable } from '../../bench/fleet/proxy.ts'
import { haveRedis } from '../support/redis.ts'
import { crew, CYCLES_MS, scene, sleep } from './fleet-harness.ts'

const unhandled: unknown[] = []
const note = (error: unknown) => unhandled.push(error)
beforeAll(() => void process.on('unhandledRejection', note))
afterAll(() => void process.off('unhandledRejection', note))
afterEach(() => expect(unhandled).toEqual([]))

describe.skipIf(!haveRedis())('a connection', () => {
  test.concurrent.each(['ioredis', 'redis'] as const)(
    'opens while a proxy swallows all bytes, and is given up: %s is back when the proxy works',
    async (kind) => {
      await scene(async (server) => {
        const cable = await startCable(server.port)
        cable.swallow()
        const { hands, start, stop, used, times } = crew(cable.url, { kinds: [kind, kind] })
        start()
        await sleep(10_000)
        expect(times).toEqual([])
        // Connections opened before stay open.
        cable.pass()
        await sleep(6500)
        expect(await used(CYCLES_MS)).toBeGreaterThan(0.9)
        for (const { said } of hands) {
          expect(said.map(({ state }) => state)).toEqual(['down', 'up'])
          expect(String(said[0]!.error)).toMatch(/not ready within 5000 ms|no connection|no answer/)
        }
        stop()
        await cable.close()
      })
    },
  )

  test.concurrent.each(['ioredis', 'redis'] as const)(
    'is swallowed after it has worked, and so is what follows: %s is back when the proxy works',
    async (kind) => {
      await scene(async (server) => {
        const cable = await startCable(server.port)
        const { hands, start, stop, used } = crew(cable.url, { kinds: [kind, kind] })
        start()
        await sleep(1500)
        cable.swallow()
        await sleep(10_000)
        cable.pass()
        await sleep(6500)
        expect(await used(CYCLES_MS)).toBeGreaterThan(0.9)
        for (const { said } of hands) expect(said.map(({ state }) => state)).toEqual(['down', 'up'])
        stop()
        await cable.close()
      })
    },
  )

  test.concurrent("ends with the user's client: it is told once, and a new start is taken up", async () => {
    await scene(async (server) => {
      const client = new Redis(server.port, '127.0.0.1', { retryStrategy: () => null })
      client.on('error', () => {})
      const said: StoreEvent[] = []
      const limiter = new BucketRateLimiter({
        ...{ name: 'ended', requestsPerMinute: 6000, ramp: false },
        store: redisStore(client, { processes: 2 }),
      })
      limiter.on('store', (event) => said.push(event))
      await limiter.run(() => {})
      client.disconnect()
      await sleep(500)
      for (let k = 0; k < 20; k++) {
        await limiter.run(() => {})
        await sleep(100)
      }
      expect(said.map(({ state }) => state)).toEqual(['down'])
      expect(String(said[0]!.error)).toContain('the Redis client that was given to redisStore has ended')
      await client.connect()
      for (let k = 0; k < 10; k++) {
        await limiter.run(() => {})
        await sleep(100)
      }
      expect(said.map(({ state }) => state)).toEqual(['down', 'up'])
      limiter.stop()
      client.disconnect()
    })
  })

  test.concurrent('is asked of a client that has ended before: it is told', async () => {
    await scene(async (server) => {
      const client = new Redis(server.url, { lazyConnect: true })
      await client.connect()
      client.disconnect()
      await sleep(200)
      const limiter = new BucketRateLimiter({
        ...{ name: 'ended', requestsPerMinute: 6000 },
        store: redisStore(client, { onStoreDown: 'reject' }),
      })
      const error = await limiter.run(() => {}).catch((failure: unknown) => failure)
      expect(error).toMatchObject({ code: 'STORE_DOWN' })
      expect(String((error as Error).cause)).toContain('has ended')
      limiter.stop()
    })
  })
})
