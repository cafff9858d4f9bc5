// update(): waiting calls follow the new limits, as if these had applied since the window began.

import { expect, test } from 'vitest'
import { BucketRateLimiter, type LimiterOptions } from 'llmiter'
import { departures, fate, rig } from '../helpers.ts'

type Amounts = { [K in keyof LimiterOptions]?: LimiterOptions[K] | undefined }

test.each<
  [
    what: string,
    before: Amounts,
    first: Record<string, number>,
    after: Amounts,
    next: Record<string, number>,
    least: number,
    most: number,
  ]
>([
  [
    'one a minute becomes 60,000',
    { requestsPerMinute: 1 },
    {},
    { requestsPerMinute: 60_000 },
    {},
    1000,
    1010,
  ],
  [
    'tokens that were all spent are few of the new amount',
    { tokensPerMinute: 10_000 },
    { tokens: 10_000 },
    { tokensPerMinute: 1_000_000 },
    { tokens: 100 },
    1000,
    1010,
  ],
  [
    'input tokens, too',
    { inputTokensPerMinute: 600 },
    { inputTokens: 600 },
    { inputTokensPerMinute: 60_000 },
    { inputTokens: 60 },
    1000,
    1010,
  ],
  [
    'a pace that is doubled is half the wait',
    { requestsPerMinute: 1 },
    {},
    { requestsPerMinute: 2 },
    {},
    30_000,
    30_200,
  ],
  [
    'a limit that is no longer there holds nobody',
    { requestsPerMinute: 1 },
    {},
    { requestsPerMinute: undefined, limits: [] },
    {},
    1000,
    1010,
  ],
  [
    'a limit in another window counts from now',
    { requestsPerMinute: 1 },
    {},
    { requestsPerMinute: undefined, limits: [{ of: 'requests', amount: 10, per: '1s' }] },
    {},
    1000,
    1010,
  ],
])('%s', async (_, before, first, after, next, least, most) => {
  const { clock, limiter } = rig({ requestsPerMinute: undefined, ...before } as never)
  await limiter.run(() => {}, { cost: first })
  let at = NaN
  const call = fate(limiter.run(() => (at = clock.now()), { cost: next }))
  await clock.advance(1000)
  limiter.update(after as LimiterOptions)
  await clock.runAll()
  expect(call.now).toMatch(/^ok/)
  expect(at).toBeGreaterThanOrEqual(least)
  expect(at).toBeLessThanOrEqual(most)
})

test('60,000 a minute become one: the next waits for the window that holds the last', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 60_000 })
  await limiter.run(() => {})
  await clock.advance(1000)
  limiter.update({ requestsPerMinute: 1 })
  const call = fate(limiter.run(() => clock.now()))
  await clock.runAll()
  expect(Number(call.now.slice(4))).toBeGreaterThanOrEqual(60_000)
  expect(Number(call.now.slice(4))).toBeLessThanOrEqual(60_200)
})

test('up and down again: no window of the last limit ever holds more than it', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 60, burst: 1, ramp: false })
  const times = departures(limiter, clock)
  const calls = Array.from({ length: 400 }, () => fate(limiter.run(() => {})))
  for (const requestsPerMinute of [600, 60, 6000, 60]) {
    await clock.advance(2000)
    limiter.update({ requestsPerMinute })
  }
  const last = clock.now()
  await clock.runAll()
  expect(calls.every(({ now }) => now.startsWith('ok'))).toBe(true)
  for (const from of times.filter((at) => at >= last))
    expect(times.filter((at) => at > from - 60_000 && at <= from).length).toBeLessThanOrEqual(60)
})

test('what the provider said of a higher limit does not outlive a lower one', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 1000, ramp: false })
  await limiter.run(() => ({ headers: { 'x-ratelimit-limit-requests': '800' } }))
  expect(limiter.stats().limits[0]!.learned).toBeCloseTo(800, 0)
  limiter.update({ requestsPerMinute: 100 })
  expect(limiter.stats().limits[0]!.learned).toBeUndefined()
  limiter.update({ requestsPerMinute: 2000 })
  await limiter.run(() => ({ headers: { 'x-ratelimit-limit-requests': '800' } }))
  expect(limiter.stats().limits[0]!.learned).toBeCloseTo(800, 0)
  await clock.runAll()
})

test('a parent that is raised frees those who wait below it', async () => {
  const { clock, limiter: parent } = rig({ requestsPerMinute: 1 })
  const model = new BucketRateLimiter({ name: 'model', requestsPerMinute: 600, parent })
  await model.run(() => {})
  const call = fate(model.run(() => 'in'))
  await clock.advance(1000)
  expect(call.now).toBe('pending')
  parent.update({ requestsPerMinute: 60_000 })
  await clock.advance(10)
  expect(call.now).toBe('ok: in')
})
