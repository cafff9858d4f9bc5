// After a used-up quota no call waits, and one call a minute tests whether it is back.

import { expect, test } from 'vitest'
import { BucketRateLimiter, type LimiterError, QuotaExhaustedError } from 'llmiter'
import {
  deferred,
  EMPTY,
  fate,
  leftovers,
  outOfQuota,
  overloaded,
  rateLimited,
  refusal,
  rig,
  steadyClock,
} from '../helpers.ts'

test('the call that finds out gets the original error, those in line and those to come fail fast', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 60, burst: 1 })
  const original = outOfQuota()
  const first = limiter.run(() => clock.sleep(10).then(() => Promise.reject(original)))
  const seen = fate(first)
  const waiting = fate(limiter.run(() => 'never'))
  await clock.advance(20)
  expect(seen.error).toBe(original)
  expect(waiting.error).toBeInstanceOf(QuotaExhaustedError)
  expect((waiting.error as LimiterError).cause).toBe(original)
  const later = await limiter.run(() => 'never').catch((error: unknown) => error)
  expect(later).toBeInstanceOf(QuotaExhaustedError)
  expect((later as LimiterError).code).toBe('QUOTA_EXHAUSTED')
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
})

test('one call each 60 s tries; its success resumes for all', async () => {
  const { clock, limiter } = rig()
  let paid = false
  const sent: number[] = []
  const ask = () =>
    limiter.run(() => {
      sent.push(clock.now())
      if (!paid) throw outOfQuota()
      return 'answer'
    })
  // A call every 7 s, for five minutes. At 200 s the bill is paid.
  const fates: string[] = []
  for (let i = 0; i < 43; i++) {
    paid = clock.now() >= 200_000
    fates.push(
      await ask().catch((error: unknown) => (error instanceof QuotaExhaustedError ? 'fast' : 'tried')),
    )
    await clock.advance(7000)
  }
  expect(sent.slice(0, 4)).toEqual([0, 63_000, 126_000, 189_000])
  expect(sent[4]).toBe(252_000)
  expect(fates.slice(36)).toEqual(Array(7).fill('answer'))
})

test('while a trial is out the others fail fast; an aborted trial leaves room for the next', async () => {
  const { clock, limiter } = rig()
  await limiter.run(() => Promise.reject(outOfQuota())).catch(() => {})
  await clock.advance(60_000)
  const controller = new AbortController()
  const trial = fate(
    limiter.run(
      (signal) => new Promise((_, no) => signal?.addEventListener('abort', () => no(signal.reason))),
      {
        signal: controller.signal,
      },
    ),
  )
  await expect(limiter.run(() => 1)).rejects.toThrow(QuotaExhaustedError)
  controller.abort(new Error('given up'))
  await clock.advance(60_000)
  expect(trial.now).toBe('error: given up')
  await expect(limiter.run(() => 'in')).resolves.toBe('in')
  await expect(limiter.run(() => 'all in')).resolves.toBe('all in')
})

test('a trial that is refused for its rate is not sent again at full pace', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 600 })
  await limiter.run(() => Promise.reject(outOfQuota())).catch(() => {})
  await clock.advance(60_000)
  let sent = 0
  const trial = fate(limiter.run(() => (sent++ === 0 ? Promise.reject(rateLimited(5000)) : 'in')))
  await clock.advance(4000)
  expect([sent, trial.now]).toEqual([1, 'pending'])
  await clock.runAll()
  expect([sent, trial.now]).toEqual([2, 'ok: in'])
})

test('until a known reset nothing is tried; from then on nobody fails', async () => {
  const { clock, limiter } = rig({
    classify: (outcome) =>
      'error' in outcome ? { kind: 'quota', waitMs: 3_600_000, reason: 'daily requests' } : undefined,
  })
  await limiter.run(() => Promise.reject(new Error('used up'))).catch(() => {})
  await clock.advance(3_599_000)
  await expect(limiter.run(() => 1)).rejects.toThrow('used up')
  await clock.advance(1001)
  const slow = deferred()
  const calls = [
    fate(limiter.run(() => slow.promise)),
    fate(limiter.run(() => 'b')),
    fate(limiter.run(() => 'c')),
  ]
  await clock.advance(0)
  expect(calls.map(({ now }) => now).filter((now) => now.startsWith('error'))).toEqual([])
  slow.resolve('a')
  await clock.runAll()
  expect(calls.map(({ now }) => now)).toEqual(['ok: a', 'ok: b', 'ok: c'])
})

