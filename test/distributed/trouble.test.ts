// Whatever befalls Redis: calls go on at the own share, an event says so, and all are back by themselves. On a real Redis and in
// real time, so windows are two seconds long and the stories run beside each other.

import { rmSync } from 'node:fs'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { between } from '../../bench/fleet/count.ts'
import { startCable } from '../../bench/fleet/proxy.ts'
import { freePort, haveRedis, type RedisServer } from '../support/redis.ts'
import { upstashBridge } from '../support/upstash.ts'
import { AMOUNT, config, crew, PACE, scene, sleep, WINDOW } from './fleet-harness.ts'

const unhandled: unknown[] = []
const note = (error: unknown) => unhandled.push(error)
beforeAll(() => void process.on('unhandledRejection', note))
afterAll(() => void process.off('unhandledRejection', note))
afterEach(() => expect(unhandled).toEqual([]))

interface Trouble {
  what: string
  says: RegExp
  begins(admin: Redis, server: RedisServer): Promise<unknown>
  ends(admin: Redis, server: RedisServer): Promise<unknown>
}

const TROUBLES: Trouble[] = [
  {
    what: 'is out of memory',
    says: /OOM/,
    begins: (admin) => config(admin, 'maxmemory', '1', 'maxmemory-policy', 'noeviction'),
    ends: (admin) => config(admin, 'maxmemory', '0'),
  },
  {
    what: 'is a replica that may not be written to',
    says: /READONLY/,
    begins: async (admin) => admin.call('REPLICAOF', '127.0.0.1', String(await freePort())),
    ends: (admin) => admin.call('REPLICAOF', 'NO', 'ONE'),
  },
  {
    what: 'has too few replicas to accept a write',
    says: /NOREPLICAS/,
    begins: (admin) => config(admin, 'min-replicas-to-write', '1'),
    ends: (admin) => config(admin, 'min-replicas-to-write', '0'),
  },
  {
    what: 'cannot save, and so accepts no write',
    says: /MISCONF/,
    async begins(admin) {
      await config(admin, 'save', '3600 1')
      const [, folder] = (await admin.call('CONFIG', 'GET', 'dir')) as [string, string]
      rmSync(folder, { recursive: true })
      await admin.call('BGSAVE')
    },
    ends: (admin) => config(admin, 'stop-writes-on-bgsave-error', 'no'),
  },
  {
    what: 'has another password',
    says: /NOAUTH|no connection|closed/i,
    async begins(admin) {
      await config(admin, 'requirepass', 'another')
      await admin.call('CLIENT', 'KILL', 'TYPE', 'normal')
      await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub')
    },
    ends: (admin) => config(admin, 'requirepass', ''),
  },
  {
    what: 'is busy with a script that does not end',
    says: /BUSY|no answer/,
    async begins(admin, { url }) {
      await config(admin, 'busy-reply-threshold', '50')
      const other = new Redis(url, { retryStrategy: null })
      void other.eval('while true do end', 0).catch(() => other.disconnect())
    },
    ends: (admin) => admin.call('SCRIPT', 'KILL'),
  },
  {
    what: 'answers no writes, and says nothing',
    says: /no answer from the store for 1000 ms/,
    begins: (admin) => admin.call('CLIENT', 'PAUSE', '60000', 'WRITE'),
    ends: (admin) => admin.call('CLIENT', 'UNPAUSE'),
  },
]

