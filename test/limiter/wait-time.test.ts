// `waitTime` predicts the actual wait, whatever the bottleneck is: tests compare the predicted with the actual
// wait.

import { describe, expect, test } from 'vitest'
import { BucketRateLimiter, type CallOptions, type LimiterOptions } from 'llmiter'
import { VirtualClock } from 'llmiter/testing'
import { fate, rateLimited, rig, steadyClock } from '../helpers.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR

interface Story {
  options: Partial<LimiterOptions>
  /** Calls made beforehand, so that there is something to estimate from. */
  before?: number
  ahead: number
  ms?: (i: number) => number
  call?: (i: number) => CallOptions
  /** How long the call actually waits, to check the test itself. */
  waits: [from: number, to: number]
}

async function tell({ options, before = 0, ahead, ms = () => 1000, call }: Story) {
  const { clock, limiter } = rig(options)
  const one = (i: number) => limiter.run(() => clock.sleep(ms(i)), call?.(i))
  for (let i = 0; i < before; i++) void one(i)
  await clock.runAll()
  for (let i = 0; i < ahead; i++) void one(i)
  await clock.advance(1)
  const told = limiter.waitTime(call?.(ahead).cost)
  const from = clock.now()
  let went = NaN
  void limiter.run(() => (went = clock.now()), call?.(ahead))
  await clock.runAll({ untilMs: from + 30 * DAY })
  return { told, real: went - from }
}

const long = (i: number) => 500 + ((i * 7919) % 4500)

test.each<[string, Story]>([
  ['a rate', { options: { requestsPerMinute: 60 }, ahead: 100, waits: [94_000, 102_000] }],
  [
    'a rate, from a cold start',
    { options: { requestsPerMinute: 600, ramp: { ms: 5000 } }, ahead: 60, waits: [5500, 9000] },
  ],
  [
    'output tokens',
    {
      options: { outputTokensPerMinute: 10_000, requestsPerMinute: 600 },
      ahead: 90,
      call: () => ({ cost: { outputTokens: 800 } }),
      waits: [400_000, 450_000],
    },
  ],
  [
    'tokens, of calls large and small',
    {
      options: { tokensPerMinute: 100_000 },
      ahead: 100,
      call: (i) => ({ cost: { tokens: i % 10 === 0 ? 20_000 : 500 } }),
      waits: [100_000, 200_000],
    },
  ],
  [
    'how many may run at once',
    { options: { maxConcurrent: 2 }, before: 4, ahead: 100, ms: () => 2600, waits: [128_000, 132_000] },
  ],
  [
    'how many may run at once, of calls that are not alike',
    { options: { maxConcurrent: 5 }, before: 30, ahead: 200, ms: long, waits: [90_000, 130_000] },
  ],
  [
    'how many may run at once, in the first round',
    { options: { maxConcurrent: 2 }, before: 4, ahead: 2, ms: () => 2600, waits: [2500, 2600] },
  ],
  [
    'the slots beside the rate',
    { options: { maxConcurrent: 2, requestsPerMinute: 600 }, before: 4, ahead: 60, waits: [28_000, 31_000] },
  ],
  ['20 a day', { options: { requestsPerDay: 20 }, ahead: 100, waits: [4.9 * DAY, 5.1 * DAY] }],
  [
    '20 a day, some of which are used',
    { options: { requestsPerDay: 20 }, before: 15, ahead: 30, waits: [0.9 * DAY, 2.1 * DAY] },
  ],
  [
    '20 a day by the calendar',
    {
      options: { limits: [{ of: 'requests', amount: 20, per: { calendar: 'day', timeZone: 'Asia/Tokyo' } }] },
      ahead: 100,
      waits: [4 * DAY, 5 * DAY],
    },
  ],
  [
    'a day’s tokens beside a rate',
    {
      options: { requestsPerMinute: 60, tokensPerDay: 50_000 },
      ahead: 120,
      call: () => ({ cost: { tokens: 1000 } }),
      waits: [1.9 * DAY, 2.1 * DAY],
    },
  ],
])('the wait is as predicted: %s', async (_, story) => {
  const { told, real } = await tell(story)
  expect(real).toBeGreaterThanOrEqual(story.waits[0])
  expect(real).toBeLessThanOrEqual(story.waits[1])
  expect(told / real).toBeGreaterThan(0.9)
  expect(told / real).toBeLessThan(1.1)
})

describe('in a tree', () => {
  test.each([
    ['the account’s rate', { requestsPerMinute: 60 }],
    ['the account’s slots', { maxConcurrent: 2 }],
    ['the account’s day', { requestsPerDay: 20 }],
  ])('%s, which others use too', async (_, options) => {
    const clock = steadyClock()
    const account = new BucketRateLimiter({ name: 'account', ramp: false, clock, ...options })
    const [one, two] = ['one', 'two'].map(
      (name) => new BucketRateLimiter({ name, requestsPerMinute: 6000, ramp: false, parent: account }),
    ) as [BucketRateLimiter, BucketRateLimiter]
    const work = () => clock.sleep(2000)
    for (let i = 0; i < 4; i++) void one.run(work)
    await clock.runAll()
    for (let i = 0; i < 60; i++) void (i % 2 ? one : two).run(work)
    await clock.advance(1)
    const told = one.waitTime()
    const from = clock.now()
    let went = NaN
    void one.run(() => (went = clock.now()))
    await clock.runAll({ untilMs: from + 30 * DAY })
    const real = went - from
    expect(real).toBeGreaterThan(20_000)
    expect(told / real).toBeGreaterThan(0.9)
    expect(told / real).toBeLessThan(1.1)
  })
})

test('a gate that is closed: the line goes on behind it', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 60 })
  let refuse = true
  const work = () => {
    if (!refuse) return clock.sleep(10)
    refuse = false
    throw rateLimited(30_000)
  }
  for (let i = 0; i < 31; i++) fate(limiter.run(work))
  await clock.advance(1)
  const told = limiter.waitTime()
  const from = clock.now()
  let went = NaN
  void limiter.run(() => (went = clock.now()))
  await clock.runAll()
  expect(went - from).toBeGreaterThan(50_000)
  expect(told / (went - from)).toBeGreaterThan(0.9)
  expect(told / (went - from)).toBeLessThan(1.1)
})

test('what a batch really uses, not what it was first taken for', async () => {
  const { clock, limiter } = rig({ tokensPerMinute: 10_000 })
  const work = async () => {
    await clock.sleep(100)
    return { usage: { input_tokens: 60, output_tokens: 40 } }
  }
  for (let i = 0; i < 300; i++) void limiter.run(work)
  await clock.advance(30_000)
  const told = limiter.waitTime()
  const from = clock.now()
  let went = NaN
  void limiter.run(() => (went = clock.now()))
  await clock.runAll()
  expect(told / (went - from)).toBeGreaterThan(0.85)
  expect(told / (went - from)).toBeLessThan(1.15)
})

test('waitTime does not change the limiter', async () => {
  const run = async (asks: boolean) => {
    const clock = new VirtualClock()
    const { limiter } = rig(
      { requestsPerMinute: 120, requestsPerDay: 50, maxConcurrent: 3, clock },
      steadyClock(),
    )
    const times: number[] = []
    limiter.on('issue', () => times.push(limiter.clock.now()))
    for (let i = 0; i < 60; i++) {
      void limiter.run(() => clock.sleep(700))
      if (asks) limiter.waitTime()
      await clock.advance(90)
    }
    await clock.runAll({ untilMs: 3 * DAY })
    return times
  }
  expect(await run(true)).toEqual(await run(false))
})
