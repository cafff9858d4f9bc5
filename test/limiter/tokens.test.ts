// Tokens: reserved before the call and settled after it, with several limits at once, and quotas that are counted,
// not paced.

import { expect, test } from 'vitest'
import { RequestTooLargeError, withLimiter } from 'llmiter'
import { departures, EMPTY, fate, leftovers, rateLimited, refusal, rig, seconds } from '../helpers.ts'

const answer = (tokens: number) => ({ usage: { total_tokens: tokens } })

test('a call waits for the slowest of its limits', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 600, tokensPerMinute: 6000, maxConcurrent: 1 })
  const times = departures(limiter, clock)
  const calls = Promise.all(Array.from({ length: 6 }, () => limiter.run(() => {}, { cost: { tokens: 600 } })))
  await clock.advance(1)
  expect(limiter.stats().waitingOn).toBe('tokens')
  await clock.runAll()
  await calls
  // A fifth of the tokens at once and one call on credit, then 600 each 6 s.
  expect(times.map(seconds)).toEqual(['0.00', '0.00', '0.01', '6.02', '12.02', '18.03'])
})

test('unused tokens are refunded immediately', async () => {
  const { clock, limiter } = rig({ tokensPerMinute: 1000 })
  const ask = withLimiter((used: number) => answer(used), limiter, { cost: () => ({ tokens: 1000 }) })
  await ask(100)
  const times = departures(limiter, clock)
  const next = limiter.run(() => {}, { cost: { tokens: 900 } })
  await clock.runAll()
  await next
  expect(times[0]!).toBeLessThan(6100)
})

test('overuse is charged to later calls', async () => {
  const { clock, limiter } = rig({ tokensPerMinute: 1000 })
  const ask = withLimiter((used: number) => answer(used), limiter, { cost: () => ({ tokens: 10 }) })
  await ask(500)
  const times = departures(limiter, clock)
  const next = limiter.run(() => {}, { cost: { tokens: 10 } })
  await clock.runAll()
  await next
  expect(times[0]!).toBeGreaterThan(15_000)
})

test('the debt is at most one window', async () => {
  const { clock, limiter } = rig({ tokensPerMinute: 1000 })
  const ask = withLimiter((used: number) => answer(used), limiter, { cost: () => ({ tokens: 10 }) })
  await ask(1_000_000)
  const times = departures(limiter, clock)
  const next = limiter.run(() => {}, { cost: { tokens: 10 } })
  await clock.runAll()
  await next
  expect(times[0]!).toBeLessThanOrEqual(60_050)
})

test("settle 'reserve': no refund and no further charge", async () => {
  const { clock, limiter } = rig({ limits: [{ of: 'tokens', amount: 1000, per: '1m', settle: 'reserve' }] })
  const ask = withLimiter((used: number) => answer(used), limiter, { cost: () => ({ tokens: 500 }) })
  const times = departures(limiter, clock)
  const calls = [1, 9999, 1].map((used) => fate(ask(used)))
  await clock.runAll()
  expect(calls.filter(({ now }) => now.startsWith('ok'))).toHaveLength(3)
  expect(times[2]! - times[0]!).toBeGreaterThan(48_000)
  expect(times[2]! - times[0]!).toBeLessThan(60_100)
})

test('each dimension settles by itself', async () => {
  const { limiter } = rig({ inputTokensPerMinute: 10_000, outputTokensPerMinute: 1000 })
  const ticket = await limiter.acquire({ cost: { inputTokens: 5000, outputTokens: 900 } })
  ticket.finish({ usage: { inputTokens: 5000, outputTokens: 0 } })
  const [input, output] = limiter.stats().limits
  expect(input!.available).toBe(0)
  expect(output!.available).toBeGreaterThanOrEqual(200)
})