describe.skipIf(!haveRedis())('the store', () => {
  test.concurrent.each(TROUBLES)('$what: each goes on at its share, and is back', async (trouble) => {
    await scene(async (server, admin) => {
      const { hands, start, stop, used, most, states, failures } = crew(server.url)
      start()
      await sleep(1500)
      expect(await used(1000)).toBeGreaterThan(0.7)
      await trouble.begins(admin, server)
      const away = performance.now()
      await sleep(2700)
      const alone = await used(2500)
      expect(alone).toBeGreaterThan(0.85)
      expect(alone).toBeLessThan(1.05)
      for (const { calls } of hands) {
        const own = between(calls, away + 2700, away + 5200) / (2.5 * PACE)
        expect(own).toBeLessThan(0.31)
        expect(own).toBeGreaterThan(0.17)
      }
      expect(states()).toEqual(hands.map(() => 'down'))
      for (const { said } of hands) {
        expect(said[0]!.processes).toBe(4)
        expect(String(said[0]!.error)).toMatch(trouble.says)
      }
      await trouble.ends(admin, server)
      await sleep(2000)
      expect(states()).toEqual(hands.map(() => 'down up'))
      expect(await used(2000)).toBeGreaterThan(0.93)
      expect(states()).toEqual(hands.map(() => 'down up'))
      expect(most()).toBeLessThanOrEqual(AMOUNT + 1)
      expect([...failures, ...hands.flatMap(({ errors }) => errors)]).toEqual([])
      stop()
    })
  })

  test.concurrent('is out of memory, behind Upstash: the same', async () => {
    await scene(async (server, admin) => {
      const bridge = await upstashBridge(admin)
      const urls = [bridge.url, server.url, bridge.url]
      const { hands, start, stop, used, states } = crew(urls, { kinds: ['upstash', 'ioredis', 'upstash'] })
      start()
      await sleep(1500)
      await config(admin, 'maxmemory', '1')
      await sleep(2700)
      const alone = await used(2000)
      expect(alone).toBeGreaterThan(0.85)
      expect(alone).toBeLessThan(1.05)
      await config(admin, 'maxmemory', '0')
      await sleep(2000)
      expect(states()).toEqual(hands.map(() => 'down up'))
      for (const { said } of hands) expect(String(said[0]!.error)).toMatch(/OOM/)
      expect(await used(1500)).toBeGreaterThan(0.93)
      stop()
      bridge.close()
    })
  })

  test.concurrent.each([
    ['just below the timeout', 400, ''],
    ['beyond the first timeout: it is waited for', 600, 'down up'],
    ['far beyond the timeout', 1500, 'down'],
  ])('is slow, %s: one word about it, and no more than the limit', async (_, lateMs, said) => {
    await scene(async (server) => {
      const cable = await startCable(server.port)
      const { hands, start, stop, used, states, most } = crew(cable.url)
      start()
      await sleep(1500)
      cable.slow(lateMs)
      await sleep(8000)
      expect(states()).toEqual(hands.map(() => said))
      cable.slow(0)
      await sleep(3000)
      expect(states()).toEqual(hands.map(() => said && 'down up'))
      // Two windows: what came late in one makes a gap in the next.
      expect(await used(2 * (WINDOW + 50))).toBeGreaterThan(0.9)
      expect(most()).toBeLessThanOrEqual(AMOUNT + 1)
      stop()
      await cable.close()
    })
  })

  test.concurrent.each(['ioredis', 'redis'] as const)(
    'has always refused the password (%s): a new process uses `processes`, or waits; both connect when it is correct',
    async (kind) => {
      await scene(async (server, admin) => {
        await config(admin, 'requirepass', 'secret')
        const waits = crew(server.url, { kinds: [kind, kind] })
        const goes = crew(server.url, {
          kinds: [kind, kind, kind],
          store: { processes: 4, prefix: 'other:' },
        })
        waits.start(2)
        goes.start()
        await sleep(3000)
        expect(waits.times).toEqual([])
        const from = performance.now()
        await sleep(2000)
        for (const { calls } of goes.hands) {
          const own = between(calls, from, from + 2000) / (2 * PACE)
          expect(own).toBeGreaterThan(0.17)
          expect(own).toBeLessThan(0.31)
        }
        for (const { said } of [...waits.hands, ...goes.hands]) {
          expect(said.map(({ state }) => state)).toEqual(['down'])
          expect(String(said[0]!.error)).toMatch(/NOAUTH|WRONGPASS|no connection/)
        }
        await config(admin, 'requirepass', '')
        await sleep(2000)
        expect([...waits.states(), ...goes.states()]).toEqual(Array.from({ length: 5 }, () => 'down up'))
        expect(waits.times.length).toBeGreaterThan(3)
        expect(await goes.used(2 * (WINDOW + 50))).toBeGreaterThan(0.9)
        waits.stop()
        goes.stop()
      })
    },
  )

  test.concurrent.each(['ioredis', 'redis'] as const)(
    'goes, and calls wait or are rejected, as they were told (%s)',
    async (kind) => {
      await scene(async (server) => {
        const kinds = [kind, kind]
        const waits = crew(server.url, { kinds, store: { onStoreDown: 'wait', prefix: 'w:' } })
        const rejects = crew(server.url, { kinds, store: { onStoreDown: 'reject', prefix: 'r:' } })
        waits.start()
        rejects.start()
        await sleep(1500)
        await server.stop()
        await sleep(2000)
        const [waited, failed] = [waits.times.length, rejects.failures.length]
        expect(failed).toBeGreaterThanOrEqual(16)
        for (const error of rejects.failures) {
          const { code, cause } = error as { code: string; cause: unknown }
          expect(code).toBe('STORE_DOWN')
          expect(String(cause)).toMatch(/ECONNREFUSED|ECONNRESET|closed|terminated/i)
        }
        const gone = rejects.times.length
        const { limiter } = waits.hands[0]!
        const abort = new AbortController()
        const aborted = limiter.run(() => 'ran', { signal: abort.signal }).catch((error: unknown) => error)
        const late = limiter.run(() => 'ran', { maxWaitMs: 300 }).catch((error: unknown) => error)
        abort.abort('enough')
        expect(await aborted).toBe('enough')
        expect(await late).toMatchObject({ code: 'WAIT_TIMEOUT' })
        const parked = waits.hands[1]!.limiter.acquire().catch((error: unknown) => error)
        const began = performance.now()
        waits.hands[1]!.limiter.stop('over')
        expect(await parked).toMatchObject({ code: 'LIMITER_STOPPED' })
        expect(performance.now() - began).toBeLessThan(100)
        expect([waits.times.length, rejects.times.length]).toEqual([waited, gone])
        await server.start()
        await sleep(2000)
        expect([...waits.states(), ...rejects.states()]).toEqual(['down up', 'down', 'down up', 'down up'])
        expect(waits.times.length).toBeGreaterThan(waited + 5)
        const { length } = rejects.failures
        expect(await rejects.used(1500)).toBeGreaterThan(0.9)
        expect(rejects.failures).toHaveLength(length)
        waits.stop()
        rejects.stop()
      })
    },
  )

  test.concurrent('was frozen: the news of a refusal is heard at once again, by every client', async () => {
    await scene(async (server) => {
      const { hands, start, stop } = crew(server.url)
      start(1)
      await sleep(1000)
      server.freeze()
      await sleep(7000)
      server.thaw()
      await sleep(2500)
      const closed = hands.map(
        ({ limiter }) =>
          new Promise<number>((resolve) =>
            limiter.on('gate', ({ state }) => state === 'closed' && resolve(performance.now())),
          ),
      )
      const [refused, ...others] = hands
      for (const hand of others) hand.resting = true
      refused!.refusal = Object.assign(new Error('429'), { status: 429, headers: { 'retry-after': '1' } })
      const [since, ...heard] = await Promise.all(closed)
      for (const at of heard) expect(Math.abs(at - since!)).toBeLessThan(100)
      stop()
    })
  })
})
