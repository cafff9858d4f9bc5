// Real processes, a real Redis and a provider over HTTP, which counts. In real time: so the window is ten seconds.

import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { between, mostIn } from '../../bench/fleet/count.ts'
import { type Fleet, startFleet, type WorkerOptions } from '../../bench/fleet/fleet.ts'
import { type Cable, startCable } from '../../bench/fleet/proxy.ts'
import { haveRedis, type RedisServer, startRedis } from '../support/redis.ts'

const WINDOW = 10_000
const AMOUNT = 300
/** Tickets a second: what T = (W + J) / n allows. */
const PACE = (AMOUNT / (WINDOW + 50)) * 1000
const limits = { limits: [{ of: 'requests', amount: AMOUNT, per: '10s' as const }] }

describe.skipIf(!haveRedis())('processes', () => {
  let redis: RedisServer
  let fleet: Fleet
  let cable: Cable | undefined
  let admin: Redis

  beforeEach(async () => {
    redis = await startRedis()
    admin = new Redis(redis.url)
    admin.on('error', () => {})
  })
  afterEach(async () => {
    await fleet?.stop()
    await cable?.close()
    admin.disconnect()
    await redis?.close()
    cable = undefined
  })

  const start = async (
    processes: number,
    options: (worker: number) => Partial<WorkerOptions> = () => ({}),
  ) => {
    fleet = await startFleet(processes, (worker) => ({
      redisUrl: redis.url,
      limits,
      backlog: 10,
      ...options(worker),
    }))
    await sleep(1500)
  }
  /** The share of the pace that is used in the next `ms`. */
  const used = async (ms: number) => {
    const from = performance.now()
    await sleep(ms)
    const to = performance.now()
    return between(fleet.times(), from, to) / ((PACE * (to - from)) / 1000)
  }
  // A machine that is busy with other tests delays calls on their way: by more than the 50 ms that a limiter allows for.
  const most = () => mostIn(fleet.times(), WINDOW - 300)

  test('20 of them use the limit to the last ticket and ask four times a second, whatever their clocks say', async () => {
    await start(20, (worker) => ({
      client: worker % 2 === 0 ? 'ioredis' : 'redis',
      ...(worker === 7 && { wallShiftMs: 3_600_000 }),
    }))
    const calls = async () =>
      Number(/cmdstat_evalsha:calls=(\d+)/.exec(await admin.info('commandstats'))?.[1])
    const before = await calls()
    expect(await used(15_000)).toBeGreaterThan(0.99)
    expect((await calls()) - before).toBeLessThanOrEqual(20 * 4 * 15.5)
    expect(most()).toBeLessThanOrEqual(AMOUNT + 1)
    expect(fleet.errors()).toEqual([])

    const at = await fleet.refuseAll(2000)
    await sleep(4000)
    const after = fleet.times().filter((time) => time > at + 500 && time < at + 3500)
    expect(after[0]! - at).toBeGreaterThan(1900)
    // One probe, and the others only when it has come back.
    expect(after[1]! - after[0]!).toBeGreaterThan(15)
  }, 120_000)

  test('one is killed, then Redis loses the script and all data: no call is affected', async () => {
    await start(8)
    fleet.workers[3]!.kill('SIGKILL')
    expect(await used(6000)).toBeGreaterThan(0.95)
    await admin.script('FLUSH')
    expect(await used(3000)).toBeGreaterThan(0.93)
    await admin.flushall()
    expect(await used(5000)).toBeGreaterThan(0.95)
    expect(most()).toBeLessThanOrEqual(AMOUNT + 1)
    expect(fleet.errors()).toEqual([])
    expect(fleet.said.filter(({ message }) => message.of === 'store')).toEqual([])
  }, 120_000)

  test('Redis is frozen, and then restarted empty: processes continue with their shares, and are back in 2 s', async () => {
    await start(6, (worker) => ({ client: worker % 2 === 0 ? 'ioredis' : 'redis' }))
    for (const [away, back] of [
      [() => redis.freeze(), () => redis.thaw()],
      [() => redis.stop(), () => redis.start()],
    ]) {
      await away!()
      await sleep(3000)
      // What went in bursts before is waited out first, so that no window holds more than the limit.
      expect(await used(6000)).toBeGreaterThan(0.78)
      const downs = fleet.said.filter(
        ({ message }) => message.of === 'store' && message.state === 'down',
      ).length
      expect(downs % 6).toBe(0)
      await back!()
      await sleep(2000)
      const ups = fleet.said.filter(({ message }) => message.of === 'store' && message.state === 'up').length
      expect(ups).toBe(downs)
      expect(await used(3000)).toBeGreaterThan(0.9)
    }
    expect(most()).toBeLessThanOrEqual(AMOUNT + 1)
    expect(fleet.errors()).toEqual([])
  }, 120_000)

  test.each(['cut', 'swallow'] as const)(
    'all but one are cut off (%s): no more than the limit, and all are back',
    async (how) => {
      cable = await startCable(redis.port)
      await start(10, (worker) => ({
        redisUrl: worker === 0 ? redis.url : cable!.url,
        client: worker % 2 === 0 ? 'ioredis' : 'redis',
      }))
      await sleep(3000)
      cable[how]()
      await sleep(4000)
      expect(await used(10_000)).toBeGreaterThan(0.85)
      cable.mend()
      await sleep(2500)
      expect(await used(4000)).toBeGreaterThan(0.95)
      expect(most()).toBeLessThanOrEqual(AMOUNT + 1)
      expect(fleet.errors()).toEqual([])
    },
    60_000,
  )
})
