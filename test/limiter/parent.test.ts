// An account over its models: reservations in all or none, children in fair turns, one queue and one timer at the
// root.

import { expect, test } from 'vitest'
import { BucketRateLimiter, type LimiterOptions, LimiterStoppedError, RequestTooLargeError } from 'llmiter'
import { EMPTY, fate, leftovers, overloaded, rateLimited, refusal, rig, seconds } from '../helpers.ts'

function family(
  account: Partial<LimiterOptions>,
  a: Partial<LimiterOptions> = {},
  b: Partial<LimiterOptions> = {},
) {
  const { clock, limiter } = rig({ name: 'account', ...account })
  const child = (name: string, options: Partial<LimiterOptions>) =>
    new BucketRateLimiter({ name, ramp: false, parent: limiter, ...options })
  return { clock, account: limiter, a: child('a', a), b: child('b', b) }
}

test('the limits of the account hold for its models together', async () => {
  const { clock, account, a, b } = family({ requestsPerMinute: 60, burst: 1 }, { requestsPerMinute: 600 })
  const log: string[] = []
  const go = (limiter: BucketRateLimiter) =>
    limiter.run(() => log.push(`${limiter.name}@${seconds(clock.now())}`))
  const calls = [go(a), go(a), go(b), go(b), go(account)]
  await clock.advance(500)
  expect(clock.pendingTimers).toBe(1)
  expect(account.stats()).toMatchObject({ waiting: 4 })
  await clock.runAll()
  await Promise.all(calls)
  expect(log.map((line) => line.split('@')[1])).toEqual(['0.00', '1.00', '2.00', '3.00', '4.00'])
  expect(leftovers(account, clock)).toEqual(EMPTY)
})

test('reserved all or none: a model that waits for itself takes nothing from the account', async () => {
  const { clock, account, a, b } = family({ requestsPerMinute: 60, burst: 5 }, { requestsPerMinute: 1 })
  await a.run(() => {})
  const blocked = fate(a.run(() => 'a'))
  await Promise.all([1, 2, 3, 4].map(() => b.run(() => {})))
  expect([account.stats().limits[0]!.available, blocked.now]).toEqual([0, 'pending'])
  await clock.runAll()
  expect(blocked.now).toBe('ok: a')
})

test('children in fair turns, whatever their own limits are', async () => {
  const { clock, a, b } = family(
    { requestsPerMinute: 60, burst: 1 },
    { requestsPerMinute: 6000 },
    { requestsPerMinute: 60 },
  )
  const order: string[] = []
  const calls = Array.from({ length: 40 }, () => a.run(() => order.push('a')))
  for (let i = 0; i < 20; i++) calls.push(b.run(() => order.push('b')))
  await clock.runAll()
  await Promise.all(calls)
  const half = order.slice(1, 31).filter((name) => name === 'b').length
  expect(half).toBeGreaterThanOrEqual(13)
  expect(half).toBeLessThanOrEqual(16)
})

test('calls of the account and of its models accumulate no credit against each other', async () => {
  for (const [busy, fresh] of [
    ['child', 'own'],
    ['own', 'child'],
  ] as const) {
    const { clock, account, a } = family({ requestsPerMinute: 60, burst: 1 })
    const order: string[] = []
    const go = (who: string, calls: number) => {
      for (let i = 0; i < calls; i++) fate((who === 'own' ? account : a).run(() => order.push(who)))
    }
    go(busy, 60)
    await clock.advance(30_100)
    order.length = 0
    go(fresh, 15)
    await clock.advance(10_000)
    expect(order.filter((who) => who === busy).length, `${busy} before ${fresh}`).toBeGreaterThanOrEqual(4)
    expect(order.filter((who) => who === fresh).length, `${busy} before ${fresh}`).toBeGreaterThanOrEqual(4)
  }
})

test("a model's gate does not freeze the others", async () => {
  const { clock, a, b } = family({ requestsPerMinute: 600 })
  let sent = 0
  const refused = fate(a.run(() => (sent++ === 0 ? Promise.reject(rateLimited(60_000)) : 'a')))
  await clock.advance(10)
  await expect(b.run(() => 'b')).resolves.toBe('b')
  expect([a.stats().gate, b.stats().gate]).toEqual(['closed', 'open'])
  await clock.runAll()
  expect(refused.now).toBe('ok: a')
})

test('a refusal acts on the limiter that has the limit it names', async () => {
  const { clock, account, a, b } = family({ tokensPerMinute: 1_000_000 }, { requestsPerMinute: 600 })
  const error = Object.assign(refusal(429, { 'retry-after': '10' }), {
    error: {
      message: 'Rate limit reached on tokens per min (TPM): Limit 1000000',
      type: 'tokens',
      code: 'rate_limit_exceeded',
    },
  })
  let sent = 0
  const call = fate(a.run(() => (sent++ === 0 ? Promise.reject(error) : 'a'), { cost: { tokens: 10 } }))
  await clock.advance(1)
  expect([account.stats().gate, a.stats().gate, b.stats().gate]).toEqual(['closed', 'open', 'open'])
  const other = fate(b.run(() => 'b', { cost: { tokens: 10 } }))
  await clock.advance(5000)
  expect(other.now).toBe('pending')
  await clock.runAll()
  expect([call.now, other.now]).toEqual(['ok: a', 'ok: b'])
})

