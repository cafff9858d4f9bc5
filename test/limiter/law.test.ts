// The law of the rate with model providers: a backlog of an hour in virtual time.

import { expect, test } from 'vitest'
import { BucketRateLimiter, type LimiterOptions } from 'llmiter'
import {
  AccelerationProvider,
  ConcurrencyProvider,
  FixedWindowProvider,
  type ModelProvider,
  ShortQuantumProvider,
  StepChangeProvider,
  TokenBucketProvider,
  VirtualClock,
} from 'llmiter/testing'

const MINUTE = 60_000
const requestsPerMinute = 600

/** The times at which the provider accepted and refused calls, while a backlog waits. */
async function backlog(
  provider: ModelProvider,
  options: Partial<LimiterOptions>,
  minutes: number,
  serviceMs = 30,
) {
  const clock = new VirtualClock({ seed: 7 })
  const limiter = new BucketRateLimiter({ name: 'told', clock, ...options })
  const [admitted, refused]: [number[], number[]] = [[], []]
  let most = 0
  const again = (): void =>
    void limiter
      .run(async () => {
        await clock.sleep(10 + 40 * clock.random!())
        const answer = provider.ask(clock.now())
        const list = answer.kind === 'admitted' ? admitted : refused
        list.push(clock.now())
        most = Math.max(most, limiter.stats().inFlight)
        await clock.sleep(answer.kind === 'admitted' ? serviceMs : 20)
        if (answer.kind === 'admitted') answer.finish(clock.now())
        else
          throw Object.assign(new Error(answer.kind === 'refused' ? answer.why : answer.kind), {
            status: 429,
            message: 'of' in answer && answer.of === 'concurrency' ? 'concurrent requests' : 'rate limit',
          })
      })
      .then(again, () => {})
  for (let i = 0; i < 200; i++) again()
  await clock.advance(minutes * MINUTE)
  limiter.stop()
  const within = (times: number[], from: number, to = minutes) =>
    times.filter((at) => at >= from * MINUTE && at < to * MINUTE).length
  return {
    most,
    goodput: (from: number, to: number) => within(admitted, from, to) / ((to - from) * requestsPerMinute),
    refusals: (from = 0, to = minutes) => within(refused, from, to),
    refused,
  }
}

const bucket = (capacityMs = 1000) =>
  new TokenBucketProvider({ requestsPerMinute, capacityMs, retryAfter: 'none' })

test('configured with twice the limit: found within a minute, and tested ever more rarely', async () => {
  const { goodput, refusals } = await backlog(bucket(), { requestsPerMinute: 1200 }, 30)
  expect(goodput(1, 30)).toBeGreaterThan(0.97)
  expect(refusals(0, 10)).toBeLessThan(16)
  expect(refusals(20, 30)).toBeLessThan(9)
})

test('told nothing: from a tenth of the limit to all of it within two minutes', async () => {
  const options = { requestsPerMinute: 60, discover: true }
  const { goodput, refusals } = await backlog(bucket(), options, 20)
  expect(goodput(2, 20)).toBeGreaterThan(0.95)
  expect(refusals()).toBeLessThan(30)
})

test('a limit that halves and returns: followed down within seconds, found again within three minutes', async () => {
  const steps = [
    { atMs: 5 * MINUTE, factor: 0.5 },
    { atMs: 15 * MINUTE, factor: 1 },
  ]
  const provider = new StepChangeProvider(bucket(), { steps, told: false })
  const { goodput, refusals } = await backlog(provider, { requestsPerMinute }, 25)
  expect(goodput(6, 15)).toBeGreaterThan(0.45)
  expect(goodput(18, 25)).toBeGreaterThan(0.97)
  expect(refusals()).toBeLessThan(25)
})

