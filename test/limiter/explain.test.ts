// Why calls are slow, and when they will be done: one test per cause.

import { BucketRateLimiter, type CallOptions, explain, type LimiterOptions } from 'llmiter'
import { latencyHealth } from 'llmiter/health'
import { VirtualClock } from 'llmiter/testing'
import { describe, expect, test } from 'vitest'
import { rateLimited } from '../helpers.ts'

function stage(options: Partial<LimiterOptions>) {
  const clock = new VirtualClock({ wall: Date.parse('2026-11-21T20:00:00Z') })
  const limiter = new BucketRateLimiter({ name: 'gpt', clock, ...options })
  return { clock, limiter }
}
const ok =
  (clock: VirtualClock, ms = 500) =>
  () =>
    clock.sleep(ms)
const quietly = (promise: Promise<unknown>) => void promise.catch(() => {})

test('of many different limits, only those that held longest are remembered', async () => {
  const { clock, limiter } = stage({ requestsPerMinute: 60 })
  for (let i = 0; i < 5000; i++) quietly(limiter.run(ok(clock)))
  await clock.advance(30_000)
  for (let seconds = 1; seconds <= 80; seconds++) {
    limiter.update({
      requestsPerMinute: undefined,
      limits: [{ of: 'requests', amount: 1, per: seconds * 999 }],
    })
    await clock.advance(200)
  }
  const { boundBy } = limiter.stats()
  expect(boundBy.length).toBeLessThanOrEqual(100)
  expect(boundBy[0]).toMatchObject({ kind: 'limit', amount: 60, perMs: 60_000 })
  limiter.stop()
})

