// Of all processes one sends the probe. Whatever happens to it, the others do not wait for it longer than the law says.

import type { BucketRateLimiter, LimiterOptions } from 'llmiter'
import type { MemoryStoreOptions } from 'llmiter/testing'
import { describe, expect, test } from 'vitest'
import { outOfQuota, overloaded, rateLimited } from '../helpers.ts'
import { fleetRig } from './redis-harness.ts'

/** Two processes: `a` is refused, with nothing else to do; `b` comes when `a` probes. */
function two(limiter: Partial<LimiterOptions> = {}) {
  const rig = fleetRig(2, { limiter: { requestsPerMinute: 600, ...limiter } })
  const [a, b] = rig.fleet as [BucketRateLimiter, BucketRateLimiter]
  const { clock } = rig
  const went: number[] = []
  let from = 0
  return {
    ...{ ...rig, a, b, went },
    /** Refused once, by this; then it is answered by that. */
    refused(error: Error, then: () => unknown, signal?: AbortSignal) {
      let sent = 0
      const call = async () => {
        await clock.sleep(5)
        if (sent++ === 0) throw error
        return then()
      }
      a.run(call, { signal }).catch(() => {})
    },
    async probing(ms = 1800) {
      await clock.advance(ms)
      from = clock.now()
    },
    others(calls: number, answerMs = 5) {
      for (let i = 0; i < calls; i++) {
        const call = () => {
          went.push(clock.now() - from)
          return clock.sleep(answerMs)
        }
        b.run(call).catch(() => {})
      }
    },
  }
}

describe('the prober has no other calls, and', () => {
  test.each([
    ['rate', rateLimited],
    ['overload', overloaded],
  ])('its answer takes two minutes: the others do not wait for it (%s)', async (_, refusal) => {
    const { clock, refused, probing, others, went } = two()
    refused(refusal(1000), () => clock.sleep(120_000))
    await probing()
    others(20)
    await clock.advance(10_000)
    expect(went).toHaveLength(20)
    expect(went[0]).toBeLessThan(1000)
  })

  test('gives its call up: that proves nothing, and another one probes', async () => {
    const { clock, refused, probing, others, went } = two()
    const caller = new AbortController()
    refused(overloaded(1000), () => clock.sleep(60_000), caller.signal)
    await probing()
    others(20, 5000)
    await clock.advance(20)
    caller.abort()
    await clock.advance(4000)
    expect(went.length).toBeGreaterThan(0)
    expect(went.length).toBeLessThan(6)
    await clock.advance(60_000)
    expect(went).toHaveLength(20)
  })

  test('its quota is used up: the others hear of it, and none of their calls waits', async () => {
    const { clock, b, refused, probing, others, went } = two()
    refused(rateLimited(1000), () => Promise.reject(outOfQuota()))
    await probing()
    others(5)
    await clock.advance(3000)
    expect(went).toHaveLength(0)
    expect(b.stats()).toMatchObject({ waiting: 0, inFlight: 0 })
    // The end was unknown: the account was paid, and the next trial finds out.
    await clock.advance(80_000)
    others(5)
    await clock.advance(5000)
    expect(went).toHaveLength(5)
  })

  test('it is paused: the others do not wait for it', async () => {
    const { clock, a, refused, others, went } = two()
    refused(rateLimited(1000), () => {})
    while (a.stats().gate !== 'probing') await clock.advance(1)
    a.pause()
    others(5)
    await clock.advance(5000)
    expect(went).toHaveLength(5)
    a.resume()
    await clock.advance(5000)
    expect(a.stats()).toMatchObject({ waiting: 0, inFlight: 0, gate: 'open' })
  })
})

test('cut off, the prober loses its probe to one that dies: it probes again', async () => {
  const { clock, store, a, kill, refused, others, went } = two()
  let done = 0
  refused(rateLimited(1000), () => clock.sleep(200))
  for (let i = 0; i < 50; i++) void a.run(() => clock.sleep(200)).then(() => done++)
  while (a.stats().gate !== 'probing' || a.stats().inFlight === 0) await clock.advance(1)
  store.cut([0])
  others(1, 100_000)
  while (went.length === 0) await clock.advance(50)
  kill(1)
  store.mend()
  await clock.advance(120_000)
  expect(done).toBe(50)
})