test('a request that is too large goes back to its caller and disturbs nobody', async () => {
  const { clock, limiter } = rig()
  const error = Object.assign(refusal(429), {
    message: 'Request too large for gpt-5: Limit 30000, Requested 36278',
    code: 'rate_limit_exceeded',
  })
  const first = fate(limiter.run(() => Promise.reject(error)))
  const second = fate(limiter.run(() => 'second'))
  await clock.advance(0)
  expect(first.error).toBe(error)
  expect([second.now, limiter.stats().gate]).toEqual(['ok: second', 'open'])
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
})

test('a quota of one model leaves its account and the other models alone', async () => {
  const clock = steadyClock()
  const account = new BucketRateLimiter({ name: 'account', limits: [], clock })
  const a = new BucketRateLimiter({ name: 'a', parent: account })
  const b = new BucketRateLimiter({ name: 'b', parent: account })
  await a.run(() => Promise.reject(outOfQuota())).catch(() => {})
  await expect(a.run(() => 1)).rejects.toThrow(QuotaExhaustedError)
  await expect(b.run(() => 'b')).resolves.toBe('b')
  await expect(account.run(() => 'account')).resolves.toBe('account')
})

test('a quota of the account stops its models', async () => {
  const clock = steadyClock()
  const account = new BucketRateLimiter({ name: 'account', maxConcurrent: 10, clock })
  const model = new BucketRateLimiter({ name: 'model', parent: account, maxConcurrent: 1 })
  const holding = deferred()
  const out = fate(model.run(() => holding.promise))
  const waiting = fate(model.run(() => 'never'))
  await account.run(() => Promise.reject(outOfQuota())).catch(() => {})
  expect([out.now, waiting.error]).toEqual(['pending', expect.any(QuotaExhaustedError)])
  await expect(model.run(() => 1)).rejects.toThrow(QuotaExhaustedError)
  holding.resolve('held')
  await clock.runAll()
  expect(out.now).toBe('ok: held')
})

test('a quota found by the probe of another limiter leaves no probe hanging', async () => {
  const clock = steadyClock()
  const account = new BucketRateLimiter({ name: 'account', limits: [], clock })
  const model = new BucketRateLimiter({ name: 'model', parent: account })
  const other = new BucketRateLimiter({ name: 'other', parent: account })
  let sent = 0
  const busy = fate(account.run(() => (sent++ === 0 ? Promise.reject(overloaded(1000)) : 'in')))
  await clock.advance(1)
  // The account's probe is this model's call, and that call finds its own quota used up.
  const first = fate(model.run(() => Promise.reject(outOfQuota()), { priority: 9 }))
  const calls = [1, 2, 3].map(() => fate(other.run(() => 'other')))
  await clock.advance(10_000)
  expect([first.now, busy.now, ...calls.map(({ now }) => now)].filter((now) => now === 'pending')).toEqual([])
})

test('paid in the meantime: after resume() the next call tries immediately', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 600 })
  let paid = false
  const call = () => fate(limiter.run(() => (paid ? 'in' : Promise.reject(outOfQuota()))))
  call()
  await clock.advance(0)
  paid = true
  const early = call()
  await clock.advance(0)
  expect(early.now).toContain('quota is used up')
  limiter.resume()
  const later = [call(), call()]
  await clock.advance(1000)
  expect(later.map(({ now }) => now)[0]).toBe('ok: in')
  const after = call()
  await clock.advance(1000)
  expect(after.now).toBe('ok: in')
  expect(limiter.stats().gate).toBe('open')
  limiter.stop()
})

test.each([
  ['fails', () => refusal(500)],
  ['is refused', () => rateLimited(1000)],
])('a call in flight that %s after the quota is spent does not wait for its return', async (_, error) => {
  const { clock, limiter } = rig({ maxConcurrent: 2, retry: {} }, steadyClock())
  const late = fate(limiter.run(() => clock.sleep(100).then(() => Promise.reject(error()))))
  const first = fate(limiter.run(() => clock.sleep(10).then(() => Promise.reject(outOfQuota()))))
  await clock.advance(200)
  expect(first.now).toMatch(/insufficient_quota|429/)
  expect(late.error).toBeInstanceOf(QuotaExhaustedError)
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
})
