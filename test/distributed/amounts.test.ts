// More than requests: tokens, quotas, days and calls in flight, all of them or none.

import type { BucketRateLimiter } from 'llmiter'
import { describe, expect, test } from 'vitest'
import { fleetRig, mostIn } from './redis-harness.ts'

const MINUTE = 60_000

describe('tokens', () => {
  test('large and small calls of many processes stay within the limit, and use it', async () => {
    const rig = fleetRig(5, { limiter: { requestsPerMinute: 600, tokensPerMinute: 60_000 } })
    const spent: [number, number][] = []
    rig.fleet.forEach((limiter, i) => {
      for (let k = 0; k < 200; k++) {
        const tokens = k % 10 === i ? 4000 : 100 + 50 * (k % 7)
        limiter.run(() => void spent.push([rig.clock.now(), tokens]), { cost: { tokens } }).catch(() => {})
      }
    })
    await rig.clock.advanceTo(4 * MINUTE)
    let most = 0
    for (const [from] of spent)
      most = Math.max(
        most,
        spent.reduce((sum, [at, tokens]) => (at >= from && at < from + MINUTE ? sum + tokens : sum), 0),
      )
    expect(most).toBeLessThanOrEqual(60_000)
    const used = spent.reduce((sum, [at, tokens]) => (at > MINUTE ? sum + tokens : sum), 0)
    expect(used / 180_000).toBeGreaterThan(0.95)
  })

  test('unused amounts are refunded', async () => {
    const rig = fleetRig(3, { limiter: { tokensPerMinute: 60_000 } })
    let [done, until] = [0, Infinity]
    const work = async (limiter: BucketRateLimiter) => {
      while (rig.clock.now() < until) {
        const ticket = await limiter.acquire({ cost: { tokens: 2000 } })
        await rig.clock.sleep(200)
        done++
        ticket.finish({ usage: { inputTokens: 100, outputTokens: 100 } })
      }
    }
    for (const limiter of rig.fleet) for (let k = 0; k < 10; k++) void work(limiter).catch(() => {})
    await rig.clock.advanceTo(3 * MINUTE)
    until = 0
    // 30 a minute by the estimate; 300 by what they use.
    expect(done).toBeGreaterThan(600)
    expect(done).toBeLessThanOrEqual(960)
  })
})

describe('quotas', () => {
  test('are spent to the last call, and not one more, when a process goes and when the store is flushed', async () => {
    const rig = fleetRig(4, { limiter: { requestsPerMinute: 600, requestsPerDay: 500 } })
    rig.backlog(400, [0, 1, 2])
    await rig.clock.advance(20_000)
    rig.store.flush()
    rig.backlog(400, [3])
    await rig.clock.advance(10 * MINUTE)
    expect(rig.times).toHaveLength(500)
  })

  test('of a calendar day begin again at midnight by the clock of the store', async () => {
    const midnight = Date.UTC(2026, 0, 2)
    const rig = fleetRig(3, {
      limiter: { limits: [{ of: 'requests', amount: 100, per: { calendar: 'day' } }] },
      store: { time: () => midnight - MINUTE + rig.clock.now() },
    })
    rig.backlog(100)
    await rig.clock.advance(50_000)
    // A worker's own clock may say what it likes.
    rig.clock.shiftWall(3_600_000)
    expect(rig.times).toHaveLength(100)
    await rig.clock.advance(9_000)
    expect(rig.times).toHaveLength(100)
    await rig.clock.advance(3000)
    expect(rig.times).toHaveLength(200)
    expect(Math.min(...rig.times.slice(100))).toBeGreaterThanOrEqual(MINUTE)
  })
})

describe('calls in flight', () => {
  function busy(processes: number, maxConcurrent: number, options = {}) {
    const rig = fleetRig(processes, { limiter: { maxConcurrent }, ...options })
    const seen = { now: 0, most: 0, done: 0 }
    const work = async () => {
      seen.most = Math.max(seen.most, ++seen.now)
      await rig.clock.sleep(300)
      seen.now--
      seen.done++
    }
    const start = (i: number, calls: number) => {
      for (let k = 0; k < calls; k++) rig.fleet[i]!.run(work).catch(() => {})
    }
    return { ...rig, seen, start }
  }

  test('never more than the limit in all processes together, and no fewer for long', async () => {
    const { fleet, seen, start, clock } = busy(5, 10)
    fleet.forEach((_, i) => start(i, 500))
    await clock.advance(30_000)
    expect(seen.most).toBe(10)
    // 10 at once for 300 ms each make 33 a second; a free slot waits for its process's next request.
    expect(seen.done / 30).toBeGreaterThan(28)
  })

  test('what a dead process held comes back', async () => {
    const { fleet, start, clock, kill, seen } = busy(2, 4)
    start(0, 100)
    await clock.advance(2000)
    kill(0)
    const { done } = seen
    start(1, 100)
    await clock.advance(5000)
    expect(seen.done).toBeGreaterThan(done + 20)
    expect(fleet[1]!.stats().waiting).toBeLessThan(75)
  })
})

test('a limiter whose options change goes on with the new ones', async () => {
  const rig = fleetRig(2, { limiter: { requestsPerMinute: 600 } })
  rig.backlog(2000)
  await rig.clock.advanceTo(MINUTE)
  for (const limiter of rig.fleet) limiter.update({ requestsPerMinute: 1200 })
  await rig.clock.advanceTo(3 * MINUTE)
  expect(mostIn(rig.times, MINUTE)).toBeLessThanOrEqual(1200)
  expect(rig.times.filter((at) => at > 2 * MINUTE).length).toBeGreaterThan(1180)
  expect(() => rig.fleet[0]!.update({ store: rig.store } as never)).toThrow(
    'store cannot be changed by update()',
  )
})