describe('the store goes down while a process waits for its turn to probe:', () => {
  /** The only call is refused, and the store is cut off before the wait of five seconds is over. */
  async function cutWhileClosed(store: MemoryStoreOptions, probe?: LimiterOptions['probe']) {
    const rig = fleetRig(1, { store, limiter: { probe } })
    const limiter = rig.fleet[0]!
    let sent = 0
    const call = async () => {
      await rig.clock.sleep(5)
      if (sent++ === 0) throw rateLimited(5000)
      return rig.clock.now()
    }
    const answered = limiter.run(call)
    answered.catch(() => {})
    await rig.clock.advance(20)
    rig.store.cut('all')
    return { ...rig, limiter, answered }
  }

  test('a process with a share of its own probes by itself', async () => {
    const { clock, answered } = await cutWhileClosed({ processes: 1 })
    await clock.advance(20_000)
    expect(await answered).toBeLessThan(10_000)
  })

  test('its own probe is asked, again and again', async () => {
    let asked = 0
    const { clock, answered } = await cutWhileClosed({ processes: 1 }, () => ++asked === 3)
    await clock.advance(20_000)
    expect([asked, (await answered) < 20_000]).toEqual([3, true])
  })

  test('its own probe is asked once the store says that it is its turn', async () => {
    let asked = 0
    const { clock, store, answered } = await cutWhileClosed({ onStoreDown: 'wait' }, () => ++asked === 3)
    await clock.advance(20_000)
    expect(asked).toBe(0)
    store.mend()
    await clock.advance(20_000)
    expect([asked, (await answered) < 40_000]).toEqual([3, true])
  })

  test('one that needs the store says that it waits for the store', async () => {
    const { clock, store, limiter, answered } = await cutWhileClosed({ onStoreDown: 'wait' })
    await clock.advance(2000)
    expect(limiter.stats().why).toMatchObject({ kind: 'gate', refused: 'rate' })
    await clock.advance(10_000)
    expect(limiter.stats().why).toEqual({ kind: 'store', limiter: 'fleet' })
    store.mend()
    await clock.advance(5000)
    await answered
    expect(limiter.stats().why).toBeUndefined()
  })

  test('paused meanwhile, the process asks the store again', async () => {
    const { clock, store, limiter, answered } = await cutWhileClosed({ onStoreDown: 'wait' })
    await clock.advance(200)
    limiter.pause()
    await clock.advance(60_000)
    store.mend()
    limiter.resume()
    await clock.advance(30_000)
    expect(await answered).toBeGreaterThan(60_000)
  })
})

describe('maxConcurrent is another here than there, since one was updated first:', () => {
  /** Both have calls to make, and an hour. */
  async function hour(limiter: Partial<LimiterOptions>, refuse: (now: number) => boolean) {
    const rig = fleetRig(3, { limiter })
    const { clock, fleet } = rig
    let done = 0
    for (const each of fleet)
      for (let i = 0; i < 20; i++) {
        const call = async () => {
          const refused = refuse(clock.now())
          await clock.sleep(50)
          if (refused) throw rateLimited(1000)
        }
        void each.run(call, { cost: { tokens: 1500 } }).then(() => done++)
      }
    await clock.advance(2000)
    fleet[0]!.update({ maxConcurrent: 8 })
    await clock.advance(3_600_000)
    return done
  }

  test('a process that may have none in flight does not hold slots that others can use', async () => {
    expect(await hour({ tokensPerMinute: 10_000, maxConcurrent: 2 }, () => false)).toBe(60)
  })

  test("a process that waits for another one's probe leaves room for it", async () => {
    const refuse = (now: number) => now > 4000 && now < 30_000
    expect(await hour({ requestsPerMinute: 60, maxConcurrent: 2 }, refuse)).toBe(60)
  })
})
