// A used-up quota stops all processes that share the limit, and is back for all when one call succeeds.

import { Redis } from 'ioredis'
import { BucketRateLimiter, QuotaExhaustedError } from 'llmiter'
import { redisStore } from 'llmiter/redis'
import { expect, test } from 'vitest'
import { outOfQuota } from '../helpers.ts'
import { haveRedis, startRedis } from '../support/redis.ts'
import { fleetRig } from './redis-harness.ts'

/** Three processes that each ask every five seconds for six minutes; the bill is paid after 200 s. */
async function unpaid() {
  const { clock, fleet } = fleetRig(3, { limiter: { requestsPerMinute: 600 } })
  const tried: number[] = []
  const answered: number[][] = fleet.map(() => [])
  for (let i = 0; i < 72; i++) {
    fleet.forEach((limiter, k) => {
      limiter
        .run(() => {
          if (clock.now() >= 200_000) return answered[k]!.push(clock.now())
          tried.push(clock.now())
          throw outOfQuota()
        })
        .catch(() => {})
    })
    await clock.advance(5000)
  }
  return { tried, answered }
}

test('found out by one, it fails the calls of all: those that wait, and those to come', async () => {
  const { clock, fleet } = fleetRig(4, { limiter: { requestsPerMinute: 600 } })
  let spentAt = Infinity
  const sent: number[] = []
  const errors: unknown[] = []
  for (const limiter of fleet)
    for (let i = 0; i < 50; i++)
      limiter
        .run(async () => {
          sent.push(clock.now())
          await clock.sleep(20)
          if (limiter !== fleet[2] || clock.now() < 3000) return
          spentAt = Math.min(spentAt, clock.now())
          throw Object.assign(outOfQuota(), { headers: { 'retry-after': '120' } })
        })
        .catch((error: unknown) => errors.push(error))
  await clock.advance(10_000)
  expect(spentAt).toBeLessThan(10_000)
  expect(sent.at(-1)! - spentAt).toBeLessThan(50)
  expect(errors.filter((error) => error instanceof QuotaExhaustedError).length).toBeGreaterThan(100)
  for (const limiter of fleet) await expect(limiter.acquire()).rejects.toBeInstanceOf(QuotaExhaustedError)
  await clock.advanceTo(spentAt + 123_000)
  const later = fleet.map((limiter) => limiter.run(() => 'answer'))
  await clock.advance(1000)
  expect(await Promise.all(later)).toEqual(fleet.map(() => 'answer'))
})

test('where nobody knows until when, the fleet tries about as often as one process, and one answer is enough for all', async () => {
  const { tried, answered } = await unpaid()
  // The first calls of all go at the same time.
  expect(tried.filter((at) => at > 5000).length).toBeLessThanOrEqual(4)
  for (const times of answered) expect(times[0]).toBeLessThan(200_000 + 85_000)
  const first = answered.map((times) => times[0]!)
  // A process that left the store, because none of its calls went, asks it again after at most 20 s.
  expect(Math.max(...first) - Math.min(...first)).toBeLessThanOrEqual(20_000)
})

test.skipIf(!haveRedis())('processes that meet in Redis hear of it', async () => {
  const server = await startRedis()
  const clients = [new Redis(server.url), new Redis(server.url)]
  const [a, b] = clients.map(
    (client) => new BucketRateLimiter({ name: 'quota', requestsPerMinute: 6000, store: redisStore(client) }),
  ) as [BucketRateLimiter, BucketRateLimiter]
  try {
    await b.run(() => 'b is here')
    await a.run(() => Promise.reject(outOfQuota())).catch(() => {})
    let error: unknown
    while (!(error instanceof QuotaExhaustedError)) error = await b.run(() => {}).catch((e: unknown) => e)
    expect(error.message).toContain('another process')
    expect(b.stats().gate).toBe(a.stats().gate)
  } finally {
    a.stop()
    b.stop()
    for (const client of clients) client.disconnect()
    await server.close()
  }
})
