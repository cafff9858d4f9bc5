// The budgets of pools on a real Redis: no process exceeds them, and nothing stays forever.

import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { BucketRateLimiter } from 'llmiter'
import { createPool } from 'llmiter/pool'
import { redisStore } from 'llmiter/redis'
import { haveRedis, type RedisServer, startRedis } from '../support/redis.ts'

describe.skipIf(!haveRedis())('pools that share a Redis', () => {
  let redis: RedisServer
  const clients: Redis[] = []
  const connect = () => {
    const client = new Redis(redis.url)
    client.on('error', () => {})
    clients.push(client)
    return client
  }
  beforeAll(async () => {
    redis = await startRedis()
  })
  afterAll(async () => {
    for (const client of clients) client.disconnect()
    await redis?.close()
  })

  const join = () =>
    createPool({
      targets: [{ name: 'key', limiter: new BucketRateLimiter({ limits: [] }) }],
      budget: [
        { usd: 1, per: 'month', name: 'all' },
        { tokens: 40, per: '1h', by: 'tenant' },
      ],
      prices: { default: { input: 10_000, output: 10_000 } }, // a cent each
      store: redisStore(connect()),
    })

  test('never spend more than there is, and give back what was not used', async () => {
    const fleet = [join(), join(), join()]
    let sent = 0
    const work = async () => Promise.resolve({ n: ++sent })
    const call = (i: number, tokens: number, used: number) =>
      fleet[i % 3]!.run(work, {
        ...{ cost: { tokens }, tenant: `tenant ${i % 2}`, model: 'm' },
        usage: () => ({ inputTokens: used, outputTokens: 0 }),
      })
    // Each reserves 10 and uses 1: two tenants with 40 each hold eight at a time.
    const first = await Promise.allSettled(Array.from({ length: 60 }, (_, i) => call(i, 10, 1)))
    const done = first.filter(({ status }) => status === 'fulfilled').length
    expect(done).toBe(sent)
    expect(done).toBeGreaterThanOrEqual(8)
    // One after the other all that is left is used, to the last token of each tenant.
    for (let i = 0; i < 200; i++) await call(i, 1, 1).catch(() => {})
    expect(sent).toBe(80)
    const last = await call(0, 1, 1).catch((error: unknown) => error)
    expect(last).toMatchObject({ code: 'BUDGET_EXCEEDED', budget: 'tenant per 1h' })
    const admin = connect()
    const keys = await admin.keys('llmiter:{budgets}:*')
    expect(keys).toHaveLength(3)
    for (const key of keys) expect(await admin.pttl(key)).toBeGreaterThan(0)
    const all = keys.find((key) => key.includes(':all:'))!
    expect(await admin.hgetall(all)).toEqual({ requests: '80', tokens: '80', usd: String(0.8 * 1e9) })
  })

  test('spend nothing without it', async () => {
    const pool = join()
    const run = async () => pool.run(() => 'sent', { cost: { tokens: 1 }, tenant: 'x', model: 'm' })
    expect(await run()).toBe('sent')
    await redis.stop()
    await expect(run()).rejects.toMatchObject({ code: 'STORE_DOWN' })
    await redis.start()
    await expect.poll(run, { timeout: 20_000 }).toBe('sent')
  })
})