test('headers of a model teach the model, not the account', async () => {
  const { account, a } = family({ requestsPerMinute: 1000 }, { requestsPerMinute: 200 })
  await a.run(() => ({
    headers: { 'x-ratelimit-limit-requests': '100', 'x-ratelimit-remaining-requests': '99' },
  }))
  expect(a.stats().limits[0]!.learned).toBeCloseTo(100)
  expect(account.stats().limits[0]!.learned).toBeUndefined()
})

test('headers teach the account where only it has that limit, unless it will not learn', async () => {
  const hint = { headers: { 'x-ratelimit-limit-tokens': '500000' } }
  const { account, a } = family({ tokensPerMinute: 1_000_000 })
  await a.run(() => hint)
  expect(account.stats().limits[0]!.learned).toBeCloseTo(500_000)
  const deaf = family({ tokensPerMinute: 1_000_000, learn: false })
  await deaf.a.run(() => hint)
  expect(deaf.account.stats().limits[0]!.learned).toBeUndefined()
})

test('a cost above a limit of the account is refused at once and names it', async () => {
  const { a } = family({ tokensPerMinute: 1000 })
  const error = await a.run(() => {}, { cost: { tokens: 1001 } }).catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(RequestTooLargeError)
  expect((error as Error).message).toMatch(/'account'.*1001 tokens.*1000/)
})

test('maxConcurrent of the account is shared', async () => {
  const { clock, account, a, b } = family({ maxConcurrent: 2 }, { maxConcurrent: 1 })
  let most = 0
  const go = (limiter: BucketRateLimiter) =>
    limiter.run(() => {
      most = Math.max(most, account.stats().inFlight)
      return clock.sleep(100)
    })
  const calls = [go(a), go(a), go(b), go(b), go(b)]
  await clock.advance(1)
  expect([a.stats().inFlight, b.stats().inFlight, account.stats().inFlight]).toEqual([1, 1, 2])
  await clock.runAll()
  await Promise.all(calls)
  expect(most).toBe(2)
  expect(leftovers(account, clock)).toEqual(EMPTY)
})

test('pausing the account pauses its models; pausing a model leaves the others', async () => {
  const { clock, account, a, b } = family({})
  a.pause()
  const [first, second] = [fate(a.run(() => 'a')), fate(b.run(() => 'b'))]
  await clock.advance(10)
  expect([first.now, second.now]).toEqual(['pending', 'ok: b'])
  account.pause(1000)
  a.resume()
  await clock.advance(900)
  expect(first.now).toBe('pending')
  await clock.runAll()
  expect(first.now).toBe('ok: a')
})

test('drain and idle of the account wait for its models, those that back off too', async () => {
  const { clock, account, a, b } = family({}, { retry: { attempts: 2 } })
  let idle = 0
  account.on('idle', () => idle++)
  let sent = 0
  const call = fate(a.run(() => (sent++ === 0 ? Promise.reject(refusal(500)) : 'again')))
  await clock.advance(0)
  await b.run(() => {})
  const drained = fate(account.drain())
  await clock.advance(0)
  expect([drained.now, idle]).toEqual(['pending', 0])
  await clock.runAll()
  expect([call.now, drained.now, idle]).toEqual(['ok: again', 'ok: undefined', 1])
})

test('stop of the account stops its models, also one that is made later', async () => {
  const { account, a } = family({})
  account.stop()
  await expect(a.run(() => 1)).rejects.toThrow(LimiterStoppedError)
  const late = new BucketRateLimiter({ name: 'late', parent: account })
  await expect(late.run(() => 1)).rejects.toThrow(LimiterStoppedError)
})

test('stop of a model leaves the account and the other models', async () => {
  const { account, a, b } = family({})
  a.stop()
  await expect(a.run(() => 1)).rejects.toThrow(LimiterStoppedError)
  await expect(b.run(() => 'b')).resolves.toBe('b')
  await expect(account.run(() => 'account')).resolves.toBe('account')
})

test('three floors', async () => {
  const { clock, account, a } = family({ requestsPerMinute: 60, burst: 1 }, { maxConcurrent: 1 })
  const deep = new BucketRateLimiter({ name: 'deep', parent: a, ramp: false })
  let sent = 0
  const calls = [
    deep.run(() => (sent++ === 0 ? Promise.reject(overloaded(5000)) : 'deep')),
    a.run(() => 'a'),
    account.run(() => 'account'),
  ].map(fate)
  await clock.runAll()
  expect(calls.map(({ now }) => now)).toEqual(['ok: deep', 'ok: a', 'ok: account'])
  expect([leftovers(account, clock), leftovers(a, clock), leftovers(deep, clock)]).toEqual([
    EMPTY,
    EMPTY,
    EMPTY,
  ])
})

test('what the first waits for is named at the account too', async () => {
  const { account, a } = family({ requestsPerMinute: 1 })
  await a.run(() => {})
  fate(a.run(() => {}))
  expect(a.stats().waitingOn).toBe('requests')
  expect(account.stats().waitingOn).toBe('requests')
})