describe('the first call waits for', () => {
  test('a slot held by a call that waits for its enclosing call: two limiters, nested crosswise', async () => {
    const { clock, limiter } = stage({ limits: [], learn: false, maxConcurrent: 1 })
    const other = new BucketRateLimiter({ name: 'tools', clock, limits: [], learn: false, maxConcurrent: 1 })
    const within = (outer: BucketRateLimiter, inner: BucketRateLimiter, maxWaitMs?: number) =>
      outer.run(async () => {
        await clock.sleep(10)
        return inner.run(() => 'done', maxWaitMs === undefined ? {} : { maxWaitMs })
      })
    // Nested calls are also found after the first calls of a process.
    for (let i = 0; i < 1200; i++) quietly(i % 2 ? within(limiter, other) : within(other, limiter, 50))
    await clock.advance(120_000)
    const first = within(limiter, other)
    const second = within(other, limiter, 5000)
    await clock.advance(1000)
    expect(explain(limiter)).toMatchObject({
      text: expect.stringMatching(
        /^1 call waits for a free slot \(at most 1 in flight\), within calls that hold tickets of 'tools'\./,
      ),
      why: { kind: 'concurrency', limiter: 'gpt', amount: 1, holds: ['tools'] },
    })
    expect(explain(limiter).etaMs).toBeUndefined()
    expect(other.stats().why).toMatchObject({ holds: ['gpt'] })
    const late = expect(second).rejects.toThrow('maxWaitMs')
    await clock.runAll()
    await late
    expect(await first).toBe('done')
  })

  test('requests', async () => {
    const { clock, limiter } = stage({ requestsPerMinute: 60 })
    for (let i = 0; i < 200; i++) quietly(limiter.run(ok(clock)))
    await clock.advance(70_000)
    const { text, why, etaMs } = explain(limiter)
    expect(why).toEqual({ kind: 'limit', limiter: 'gpt', of: 'requests', amount: 60, perMs: 60_000 })
    expect(text).toMatch(
      /^1\d\d calls wait for requests \(60 a minute\); about 2 min\. This bound for 100 % of the last minute\.$/,
    )
    const start = clock.now()
    await clock.runAll()
    expect(Math.abs(clock.now() - start - etaMs!)).toBeLessThan(0.05 * etaMs! + 1000)
    expect(explain(limiter).text).toBe('Nothing waits; 0 in flight.')
  })

  test('output tokens, though requests are limited too', async () => {
    const { clock, limiter } = stage({ requestsPerMinute: 500, outputTokensPerMinute: 10_000 })
    for (let i = 0; i < 100; i++) quietly(limiter.run(ok(clock), { cost: { outputTokens: 1000 } }))
    await clock.advance(30_000)
    expect(explain(limiter).text).toMatch(/calls wait for output tokens \(10,000 a minute\); about \d+ min\./)
    limiter.stop()
  })

  test("the day's quota", async () => {
    const { clock, limiter } = stage({ requestsPerMinute: 600, requestsPerDay: 20 })
    for (let i = 0; i < 30; i++) quietly(limiter.run(ok(clock)))
    await clock.advance(60_000)
    expect(explain(limiter).text).toMatch(/^10 calls wait for requests \(20 a day\); about 24 h\./)
    limiter.stop()
  })

  test('a free slot', async () => {
    const { clock, limiter } = stage({ maxConcurrent: 2 })
    for (let i = 0; i < 100; i++) quietly(limiter.run(ok(clock, 2000)))
    await clock.advance(10_000)
    expect(explain(limiter).text).toMatch(/calls wait for a free slot \(at most 2 in flight\); about \d+ s\./)
    await clock.runAll()
  })

  test.each([
    ['without a number of its own', {}],
    ['below its own number', { maxConcurrent: 20 }],
  ])('a free slot, since the provider accepts fewer at once (%s)', async (_, options) => {
    const { clock, limiter } = stage({ requestsPerMinute: 6000, ...options })
    let inFlight = 0
    for (let i = 0; i < 100; i++)
      quietly(
        limiter.run(async () => {
          if (inFlight === 3)
            throw Object.assign(new Error('too many concurrent requests'), { status: 429, headers: {} })
          inFlight++
          await clock.sleep(5000)
          inFlight--
        }),
      )
    await clock.advance(4000)
    expect(explain(limiter)).toMatchObject({
      text: expect.stringContaining(
        'for a free slot (at most 3 in flight, lowered since the provider refused more)',
      ) as string,
      why: { kind: 'concurrency', amount: 3, learned: 3 },
    })
    await clock.runAll()
  })

  test('no limit is known: the calls wait for the answers of the first few', async () => {
    const { clock, limiter } = stage({ limits: [] })
    for (let i = 0; i < 5; i++) quietly(limiter.run(() => clock.sleep(1000)))
    await clock.advance(100)
    const { text, why } = explain(limiter)
    expect(text).toMatch(/^4 calls wait for an answer: no limit is known yet, so a few calls go first; about/)
    expect(why).toEqual({ kind: 'concurrency', limiter: limiter.name })
    await clock.runAll()
  })

  test('a limit that is not configured: only what the provider accepts is known', async () => {
    const { clock, limiter } = stage({ limits: [] })
    let sent = 0
    for (let i = 0; i < 400; i++)
      quietly(
        limiter.run(async () => {
          const refused = ++sent > 20 && sent < 24
          await clock.sleep(50)
          if (refused) throw rateLimited(0)
        }),
      )
    const texts = new Set<string>()
    for (let i = 0; i < 100; i++) {
      await clock.advance(50)
      texts.add(explain(limiter).text)
    }
    expect([...texts]).toContainEqual(
      expect.stringMatching(
        /^\d+ calls wait for requests \([\d,]+ a minute by what the provider accepts\); about/,
      ),
    )
    await clock.runAll()
  })

  test("the account's limit, not the model's", async () => {
    const { clock, limiter: account } = stage({ name: 'account', requestsPerMinute: 60 })
    const model = new BucketRateLimiter({ name: 'model', requestsPerMinute: 600, parent: account })
    for (let i = 0; i < 100; i++) quietly(model.run(ok(clock)))
    await clock.advance(5000)
    expect(explain(model).text).toContain("requests of 'account' (60 a minute)")
    expect(explain(account).text).toContain('requests (60 a minute)')
    await clock.runAll()
  })

  test.each([
    ['rate', rateLimited(30_000), /the provider, which refused calls as too many, for \d+ s more \("429/],
    [
      'overload',
      Object.assign(new Error('x'), { status: 503, headers: { 'retry-after': '20' } }),
      /the provider, which is overloaded, for \d+ s more \("503/,
    ],
  ])('the gate, after %s', async (_kind, error, words) => {
    const { clock, limiter } = stage({ requestsPerMinute: 60 })
    let refuse = true
    for (let i = 0; i < 5; i++)
      quietly(limiter.run(() => (refuse ? Promise.reject(error as Error) : Promise.resolve('in'))))
    await clock.advance(2000)
    expect(explain(limiter).text).toMatch(words)
    expect(limiter.stats().lastRefusal).toMatchObject({ agoMs: expect.any(Number) as number })
    refuse = false
    await clock.runAll()
    expect(explain(limiter).why).toBeUndefined()
  })

  test('a quota that is spent: nobody waits, and the reason is told', async () => {
    const { clock, limiter } = stage({ requestsPerMinute: 60 })
    const spent = { status: 429, code: 'insufficient_quota', message: 'You exceeded your current quota' }
    quietly(limiter.run(() => Promise.reject(Object.assign(new Error(spent.message), spent))))
    await clock.advance(1000)
    expect(explain(limiter).text).toMatch(
      /^Nothing waits\. Calls are rejected because of the provider, which says that the quota is used up; a call may ask again in 59 s \("429 insufficient_quota/,
    )
    for (let i = 0; i < 9; i++) quietly(limiter.run(ok(clock)))
    await clock.advance(58_800)
    expect(explain(limiter).text).toMatch(
      /again in 1 s .*\. 90 % of calls are rejected \(QUOTA_EXHAUSTED\)\.$/,
    )
  })

  test('the end of a pause', async () => {
    const { clock, limiter } = stage({ requestsPerMinute: 60 })
    limiter.pause('10m')
    quietly(limiter.run(ok(clock)))
    await clock.advance(1000)
    expect(explain(limiter).text).toMatch(/^1 call waits for the end of pause\(\), for 10 min more/)
    limiter.clear()
    expect(explain(limiter).text).toBe(
      'Nothing waits. A call would wait for the end of pause(), for 10 min more.',
    )
    limiter.stop()
  })

  test('the next try', async () => {
    const { clock, limiter } = stage({ requestsPerMinute: 60, retry: { attempts: 3, minMs: '5s' } })
    const broken = Object.assign(new Error('the prompt'), { status: 500, name: 'InternalServerError' })
    for (let i = 0; i < 5; i++) quietly(limiter.run(() => Promise.reject(broken)))
    await clock.advance(3000)
    expect(explain(limiter).text).toMatch(
      /^5 calls wait for the next try after a failure \(500 InternalServerError\)/,
    )
    await clock.runAll()
    expect(explain(limiter).text).toBe(
      'Nothing waits; 0 in flight. Every call fails (500 InternalServerError).',
    )
  })

  test('the provider, which is slow', async () => {
    const health = latencyHealth({ durationMs: 1000, timeConstantMs: 2000 })
    const { clock, limiter } = stage({ requestsPerMinute: 600, health })
    for (let i = 0; i < 400; i++) quietly(limiter.run(ok(clock, 4000)))
    await clock.advance(40_000)
    expect(explain(limiter).why).toMatchObject({ kind: 'latency', amount: 600 })
    expect(explain(limiter).why!.learned).toBeCloseTo(60)
    expect(explain(limiter).text).toContain(
      'requests (60 a minute, lowered since the provider is slow; configured 600 a minute)',
    )
    limiter.stop()
    await clock.runAll()
  })
})

test('a slow provider whose calls are rejected keeps its rate: what holds the others is the limit', async () => {
  const health = latencyHealth({ durationMs: 1000, timeConstantMs: 2000, onUnhealthy: 'refuse' })
  const { clock, limiter } = stage({ requestsPerMinute: 60, health })
  for (let i = 0; i < 60; i++) quietly(limiter.run(ok(clock, 4000)))
  await clock.advance(20_000)
  expect(limiter.stats().health?.share).toBeLessThan(1)
  expect(explain(limiter).why?.kind).toBe('limit')
  for (let i = 0; i < 200; i++) quietly(limiter.run(ok(clock, 4000)))
  expect(explain(limiter).text).toMatch(/ % of calls are rejected \(PROVIDER_UNHEALTHY\)\.$/)
  limiter.stop()
  await clock.runAll()
})

test('aborted calls are distinguished from others, without the text of their reason', async () => {
  const { clock, limiter } = stage({ requestsPerMinute: 6 })
  const given = new AbortController()
  for (let i = 0; i < 9; i++) quietly(limiter.run(ok(clock), { signal: given.signal }))
  await clock.advance(1000)
  given.abort(Object.assign(new Error('the prompt'), { name: 'x'.repeat(1000) }))
  expect(limiter.stats().lastRejection).toBe('x'.repeat(80))
  quietly(limiter.run(ok(clock), { signal: AbortSignal.abort('the prompt') }))
  expect(limiter.stats().lastRejection).toBe('AbortError')
  limiter.stop()
  await clock.runAll()
})

test('while a timer is late, calls wait for what held them, not for a store that is not there', async () => {
  const clock = new VirtualClock({ lateMs: 20 })
  const limiter = new BucketRateLimiter({ name: 'gpt', clock, requestsPerMinute: 600 })
  for (let i = 0; i < 200; i++) quietly(limiter.run(ok(clock)))
  const kinds = new Set<string | undefined>()
  for (let i = 0; i < 2000; i++) {
    await clock.advance(1)
    kinds.add(explain(limiter).why?.kind)
  }
  expect([...kinds]).toEqual(['limit'])
  expect(limiter.stats().boundBy.map(({ kind }) => kind)).toEqual(['limit'])
  limiter.stop()
})

test('a limiter that was stopped is not paused', async () => {
  const { clock, limiter: account } = stage({ name: 'account', requestsPerMinute: 60 })
  const model = new BucketRateLimiter({ name: 'model', requestsPerMinute: 600, parent: account })
  for (let i = 0; i < 9; i++) quietly(model.run(ok(clock)))
  account.stop()
  for (const limiter of [account, model]) {
    expect(limiter.stats().why).toBeUndefined()
    expect(explain(limiter).text).not.toContain('pause')
  }
  await clock.runAll()
})

test('a key that fails says so', async () => {
  const { clock, limiter } = stage({ requestsPerMinute: 600 })
  class AuthenticationError extends Error {
    override name = 'AuthenticationError'
    status = 401
  }
  for (let i = 0; i < 10; i++) quietly(limiter.run(() => Promise.reject(new AuthenticationError('no'))))
  await clock.runAll()
  expect(explain(limiter).text).toBe(
    'Nothing waits; 0 in flight. Every call fails (401 AuthenticationError).',
  )
})

test('a lower learned limit is reported next to the configured one', async () => {
  const { clock, limiter } = stage({ requestsPerMinute: 600 })
  const headers = { 'x-ratelimit-limit-requests': '60', 'x-ratelimit-remaining-requests': '30' }
  for (let i = 0; i < 100; i++) quietly(limiter.run(() => Promise.resolve({ headers })))
  await clock.advance(10_000)
  expect(explain(limiter).text).toContain(
    'requests (60 a minute by what the provider accepts, configured 600 a minute)',
  )
  await clock.runAll()
})

test('the shares of the last minute: first the gate, then the rate', async () => {
  const { clock, limiter } = stage({ requestsPerMinute: 60 })
  let refuse = true
  for (let i = 0; i < 100; i++)
    quietly(limiter.run(() => (refuse ? Promise.reject(rateLimited(40_000)) : Promise.resolve('in'))))
  await clock.advance(1000)
  refuse = false
  await clock.advance(54_000)
  const bound = limiter.stats().boundBy
  expect(bound.map(({ kind }) => kind)).toEqual(['gate', 'limit'])
  expect(bound[0]!.share).toBeGreaterThan(0.6)
  expect(bound.reduce((sum, { share }) => sum + share, 0)).toBeLessThanOrEqual(1.001)
  // A minute later the gate is forgotten.
  await clock.advance(30_000)
  expect(explain(limiter).text).toContain('requests (60 a minute)')
  limiter.stop()
  await clock.advance(200_000)
  expect(limiter.stats().boundBy).toEqual([])
})

describe('as each call joins the queue, the told time is when the last one goes:', () => {
  const tokens = (i: number) => ({ cost: { tokens: i % 2 ? 5000 : 1000 } })
  test.each<[string, Partial<LimiterOptions>, ((i: number) => CallOptions)?]>([
    ['a rate', { requestsPerMinute: 60 }],
    ['tokens, of calls large and small', { tokensPerMinute: 60_000 }, tokens],
    ['slots', { maxConcurrent: 2 }],
    ['slots beside a rate', { maxConcurrent: 2, requestsPerMinute: 40 }],
    ['a quota', { requestsPerDay: 5 }],
    ['tenants who take turns', { requestsPerMinute: 60 }, (i) => ({ tenant: i < 6 ? 'job' : 'chat' })],
    ['tokens of the account above', { parent: undefined, requestsPerMinute: 6000 }, tokens],
  ])('%s', async (_, options, callOf) => {
    const { clock, limiter: account } = stage({ ramp: false, tokensPerMinute: 60_000 })
    const limiter =
      'parent' in options
        ? new BucketRateLimiter({ name: 'model', ramp: false, ...options, parent: account })
        : new BucketRateLimiter({ name: 'gpt', clock, ramp: false, ...options })
    const work = () => clock.sleep(1000)
    // How long calls take is known from earlier ones.
    for (let i = 0; i < 4; i++) quietly(limiter.run(work))
    await clock.runAll()
    const told: number[] = []
    const went: number[] = []
    const start = clock.now()
    for (let i = 0; i < 12; i++) {
      quietly(limiter.run(() => (went.push(clock.now() - start), work()), callOf?.(i)))
      told.push(explain(limiter).etaMs ?? 0)
    }
    await clock.runAll()
    expect(told.at(-1)).toBeGreaterThan(2000)
    for (const [i, ms] of went.entries()) expect(told[i]).toBeCloseTo(ms, -1)
  })
})
