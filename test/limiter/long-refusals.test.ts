// A refusal that waiting cannot resolve goes to the caller immediately, and no further calls are sent in the
// meantime.

import { BucketRateLimiter, type LimiterEvent, QuotaExhaustedError, withLimiter } from 'llmiter'
import { VirtualClock } from 'llmiter/testing'
import { expect, test } from 'vitest'

const HOUR = 3_600_000
const refusal = (message: string, fields: object = {}) =>
  Object.assign(new Error(message), { status: 429, ...fields })

function world(options: object = {}) {
  const clock = new VirtualClock()
  const limiter = new BucketRateLimiter({ name: 'm', requestsPerMinute: 600, clock, ...options })
  return { clock, limiter }
}

test('with a used-up daily quota, fifty callers fail immediately, and at most one trial a minute is sent', async () => {
  const { clock, limiter } = world()
  let sent = 0
  const call = async () => {
    sent++
    throw refusal('Too many tokens per day, please wait before trying again.', {
      name: 'ThrottlingException',
    })
  }
  const ends = Promise.allSettled(Array.from({ length: 50 }, () => limiter.run(call)))
  await clock.advance(10_000)
  const reasons = (await ends).map((end) => (end as PromiseRejectedResult).reason as Error)
  expect(
    reasons.filter((error) => error instanceof QuotaExhaustedError || error.name === 'ThrottlingException'),
  ).toHaveLength(50)
  expect(sent).toBeLessThanOrEqual(5)
  const before = sent
  for (let hour = 0; hour < 24 * 4; hour++) {
    await clock.advance(HOUR / 4)
    await limiter.run(call).catch(() => {})
  }
  expect(sent - before).toBeLessThanOrEqual(24 * 4)
  expect(limiter.stats()).toMatchObject({ waiting: 0, inFlight: 0 })
})

test('a call that the balance does not cover fails alone; its smaller neighbours go on', async () => {
  const { clock, limiter } = world()
  const ends = Promise.allSettled(
    Array.from({ length: 10 }, (_, i) =>
      limiter.run(async () => {
        if (i === 3)
          throw refusal('You requested up to 65536 tokens, but can only afford 12000.', { status: 402 })
        return i
      }),
    ),
  )
  await clock.advance(60_000)
  expect((await ends).filter(({ status }) => status === 'rejected')).toHaveLength(1)
  expect(limiter.stats().gate).toBe('open')
})

test('a Retry-After of a month does not block the limiter', async () => {
  const { clock, limiter } = world()
  const first = limiter.run(async () => {
    throw refusal('no', { headers: { 'retry-after': String(29 * 86_400) } })
  })
  await expect(first).rejects.toThrow('no')
  await expect(limiter.run(async () => 'x')).rejects.toThrow(QuotaExhaustedError)
  limiter.resume()
  await clock.advance(1000)
  expect(await limiter.run(async () => 'x')).toBe('x')
})

test('maxRetryAfterMs says which wait is too long', async () => {
  const { clock, limiter } = world({ maxRetryAfterMs: '3h' })
  const answers = [refusal('no', { headers: { 'retry-after': '7200' } })]
  const answer = limiter.run(async () => {
    const error = answers.shift()
    if (error) throw error
    return 'ok'
  })
  await clock.advance(3 * HOUR)
  expect(await answer).toBe('ok')
  expect(() => world({ maxRetryAfterMs: 'soon' })).toThrow(/maxRetryAfterMs/)
})

test('a limit by the second in the headers does not become one by the minute', async () => {
  const { clock, limiter } = world()
  const headers = {
    'ratelimit-limit': '10',
    'ratelimit-remaining': '9',
    'ratelimit-reset': '1',
    'ratelimit-policy': '10;w=1',
  }
  const hourly = { 'ratelimit-limit': '100', 'ratelimit-remaining': '99', 'ratelimit-reset': '3000' }
  for (const said of [headers, hourly]) await limiter.run(async () => new Response('{}', { headers: said }))
  expect(limiter.stats().limits[0]!.learned).toBeUndefined()
  const slower = { ...headers, 'ratelimit-limit': '5', 'ratelimit-policy': '5;w=1' }
  await clock.advance(60_000)
  await limiter.run(async () => new Response('{}', { headers: slower }))
  expect(limiter.stats().limits[0]!.learned).toBe(300)
})

test('a function that returns only text causes one warning', async () => {
  const { clock, limiter } = world({ requestsPerMinute: 600, tokensPerMinute: 100_000 })
  const heard: LimiterEvent<'error'>[] = []
  limiter.on('error', (event) => heard.push(event))
  const ask = withLimiter(async (prompt: string) => `about ${prompt}`, limiter)
  const answers = Promise.all([ask('a'), ask('b'), ask('c')])
  await clock.advance(60_000)
  await answers
  expect(heard.map(({ where, error }) => [where, String(error)])).toEqual([
    ['usage', expect.stringMatching(/'m'.*returned only text.*whole answer/)],
  ])
})
