// `datastore: 'redis'` and `'ioredis'` with a real Redis and the real packages, which the facade looks up by itself.

import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import Bottleneck from '../../src/bottleneck/index.ts'
import { freePort, haveRedis, type RedisServer, startRedis } from '../support/redis.ts'

const KINDS = [
  ['redis', (port: number) => ({ socket: { port } })],
  ['ioredis', (port: number) => ({ port })],
] as const

describe.skipIf(!haveRedis())('a real Redis', () => {
  let redis: RedisServer
  beforeAll(async () => {
    redis = await startRedis()
  })
  afterAll(() => redis?.close())

  test.each(KINDS)(
    '%s: limiters of one id share places and starts, and close their connections',
    async (kind, at) => {
      const limiters = [1, 2].map(
        () =>
          new Bottleneck({
            id: `shared-${kind}`,
            datastore: kind,
            clientOptions: at(redis.port),
            maxConcurrent: 1,
            minTime: 50,
          }),
      )
      const starts: number[] = []
      let running = 0
      let most = 0
      const job = async () => {
        starts.push(performance.now())
        most = Math.max(most, ++running)
        await new Promise((resolve) => setTimeout(resolve, 5))
        running--
      }
      await Promise.all(Array.from({ length: 10 }, (_, i) => limiters[i % 2]!.schedule(job)))
      expect(starts).toHaveLength(10)
      expect(most).toBe(1)
      // Shared slots are 50 ms apart; a start may be late, so that the next one comes sooner after it.
      expect(starts.at(-1)! - starts[0]!).toBeGreaterThan(400)
      const clients = await Promise.all(limiters.map((limiter) => limiter.ready()))
      await Promise.all(limiters.map((limiter) => limiter.disconnect()))
      for (const { client } of clients as { client: { isOpen?: boolean; status?: string } }[])
        await vi.waitFor(() => expect(client.isOpen ?? client.status !== 'end').toBe(false))
    },
  )

  test.each(KINDS)('%s: where no Redis is, the error is told', async (kind, at) => {
    const limiter = new Bottleneck({
      id: 'alone',
      datastore: kind,
      clientOptions: at(await freePort()),
      minTime: 1,
    })
    const told = await new Promise((resolve) => limiter.on('error', resolve))
    expect(String(told)).toContain('ECONNREFUSED')
    await limiter.disconnect()
  })
})
