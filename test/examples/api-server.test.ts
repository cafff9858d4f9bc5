// The example server: on a real Redis, with a real SDK and a provider over HTTP that refuses. Its seconds of waiting are
// of 10 ms here; that they are 8, 16, 32 and 64 of them is shown in virtual time.

import type { AddressInfo } from 'node:net'
import { Redis } from 'ioredis'
import OpenAI from 'openai'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type HttpFault, type HttpProvider, startHttpProvider, TokenBucketProvider } from 'llmiter/testing'
import { apiServer } from '../../examples/api-server.ts'
import { haveRedis, type RedisServer, startRedis } from '../support/redis.ts'

describe.skipIf(!haveRedis())('the example server', () => {
  let redis: RedisServer
  let client: Redis
  let provider: HttpProvider
  let fault: HttpFault | undefined
  let stop: (() => unknown)[]
  const log: string[] = []

  beforeEach(async () => {
    redis = await startRedis()
    client = new Redis(redis.url)
    client.on('error', () => {})
    fault = undefined
    stop = []
    log.length = 0
    provider = await startHttpProvider({
      model: new TokenBucketProvider({ requestsPerMinute: 6000 }),
      chaos: () => fault,
    })
  })
  afterEach(async () => {
    for (const each of stop) await each()
    client.disconnect()
    await provider.close()
    await redis.close()
  })

  const start = async () => {
    const server = apiServer({
      redis: client,
      openai: new OpenAI({ apiKey: 'any', baseURL: provider.url, maxRetries: 0 }),
      users: new Map(['ann', 'bob'].map((name) => [`key-of-${name}`, name])),
      secondMs: 10,
      log: (line) => log.push(line),
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    stop.push(() => {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(resolve))
    })
    const { port } = server.address() as AddressInfo
    return (path: string, who: string | undefined, body = '{"prompt":"Hello"}') =>
      fetch(`http://127.0.0.1:${port}${path}`, {
        method: 'POST',
        body,
        headers: who === undefined ? {} : { authorization: `Bearer key-of-${who}` },
      })
  }
  const statuses = async (asked: Promise<Response>[]) => {
    const counts: Record<number, number> = {}
    for (const { status } of await Promise.all(asked)) counts[status] = (counts[status] ?? 0) + 1
    return counts
  }

  test('lets each user chat 30 times and draw 15 times in a minute, over all its processes', async () => {
    const servers = [await start(), await start()]
    const ask = (path: string, who: string) =>
      Array.from({ length: 40 }, (_, i) => servers[i % 2]!(path, who))
    expect(await statuses(ask('/chat', 'ann'))).toEqual({ 200: 30, 429: 10 })
    expect(await statuses(ask('/images', 'ann'))).toEqual({ 200: 15, 429: 25 })
    expect(await statuses(ask('/chat', 'bob'))).toEqual({ 200: 30, 429: 10 })
    expect(provider.requests.admitted).toBe(75)

    const refused = await servers[0]!('/chat', 'ann')
    expect(refused.headers.get('ratelimit-policy')).toBe('"30 per 60s";q=30;w=60')
    expect(refused.headers.get('ratelimit')).toMatch(/^"30 per 60s";r=0;t=(60|5\d)$/)
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(50)
    expect(await refused.json()).toMatchObject({ status: 429, title: 'Too Many Requests' })
    expect(log).toEqual([])
  })

  test('knows its users and its routes, and counts only what gets as far as the guard', async () => {
    const ask = await start()
    expect((await ask('/chat', undefined)).status).toBe(401)
    expect((await ask('/chat', 'eve')).status).toBe(401)
    expect((await ask('/other', 'ann')).status).toBe(404)
    expect((await ask('/chat', 'ann', 'no json')).status).toBe(400)
    const { status, headers } = await ask('/chat', 'ann')
    expect([status, headers.get('ratelimit')]).toEqual([200, '"30 per 60s";r=28;t=60'])
  })

  test('waits out a provider that refuses; its user notices nothing', async () => {
    const ask = await start()
    fault = { kind: 'refused', why: 'rate', status: 429 } as HttpFault
    const asked = ask('/chat', 'ann')
    await expect.poll(() => provider.requests.refused).toBeGreaterThanOrEqual(2)
    fault = undefined
    expect((await asked).status).toBe(200)
    expect(log).toEqual([])
  })

  test.each([
    [{ kind: 'fails', status: 500 }, 500, /^POST \/chat: .*500/],
    [{ kind: 'refused', why: 'rate', status: 429 }, 429, /^POST \/chat: .*429/],
  ] as [HttpFault, number, RegExp][])(
    'gives up %o after five tries, and logs what the provider said',
    async (what, status, told) => {
      const ask = await start()
      fault = what
      const from = performance.now()
      const response = await ask('/chat', 'ann')
      // (8 + 16 + 32 + 64) × 10 ms
      expect(performance.now() - from).toBeGreaterThan(1150)
      expect(response.status).toBe(503)
      expect(log).toEqual([expect.stringMatching(told)])
      expect(provider.requests.byStatus[status]).toBe(5)
    },
  )

  test('goes on without Redis, each process by itself', async () => {
    const ask = await start()
    expect((await ask('/chat', 'ann')).status).toBe(200)
    await redis.stop()
    expect(await statuses(Array.from({ length: 40 }, () => ask('/chat', 'ann')))).toEqual({
      200: 30,
      429: 10,
    })
    expect(log).toEqual([`the store of 'chat' is down`])
  })
})