test('a window whose end nobody tells: the third time the wait ends with it', async () => {
  const provider = new FixedWindowProvider({ requestsPerMinute, phaseMs: 20_000, retryAfter: 'none' })
  const { goodput, refused } = await backlog(provider, { requestsPerMinute: 1200 }, 20)
  expect(goodput(2, 20)).toBeGreaterThan(0.97)
  // Windows end at second 40 of the minute; probes between refusals would be many.
  const late = refused.filter((at) => at > 5 * MINUTE)
  const closures = late.filter((at, i) => i === 0 || at - late[i - 1]! > MINUTE / 2).length
  expect(closures).toBeGreaterThan(1)
  expect(late.length / closures).toBeLessThan(3.5)
})

test('a minute that is enforced by the second: a twentieth slower, and refused no more', async () => {
  const provider = new ShortQuantumProvider({ requestsPerMinute, retryAfter: 'none' })
  const { goodput, refusals } = await backlog(provider, { requestsPerMinute }, 30)
  expect(refusals(5, 30)).toBe(0)
  expect(goodput(5, 30)).toBeGreaterThan(0.945)
})

test('too many at once: fewer at once, and the gate stays open', async () => {
  const provider = new ConcurrencyProvider({ concurrency: 10 })
  const { most, refusals } = await backlog(provider, { requestsPerMinute: 6000 }, 10, 1000)
  expect(refusals(0, 0.1)).toBeLessThan(20)
  expect(refusals(1, 10)).toBeLessThan(10)
  expect(most).toBeLessThan(25)
  const right = await backlog(
    new ConcurrencyProvider({ concurrency: 10 }),
    { requestsPerMinute: 6000, maxConcurrent: 10 },
    10,
    1000,
  )
  const told = await backlog(
    new ConcurrencyProvider({ concurrency: 10 }),
    { requestsPerMinute: 6000 },
    10,
    1000,
  )
  expect(told.goodput(1, 10)).toBeGreaterThan(0.97 * right.goodput(1, 10))
})

test('refused at random, whatever its rate: it does not starve itself', async () => {
  const clock = new VirtualClock({ seed: 3 })
  const limiter = new BucketRateLimiter({ name: 'unlucky', clock, requestsPerMinute })
  let done = 0
  const again = (): void =>
    void limiter
      .run(() => {
        if (clock.random!() < 0.66) throw Object.assign(new Error('rate limit'), { status: 429 })
      })
      .then(
        () => (done++, again()),
        () => {},
      )
  for (let i = 0; i < 50; i++) again()
  await clock.advance(10 * MINUTE)
  expect(limiter.stats().limits[0]!.learned ?? requestsPerMinute).toBeGreaterThanOrEqual(0.9 * 30)
  expect(done).toBeGreaterThan(80)
  limiter.stop()
})

test('trains of calls at a provider that allows none: the burst is unlearned', async () => {
  const clock = new VirtualClock({ seed: 5 })
  const provider = new TokenBucketProvider({ requestsPerMinute: 60, capacityMs: 1000, retryAfter: 'none' })
  const limiter = new BucketRateLimiter({ name: 'trains', clock, requestsPerMinute: 60 })
  let refused = 0
  for (let train = 0; train < 60; train++) {
    for (let i = 0; i < 5; i++)
      void limiter.run(() => {
        if (provider.ask(clock.now()).kind === 'admitted') return
        refused++
        throw Object.assign(new Error('rate limit'), { status: 429 })
      })
    await clock.advance(10_000)
  }
  await clock.advance(MINUTE)
  expect(limiter.stats().waiting).toBe(0)
  expect(refused).toBeLessThan(20)
})

