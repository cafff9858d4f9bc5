// With an unknown limit (`limits: []`), one call goes first, more with every answer, and the limit is learned from
// refusals.

import { expect, test } from 'vitest'
import { BucketRateLimiter } from 'llmiter'
import {
  FixedWindowProvider,
  LimitReqProvider,
  type ModelProvider,
  TokenBucketProvider,
  VirtualClock,
} from 'llmiter/testing'

/** 300 calls at once: how long they take in s, and how many were refused. */
async function backlog(provider: ModelProvider, seed: number) {
  const clock = new VirtualClock({ seed })
  const limiter = new BucketRateLimiter({ name: 'unknown', clock, limits: [] })
  let [done, refused] = [0, 0]
  for (let i = 0; i < 300; i++)
    void limiter
      .run(async () => {
        await clock.sleep(10 + 40 * clock.random!())
        const answer = provider.ask(clock.now())
        await clock.sleep(answer.kind === 'admitted' ? 500 + 1000 * clock.random!() : 20)
        if (answer.kind === 'admitted') return
        refused++
        throw Object.assign(new Error('rate limit'), {
          status: (answer as { status?: number }).status ?? 429,
        })
      })
      .then(() => done++)
  while (done < 300 && clock.now() < 3_600_000) await clock.advance(100)
  limiter.stop()
  return { seconds: clock.now() / 1000, refused }
}

const second = new TokenBucketProvider({ requestsPerMinute: 600, capacityMs: 1000, retryAfter: 'none' })
const minute = new FixedWindowProvider({ requestsPerMinute: 60, phaseMs: 20_000, retryAfter: 'none' })

test.each([
  ['a bucket of a second', second, 60],
  ['a window of a minute', minute, 450],
  ['nginx, 429', new LimitReqProvider({ requestsPerMinute: 600, status: 429 }), 120],
  ['nginx, 503', new LimitReqProvider({ requestsPerMinute: 600 }), 120],
])('300 calls to %s: at most 20 are refused', async (_, provider, seconds) => {
  for (const seed of [1, 2, 3]) {
    const ran = await backlog(provider.unused(), seed)
    expect(ran.refused).toBeLessThanOrEqual(20)
    expect(ran.seconds).toBeLessThan(seconds)
  }
})

test('one call goes at first, and two with every answer; after a refusal, spaced', async () => {
  const clock = new VirtualClock({ seed: 1 })
  const limiter = new BucketRateLimiter({ name: 'unknown', clock, limits: [] })
  const sent: number[] = []
  let refuse = false
  for (let i = 0; i < 400; i++) {
    const call = limiter.run(async () => {
      sent.push(clock.now())
      const refused = refuse
      await clock.sleep(refused ? 20 : 1000)
      if (refused) throw Object.assign(new Error('rate limit'), { status: 429 })
    })
    // The limiter is stopped before all are answered.
    call.catch(() => {})
  }
  await clock.advance(500)
  for (let round = 1; round < 7; round++) {
    expect(sent).toHaveLength(2 ** round - 1)
    await clock.advance(1000)
  }
  expect(sent).toHaveLength(127)
  refuse = true
  // 128 more go before the first of them is refused.
  await clock.advance(510)
  expect(sent).toHaveLength(255)
  refuse = false
  await clock.advance(10_000)
  const gaps = sent.slice(265, 275).map((at, i) => at - sent[264 + i]!)
  expect(Math.min(...gaps)).toBeGreaterThan(0)
  expect(limiter.stats().limits).toEqual([])
  limiter.stop()
})

test('calls of a minute do not hold others back: a call that is not refused within two seconds counts as accepted', async () => {
  const clock = new VirtualClock({ seed: 1 })
  const limiter = new BucketRateLimiter({ name: 'unknown', clock, limits: [] })
  const sent: number[] = []
  for (let i = 0; i < 600; i++)
    void limiter.run(() => {
      sent.push(clock.now())
      return clock.sleep(60_000)
    })
  await clock.advance(60_000)
  expect(sent).toHaveLength(600)
  for (const [i, at] of sent.entries()) expect(at).toBe(2000 * Math.floor(Math.log2(i + 1)))
  await clock.runAll()
  limiter.stop()
})

test('a limit of five at once is found, and not exceeded until much later', async () => {
  const clock = new VirtualClock({ seed: 1 })
  const limiter = new BucketRateLimiter({ name: 'unknown', clock, limits: [] })
  let [running, refused, done] = [0, 0, 0]
  for (let i = 0; i < 300; i++)
    void limiter
      .run(async () => {
        if (running === 5) {
          refused++
          await clock.sleep(20)
          throw Object.assign(new Error('Too many concurrent requests'), { status: 429 })
        }
        running++
        await clock.sleep(3000)
        running--
      })
      .then(() => done++)
  while (done < 300 && clock.now() < 3_600_000) await clock.advance(100)
  // 60 rounds of three seconds.
  expect(clock.now()).toBeLessThan(1.15 * 180_000)
  expect(refused).toBeLessThanOrEqual(20)
  limiter.stop()
})

test('what was found out outlives a change of other options', async () => {
  const clock = new VirtualClock({ seed: 1 })
  const limiter = new BucketRateLimiter({ name: 'unknown', clock, limits: [] })
  const provider = new TokenBucketProvider({ requestsPerMinute: 600, capacityMs: 1000, retryAfter: 'none' })
  let refused = 0
  for (let i = 0; i < 1200; i++)
    limiter
      .run(() => {
        if (provider.ask(clock.now()).kind === 'admitted') return clock.sleep(500)
        refused++
        throw Object.assign(new Error('rate limit'), { status: 429 })
      })
      .catch(() => {})
  await clock.advance(60_000)
  const before = refused
  expect(before).toBeGreaterThan(0)
  limiter.update({ maxWaitMs: '1h' })
  await clock.advance(30_000)
  // Opening again with 1, 2, 4 … would hit the limit many times.
  expect(refused - before).toBeLessThanOrEqual(1)
  limiter.stop()
})

test('one call after the other never waits, and nothing is shown of a limit', async () => {
  const clock = new VirtualClock({ seed: 1 })
  const limiter = new BucketRateLimiter({ name: 'unknown', clock, limits: [] })
  let done = 0
  const next = (): Promise<unknown> =>
    done++ < 500 ? limiter.run(() => clock.sleep(10)).then(next) : Promise.resolve()
  void next()
  await clock.advance(5010)
  expect(done).toBe(501)
  expect(limiter.available()).toBe(Infinity)
  expect(limiter.stats()).toMatchObject({ limits: [], waiting: 0 })
  limiter.stop()
})
