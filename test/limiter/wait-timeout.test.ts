// A call that reaches `maxWaitMs` learns what it waited for, how much longer it would have taken, and the
// provider's last answer.

import { expect, test } from 'vitest'
import { type LimiterOptions, WaitTimeoutError } from 'llmiter'
import { fate, refusal, rig } from '../helpers.ts'

const said = (retryAfterMs: number) =>
  Object.assign(refusal(429, { 'retry-after-ms': String(retryAfterMs) }, 'rate_limit_exceeded'), {
    error: {
      message: 'Rate limit reached for gpt-5 on tokens per min (TPM): Limit 30000.',
      code: 'rate_limit_exceeded',
    },
  })

async function timedOut(options: Partial<LimiterOptions>, work: () => unknown, ahead = 0) {
  const { clock, limiter } = rig(options)
  for (let i = 0; i < ahead; i++) fate(limiter.run(() => clock.sleep(60_000)))
  const call = fate(limiter.run(work, { maxWaitMs: '2s' }))
  await clock.advance(2500)
  expect(call.error).toBeInstanceOf(WaitTimeoutError)
  return call.error as WaitTimeoutError
}

test('a 429 that is waited out', async () => {
  const refused = said(50_000)
  const error = await timedOut({ requestsPerMinute: 600 }, () => Promise.reject(refused))
  expect(error).toMatchObject({ waitingOn: 'gate', cause: refused })
  expect(error.leftMs).toBeGreaterThan(47_900)
  expect(error.leftMs).toBeLessThan(49_100)
  expect(error.message).toMatch(
    /^'test': no ticket within maxWaitMs \(2000 ms\), 1 calls wait; it waited for the provider to accept calls again, and would have waited about 48\d\d\d ms more; the last answer was: 429 rate_limit_exceeded: tokens per min/,
  )
})

test.each<[string, Partial<LimiterOptions>, number, string, number, RegExp]>([
  [
    'a rate',
    { requestsPerMinute: 6, burst: 1 },
    3,
    'requests',
    28_000,
    /it waited for the limit of requests/,
  ],
  ['a slot', { maxConcurrent: 1 }, 1, 'concurrency', 0, /it waited for a call in flight to end/],
  ['a quota', { requestsPerDay: 1 }, 3, 'requests', 3 * 86_400_000 - 2000, /the limit of requests/],
])('%s', async (_, options, ahead, waitingOn, leftMs, words) => {
  const error = await timedOut(options, () => 1, ahead)
  expect(error.waitingOn).toBe(waitingOn)
  expect(error.message).toMatch(words)
  expect(error.leftMs).toBeGreaterThanOrEqual(leftMs * 0.9)
  if (leftMs > 0) expect(error.leftMs).toBeLessThan(leftMs * 1.1)
  expect(error.cause).toBeUndefined()
})

test('its own next try', async () => {
  const broken = refusal(500)
  const error = await timedOut({ retry: { minMs: '10s', maxMs: '10s', jitter: 0 } }, () =>
    Promise.reject(broken),
  )
  expect(error).toMatchObject({ waitingOn: 'retry', leftMs: 8000, cause: broken })
  expect(error.message).toMatch(
    /it waited for its next try, and would have waited about 8000 ms more; the last answer was: 500/,
  )
})

test('the end of a pause, which nobody knows', async () => {
  const { clock, limiter } = rig({})
  limiter.pause()
  const call = fate(limiter.run(() => 1, { maxWaitMs: 1000 }))
  await clock.advance(1000)
  expect(call.error).toMatchObject({ waitingOn: 'pause', leftMs: Infinity })
  expect(call.now).toMatch(/it waited for resume\(\), and would have waited without an end/)
})

test('a ticket that is refused, too', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 600 })
  const ticket = await limiter.acquire({ maxWaitMs: 3000 })
  const again = fate(ticket.refuse(said(30_000)))
  await clock.advance(3000)
  expect(again.error).toMatchObject({ code: 'WAIT_TIMEOUT', waitingOn: 'gate' })
})