test('a released ticket gives everything back', async () => {
  const { limiter } = rig({ requestsPerMinute: 2, tokensPerMinute: 1000 })
  for (let i = 0; i < 20; i++) {
    const ticket = await limiter.acquire({ cost: { tokens: 1000 }, maxWaitMs: 0 })
    ticket.release()
  }
  expect(limiter.stats().limits.map(({ available }) => available)).toEqual([1, 200])
})

test('a refused call gives its tokens back and keeps its request', async () => {
  const { clock, limiter } = rig({
    limits: [
      { of: 'requests', amount: 3, per: '1h' },
      { of: 'tokens', amount: 1000, per: '1h' },
    ],
  })
  let sent = 0
  const call = fate(
    limiter.run(() => (sent++ < 2 ? Promise.reject(rateLimited(100)) : 'in'), { cost: { tokens: 900 } }),
  )
  await clock.runAll({ untilMs: 10_000 })
  expect(call.now).toBe('ok: in')
  expect(limiter.stats().limits.map(({ available }) => available)).toEqual([0, 100])
})

test('a cost above any limit is refused at once, with the numbers', async () => {
  const { clock, limiter } = rig({ tokensPerMinute: 1000 })
  const error = await limiter.run(() => {}, { cost: { tokens: 1001 } }).catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(RequestTooLargeError)
  expect(error).toMatchObject({
    code: 'REQUEST_TOO_LARGE',
    message: expect.stringMatching(/1001.*1000/) as string,
  })
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
})

test('without cost: an estimate from the arguments, corrected by what is used', async () => {
  const { clock, limiter } = rig({ tokensPerMinute: 1_000_000 })
  const ask = withLimiter(
    (prompt: string) => ({ usage: { input_tokens: prompt.length / 2, output_tokens: 100 } }),
    limiter,
  )
  const held = async () => {
    const before = limiter.stats().limits[0]!.available
    await clock.advance(120_000)
    const full = limiter.stats().limits[0]!.available
    const slow = withLimiter((_: string) => clock.sleep(10_000), limiter)
    const call = slow('x'.repeat(4000))
    const reserved = full - limiter.stats().limits[0]!.available
    await clock.advance(20_000)
    await call
    return [before, reserved] as const
  }
  const [, first] = await held()
  for (let i = 0; i < 40; i++) await ask('x'.repeat(4000))
  const [, corrected] = await held()
  // 4000 letters look like 1000 tokens, plus 500 for an unknown answer. The actual usage is 2000 and 100.
  expect(first).toBeGreaterThan(1200)
  expect(first).toBeLessThan(1800)
  expect(corrected).toBeGreaterThan(1900)
  expect(corrected).toBeLessThan(2300)
})

test('an estimate never makes a call too large', async () => {
  const { limiter } = rig({ tokensPerMinute: 100 })
  await expect(withLimiter((_: string) => 'in', limiter)('x'.repeat(100_000))).resolves.toBe('in')
})

test('ten times the limit: an estimate waits for all of it, and the provider says no; a cost is refused at once', async () => {
  const { clock, limiter } = rig({ tokensPerMinute: 1000 })
  const no = Object.assign(refusal(429, {}, 'rate_limit_exceeded'), {
    message: 'Request too large for gpt-5: Limit 1000, Requested 10000',
  })
  let sent = 0
  const ask = withLimiter((_: string) => (sent++, Promise.reject(no)), limiter)
  const call = fate(ask('word '.repeat(8000)))
  await clock.runAll()
  expect([call.error, sent, limiter.stats().limits[0]!.available]).toEqual([no, 1, 200])
  await expect(limiter.run(() => sent++, { cost: { tokens: 10_000 } })).rejects.toThrow(
    "'test': a call of 10000 tokens can never fit a limit of 1000 tokens",
  )
  expect([sent, leftovers(limiter, clock)]).toEqual([1, EMPTY])
})

