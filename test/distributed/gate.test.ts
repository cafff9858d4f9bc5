// One gate for all processes: a refusal in one of them holds the others, and only one process sends the probe.

import type { BucketRateLimiter } from 'llmiter'
import { describe, expect, test } from 'vitest'
import { overloaded, rateLimited } from '../helpers.ts'
import { fleetRig } from './redis-harness.ts'

/** Processes with endless calls, answered by `provider`; what reached it, and when. */
function world(
  processes: number,
  provider: (now: number, by: number) => Error | undefined,
  pubsub = true,
  answerMs = 50,
) {
  const rig = fleetRig(processes, { limiter: { requestsPerMinute: 6000 }, store: { pubsub } })
  const { clock, fleet } = rig
  const sent: { at: number; by: number; refused: boolean }[] = []
  const start = (i: number) => {
    for (let k = 0; k < 2000; k++) {
      fleet[i]!.run(async () => {
        const error = provider(clock.now(), i)
        sent.push({ at: clock.now(), by: i, refused: error !== undefined })
        await clock.sleep(error ? 5 : answerMs)
        if (error) throw error
      }).catch(() => {})
    }
  }
  fleet.forEach((_, i) => start(i))
  const from = (ms: number, to = Infinity) => sent.filter(({ at }) => at > ms && at < to)
  return { ...rig, sent, from }
}

describe('refusals that are more than chance', () => {
  test.each([
    [true, 15],
    [false, 320],
  ])('hold all (pub/sub %s), and one probe goes for all', async (pubsub, withinMs) => {
    const { clock, from, fleet } = world(
      10,
      (now) => (now > 65_000 && now < 67_000 ? rateLimited(4000) : undefined),
      pubsub,
    )
    let cut = Infinity
    for (const limiter of fleet)
      limiter.on('gate', ({ state }) => {
        if (state === 'closed') cut = Math.min(cut, clock.now())
      })
    await clock.advanceTo(90_000)
    // As one process: the third refusal, and what was on its way by then.
    expect(from(65_000, cut).length).toBeLessThan(10)
    const last = from(cut - 1, cut + 2000).at(-1)?.at ?? cut
    expect(last - cut).toBeLessThan(withinMs)
    const after = from(cut + 2000)
    expect(after[0]!.at).toBeGreaterThan(cut + 3980)
    expect(after[0]!.at).toBeLessThan(cut + 4800)
    // No other call goes until the probe has returned.
    expect(after[1]!.at - after[0]!.at).toBeGreaterThanOrEqual(48)
    expect(fleet.map((limiter) => limiter.stats().gate)).toEqual(fleet.map(() => 'open'))
    // Two seconds of refusals cost a tenth of the rate for a while.
    expect(from(85_000).length).toBeGreaterThan(450)
  })

  test('the prober dies: another one probes', async () => {
    const served = async (dies: boolean) => {
      let over = false
      const rig = world(5, (now) => (now > 3000 && !over ? rateLimited(1000) : undefined))
      await rig.clock.advanceTo(3900)
      const before = rig.sent.length
      while (rig.sent.length === before) await rig.clock.advance(5)
      over = true
      if (dies) rig.kill(rig.sent.at(-1)!.by)
      await rig.clock.advance(12_000)
      return rig.from(rig.clock.now() - 2000).length
    }
    expect(await served(true)).toBeGreaterThan(0.95 * (await served(false)))
  })

  test('an outage: one probe at a time in the whole fleet, then all at once again', async () => {
    const { clock, from } = world(20, (now) => (now > 5000 && now < 60_000 ? overloaded() : undefined))
    await clock.advanceTo(90_000)
    expect(from(6000, 60_000).length).toBeLessThan(40)
    expect(from(70_000).length).toBeGreaterThan(1800)
  })

  test('a prober that has no more calls hands over', async () => {
    const rig = fleetRig(2, { limiter: { requestsPerMinute: 600 } })
    const [a, b] = rig.fleet as [BucketRateLimiter, BucketRateLimiter]
    let refused = false
    const once = async () => {
      await rig.clock.sleep(5)
      if (!refused) {
        refused = true
        throw rateLimited(1000)
      }
    }
    const first = a.run(once)
    await rig.clock.advance(100)
    let done = 0
    await rig.clock.advance(1500)
    await first
    for (let k = 0; k < 10; k++) void b.run(() => done++)
    await rig.clock.advance(5000)
    expect(done).toBe(10)
  })
})

test('a single refusal may be chance, and does not lower the rate', async () => {
  let refused = false
  const { clock, from, fleet } = world(3, (now) => {
    if (now < 3000 || refused) return undefined
    refused = true
    return rateLimited(2000)
  })
  await clock.advanceTo(10_000)
  expect(from(7000).length / 3).toBeGreaterThan(98)
  expect(fleet.map((limiter) => limiter.stats().limits[0]!.learned)).toEqual([
    undefined,
    undefined,
    undefined,
  ])
})

describe('what one has learned', () => {
  test('by headers holds for all', async () => {
    const rig = fleetRig(4, { limiter: { requestsPerMinute: 600 } })
    const headers = { 'x-ratelimit-limit-requests': '300' }
    for (const limiter of rig.fleet)
      for (let k = 0; k < 400; k++) void limiter.run(() => rig.times.push(rig.clock.now()))
    await rig.clock.advance(5000)
    const ticket = await rig.fleet[0]!.tryAcquire()
    expect(ticket).toBeUndefined()
    const waits = rig.fleet[0]!.acquire({ priority: 9 })
    await rig.clock.advance(3000)
    ;(await waits).finish({ headers })
    await rig.clock.advance(2000)
    const from = rig.clock.now()
    await rig.clock.advance(20_000)
    expect(rig.times.filter((at) => at > from).length / 100).toBeCloseTo(1, 1)
    for (const limiter of rig.fleet) expect(limiter.stats().limits[0]!.learned).toBeCloseTo(300, 0)
  })

  test('by refusals holds for all', async () => {
    // Half of what is configured: a bucket of a second.
    let [tokens, last] = [5, 0]
    const { clock, from, fleet } = world(6, (now) => {
      tokens = Math.min(50, tokens + ((now - last) * 50) / 1000)
      last = now
      if (tokens < 1) return rateLimited()
      tokens--
      return undefined
    })
    await clock.advanceTo(60_000)
    const learned = fleet.map((limiter) => limiter.stats().limits[0]!.learned ?? 6000)
    for (const rate of learned) expect(rate).toBeLessThan(3600)
    expect(Math.max(...learned) - Math.min(...learned)).toBeLessThan(300)
    const late = from(30_000)
    expect(late.filter(({ refused }) => refused).length).toBeLessThan(10)
    expect(late.filter(({ refused }) => !refused).length / 30).toBeGreaterThan(47)
  })
})
