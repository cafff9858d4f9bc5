// `redisGuardStore` on a real Redis: the law of one process, for all of them.

import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { GuardLimit } from 'llmiter'
import { guard } from 'llmiter/inbound'
import { redisGuardStore } from 'llmiter/redis'
import { haveRedis, type RedisServer, startRedis } from '../support/redis.ts'

test.each([
  [{ prefix: 5 }, 'prefix must be a string without braces, got 5'],
  [{ prefix: 'a{b}' }, 'prefix'],
  [{ prefx: 'a' }, "no option 'prefx' (did you mean 'prefix'?)"],
])('wrong options: %j', (options, message) => {
  const client = { evalsha() {}, eval() {} }
  expect(() => redisGuardStore(client as never, options as never)).toThrow(message)
})
test('a wrong client', () => expect(() => redisGuardStore({} as never)).toThrow(TypeError))

describe.skipIf(!haveRedis())('guards', () => {
  let redis: RedisServer
  let admin: Redis
  beforeAll(async () => {
    redis = await startRedis()
    admin = new Redis(redis.url)
    admin.on('error', () => {})
  })
  afterAll(async () => {
    admin?.disconnect()
    await redis?.close()
  })
  beforeEach(() => admin.flushall())

  const clients = {
    ioredis: () => {
      const client = admin.duplicate()
      client.on('error', () => {})
      return client
    },
    '@upstash/redis': () => ({
      evalsha: (sha: string, keys: string[], args: string[]) =>
        admin.evalsha(sha, keys.length, ...keys, ...args),
      eval: (script: string, keys: string[], args: string[]) =>
        admin.eval(script, keys.length, ...keys, ...args),
      disconnect() {},
    }),
    redis: () => {
      const client = createClient({ url: redis.url })
      client.on('error', () => {})
      return client
    },
  }

  test.each(Object.keys(clients) as (keyof typeof clients)[])(
    'share a limit through a client of the shape of %s',
    async (kind) => {
      const own = clients[kind]()
      const join = () =>
        guard({ limit: ['5 per 60s', '7 per 1h'], name: 'chat', store: redisGuardStore(own) })
      const fleet = [join(), join(), join()]
      const verdicts = await Promise.all(Array.from({ length: 60 }, (_, i) => fleet[i % 3]!.check('ann')))
      expect(
        verdicts
          .filter(({ allowed }) => allowed)
          .map(({ limits }) => limits.map(({ remaining }) => remaining)),
      ).toEqual(expect.arrayContaining([4, 3, 2, 1, 0].map((left) => [left, left + 2])))
      expect(verdicts.filter(({ allowed }) => allowed).length).toBe(5)
      const refused = verdicts.find(({ allowed }) => !allowed)!
      expect(refused.retryAfterMs).toBeGreaterThan(55_000)
      expect(refused.retryAfterMs).toBeLessThanOrEqual(60_000)
      expect((await fleet[0]!.check('bob')).allowed).toBe(true)
      // Nothing stays forever.
      for (const key of await admin.keys('*')) expect(await admin.pttl(key)).toBeGreaterThan(0)
      if ('destroy' in own) await own.connect().then(() => own.destroy())
      else own.disconnect()
    },
  )

  test('no window exceeds the limit, a client that waits as told is accepted, and the lists stay short', async () => {
    const store = redisGuardStore(admin)
    const limits: GuardLimit[] = [
      { amount: 4, windowMs: 100 },
      { amount: 7, windowMs: 300 },
    ]
    const passed: number[] = []
    const end = performance.now() + 1500
    while (performance.now() < end) {
      const before = performance.now()
      const { allowed, counts } = await store.take({ name: 'chat', key: 'ann', limits })
      if (allowed) passed.push(performance.now())
      else {
        const waits = counts.map(({ used, resetMs }, i) => (used >= limits[i]!.amount ? resetMs : 0))
        expect(Math.max(...waits)).toBeGreaterThan(0)
        await sleep(Math.max(1, ...waits.map((wait) => wait - (performance.now() - before) / 2)))
        continue
      }
      for (const key of await admin.keys('*')) expect(await admin.llen(key)).toBeLessThanOrEqual(7)
    }
    for (const { amount, windowMs } of limits) {
      // The clocks of both sides differ by the way there: 5 ms.
      const most = Math.max(
        ...passed.map((at) => passed.filter((other) => other > at - windowMs + 5 && other <= at).length),
      )
      expect(most).toBeLessThanOrEqual(amount)
    }
    expect(passed.length).toBeGreaterThanOrEqual(7 * 4)
    await sleep(350)
    expect(await admin.keys('*')).toEqual([])
  })

  test('names and keys cannot be confused, whatever is in them', async () => {
    const store = redisGuardStore(admin)
    const limits = [{ amount: 1, windowMs: 60_000 }]
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(
          fc.oneof(fc.string({ minLength: 1 }), fc.constantFrom('{a}', '}{', '%7Ba%7D', 'a:b', '\n', '\0')),
          {
            maxLength: 10,
          },
        ),
        async (keys) => {
          await admin.flushall()
          for (const key of keys) expect((await store.take({ name: 'n', key, limits })).allowed).toBe(true)
          for (const key of keys) expect((await store.take({ name: 'n', key, limits })).allowed).toBe(false)
        },
      ),
      { numRuns: 50 },
    )
    expect((await store.take({ name: 'a', key: 'b:c', limits })).allowed).toBe(true)
    expect((await store.take({ name: 'a:b', key: 'c', limits })).allowed).toBe(true)
  })

  test('Redis loses the script, and then all data: only the counts are lost', async () => {
    const store = redisGuardStore(admin)
    const question = { name: 'chat', key: 'ann', limits: [{ amount: 2, windowMs: 60_000 }] }
    await store.take(question)
    await admin.script('FLUSH')
    expect((await store.take(question)).allowed).toBe(true)
    expect((await store.take(question)).allowed).toBe(false)
    await admin.flushall()
    expect((await store.take(question)).allowed).toBe(true)
  })

  test('the clock of the store is set back by an hour: nobody is locked out, nobody gets twice', async () => {
    const store = redisGuardStore(admin)
    const question = { name: 'chat', key: 'ann', limits: [{ amount: 3, windowMs: 1000 }] }
    const [seconds, micros] = (await admin.time()).map(Number) as [number, number]
    const future = seconds * 1e6 + micros + 3600e6
    const key = 'llmiter:guard:{chat:ann}:3/1000'
    await admin.rpush(key, future - 500_000, future - 100_000, future)
    const { allowed, counts } = await store.take(question)
    expect([allowed, counts[0]!.used]).toEqual([false, 3])
    expect(counts[0]!.resetMs).toBe(500)
    await sleep(520)
    expect((await store.take(question)).allowed).toBe(true)
    expect((await store.take(question)).allowed).toBe(false)
  })

  test('a full log of 100,000 is never read as a whole: not when it leaves the window, nor when the clock was set back', async () => {
    const store = redisGuardStore(admin)
    const question = { name: 'chat', key: 'ann', limits: [{ amount: 100_000, windowMs: 86_400_000 }] }
    const key = 'llmiter:guard:{chat:ann}:100000/86400000'
    const [seconds, micros] = (await admin.time()).map(Number) as [number, number]
    const now = seconds * 1e6 + micros
    /** Half of the log is older than a window, at `end`. */
    const fill = async (end: number) => {
      await admin.del(key)
      for (let from = 0; from < 100_000; from += 10_000)
        await admin.rpush(
          key,
          ...Array.from({ length: 10_000 }, (_, i) => end - 2 * 86_400e6 + (from + i + 1) * 1728e3),
        )
    }
    const commands = async () =>
      [
        ...(await admin.info('commandstats')).matchAll(
          /cmdstat_(?!info|config|evalsha|eval|script|rpush)\w+:calls=(\d+)/g,
        ),
      ]
        .map(([, calls]) => Number(calls))
        .reduce((sum, calls) => sum + calls, 0)
    for (const end of [now, now + 3600e6]) {
      await fill(end)
      await store.take(question)
      await fill(end)
      await admin.config('RESETSTAT')
      const { allowed, counts } = await store.take(question)
      expect(allowed).toBe(true)
      // One leaves each 1.7 s.
      expect(counts[0]!.used).toBeGreaterThan(49_900)
      expect(counts[0]!.used).toBeLessThanOrEqual(50_001)
      expect(await commands()).toBeLessThan(40)
    }
  })

  test('a token that is a key stands nowhere in Redis, unless the user wants to see it', async () => {
    const options = { limit: '5 per 60s', name: 'chat', store: redisGuardStore(admin) }
    await guard(options).check('Bearer sk-secret')
    expect(await admin.keys('*')).toEqual([
      expect.stringMatching(/^llmiter:guard:\{chat:sha256:[0-9a-f]{32}\}:5\/60000$/),
    ])
    await guard({ ...options, hashKeys: false }).check('Bearer sk-secret')
    expect(await admin.keys('*secret*')).toHaveLength(1)
  })

  test('Redis is frozen, then gone, then back with nothing: no request hangs, and the limit holds in each process', async () => {
    const own = clients.ioredis()
    const limiter = guard({
      limit: '5 per 60s',
      name: 'chat',
      store: redisGuardStore(own),
      storeTimeoutMs: 300,
    })
    const news: string[] = []
    limiter.on('store', ({ state }) => news.push(state))
    await limiter.check('ann')
    const slowest = async (key: string) => {
      let slowest = 0
      let allowed = 0
      for (let i = 0; i < 20; i++) {
        const from = performance.now()
        if ((await limiter.check(key)).allowed) allowed++
        slowest = Math.max(slowest, performance.now() - from)
      }
      expect(allowed).toBe(5)
      return slowest
    }
    redis.freeze()
    expect(await slowest('bob')).toBeLessThan(1000)
    redis.thaw()
    await redis.stop()
    expect(await slowest('carl')).toBeLessThan(1000)
    await redis.start()
    await expect.poll(async () => (await limiter.check('dora'), news.at(-1)), { timeout: 5000 }).toBe('up')
    expect(news[0]).toBe('down')
    own.disconnect()
  }, 20_000)
})