test('quotas are counted, not paced: 250 a day may all go in the first minute', async () => {
  const { clock, limiter } = rig({ requestsPerDay: 250 })
  const calls = Array.from({ length: 251 }, () => fate(limiter.run(() => 'in')))
  await clock.advance(0)
  expect(calls.filter(({ now }) => now === 'ok: in')).toHaveLength(250)
  await clock.advance(86_399_000)
  expect(calls.at(-1)!.now).toBe('pending')
  await clock.runAll()
  expect(calls.at(-1)!.now).toBe('ok: in')
})

test('pace: true spreads a long limit', async () => {
  const { clock, limiter } = rig({
    limits: [{ of: 'requests', amount: 24, per: '1d', pace: true, burst: 1 }],
  })
  const times = departures(limiter, clock)
  const calls = Promise.all([1, 2, 3].map(() => limiter.run(() => {})))
  await clock.runAll()
  await calls
  expect(times.map((at) => Math.round(at / 3_600_000))).toEqual([0, 1, 2])
})

test('a usage that is no number switches no limit off', async () => {
  for (const tokens of [NaN, Infinity, -1000, '5', undefined]) {
    const { clock, limiter } = rig({ tokensPerMinute: 1000 })
    const ask = withLimiter(() => ({}), limiter, {
      cost: () => ({ tokens: 500 }),
      usage: () => ({ tokens: tokens as number }),
    })
    const times = departures(limiter, clock)
    const calls = Array.from({ length: 6 }, () => fate(ask()))
    await clock.runAll()
    expect(
      calls.map(({ now }) => now),
      String(tokens),
    ).toEqual(Array(6).fill('ok: [object Object]'))
    expect(times.at(-1)!, String(tokens)).toBeGreaterThan(100_000)
    expect(limiter.stats().limits[0]!.available, String(tokens)).not.toBeNaN()
  }
})

test('own dimensions: images beside requests', async () => {
  const { clock, limiter } = rig({
    requestsPerMinute: 600,
    limits: [{ of: 'images', amount: 5, per: '1m', burst: 5 }],
  })
  const draw = withLimiter((images: number) => images, limiter, { cost: (images) => ({ images }) })
  const times = departures(limiter, clock)
  const calls = Promise.all([draw(3), draw(2), draw(1)])
  await clock.runAll()
  expect(await calls).toEqual([3, 2, 1])
  expect(times[2]!).toBeGreaterThan(11_000)
  await expect(draw(6)).rejects.toThrow(RequestTooLargeError)
})

test('what is no whole number is exact too: dollars by the day', async () => {
  const { limiter } = rig({ limits: [{ of: 'dollars', amount: 1, per: '1d' }] })
  for (let i = 0; i < 10; i++) expect(limiter.tryAcquire({ cost: { dollars: 0.1 } })).toBeDefined()
  expect(limiter.tryAcquire({ cost: { dollars: 0.1 } })).toBeUndefined()
  for (const per of ['1d', { calendar: 'day' }] as const) {
    const half = rig({ limits: [{ of: 'dollars', amount: 0.5, per }] }).limiter
    await expect(half.run(() => {}, { cost: { dollars: 0.6 } })).rejects.toThrow(RequestTooLargeError)
    expect(half.stats().limits[0]!.available).toBe(0.5)
  }
})

test('a batch that comes at once is estimated anew by what its first calls have used', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 6000, tokensPerMinute: 60_000 })
  const short = { usage: { prompt_tokens: 20, completion_tokens: 50, total_tokens: 70 } }
  const ask = withLimiter((_: string) => clock.sleep(20_000).then(() => short), limiter)
  // 600,000 tokens take ten minutes. At the first estimate of 520 per call it would be 74.
  const calls = Promise.all(
    Array.from({ length: 8571 }, () => ask('a prompt of eighty characters'.padEnd(80, ' x'))),
  )
  await clock.runAll()
  await calls
  expect(clock.now() / 60_000).toBeLessThan(11)
  const tokens = limiter.stats().limits.find(({ of }) => of === 'tokens')!
  expect(tokens.used).toBeCloseTo(8571 * 70, -2)
  expect(tokens.asked).toBeLessThan(1.06 * tokens.used)
})