test('asked to slow down: the earlier rate is kept for a quarter of an hour', async () => {
  const clock = new VirtualClock({ seed: 9 })
  const limiter = new BucketRateLimiter({ name: 'eased', clock, requestsPerMinute })
  let [sent, told] = [0, false]
  const again = (): void =>
    void limiter
      .run(() => {
        sent++
        if (clock.now() < 3 * MINUTE || told) return
        told = true
        throw Object.assign(new Error('Slow down'), { status: 503, code: 'slow_down' })
      })
      .then(again, () => {})
  // A trickle for three minutes, and then a flood.
  for (let i = 0; i < 90; i++) {
    void limiter.run(() => void sent++)
    await clock.advance(2000)
  }
  for (let i = 0; i < 100; i++) again()
  await clock.advance(MINUTE)
  expect(told).toBe(true)
  const eased = limiter.stats().limits[0]!.learned!
  expect(eased).toBeLessThan(0.6 * requestsPerMinute)
  await clock.advance(13 * MINUTE)
  expect(limiter.stats().limits[0]!.learned).toBeCloseTo(eased, 6)
  await clock.advance(20 * MINUTE)
  expect(limiter.stats().limits[0]!.learned ?? requestsPerMinute).toBeGreaterThan(0.9 * requestsPerMinute)
  limiter.stop()
})

test('asked to slow down: reported as learned, and ignored with learn: false', async () => {
  const learned: boolean[] = []
  for (const learn of [true, false]) {
    const clock = new VirtualClock({ seed: 9 })
    const limiter = new BucketRateLimiter({ name: 'eased', clock, requestsPerMinute, learn })
    let heard = 0
    limiter.on('learn', () => heard++)
    let sent = 0
    for (let i = 0; i < 30; i++)
      void limiter.run(() => {
        if (++sent === 20) throw Object.assign(new Error('Slow down'), { status: 503, code: 'slow_down' })
      })
    await clock.advance(MINUTE)
    learned.push(limiter.stats().limits[0]!.learned !== undefined)
    expect(heard).toBe(learn ? 1 : 0)
  }
  expect(learned).toEqual([true, false])
})

test('a limit on growth: doubled with each minute, not crept up to like a limit that is wrong', async () => {
  const provider = new AccelerationProvider({ requestsPerMinute, floorPerMinute: 60, retryAfter: 'none' })
  const { goodput, refusals } = await backlog(provider, { requestsPerMinute }, 20)
  // The optimum would be 60, 120, 240, 480 and then 600 per minute.
  expect(goodput(0, 20)).toBeGreaterThan(0.82 * (10_500 / 12_000))
  expect(goodput(7, 20)).toBeGreaterThan(0.99)
  expect(refusals()).toBeLessThan(22)
  expect(refusals(5)).toBeLessThan(3)
})

test.each([
  { floorPerMinute: 60, growth: 1.5 },
  { floorPerMinute: 240, growth: 2 },
  { floorPerMinute: 15, growth: 2 },
])(
  'a limit on growth from $floorPerMinute by × $growth a minute: the climb gets as slow as the limit wants it',
  async (growth) => {
    const provider = new AccelerationProvider({ requestsPerMinute, ...growth, retryAfter: 'none' })
    const { goodput, refusals } = await backlog(provider, { requestsPerMinute }, 20)
    expect(goodput(15, 20)).toBeGreaterThan(0.99)
    expect(refusals()).toBeLessThan(26)
  },
)

test('growth is not expected of a limit that is a fifth of what was told: it is found as any other', async () => {
  const runs: { share: number; early: number; late: number }[] = []
  for (const phaseMs of [2000, 17_000, 33_000, 48_000]) {
    const provider = new FixedWindowProvider({ requestsPerMinute: 120, phaseMs, retryAfter: 'none' })
    const { goodput, refusals } = await backlog(provider, { requestsPerMinute }, 20)
    runs.push({ share: goodput(2, 20) / 0.2, early: refusals(0, 5), late: refusals(10) })
  }
  const mean = (of: 'share' | 'early' | 'late') => runs.reduce((sum, run) => sum + run[of], 0) / runs.length
  expect(mean('share')).toBeGreaterThan(0.97)
  expect(mean('early')).toBeLessThan(24)
  expect(mean('late')).toBeLessThan(8)
})
