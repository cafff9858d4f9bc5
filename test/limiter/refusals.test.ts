// The effect of a `rate` refusal: the gate closes, refused calls wait at the front, and one of them probes.

import { expect, test } from 'vitest'
import type { BucketRateLimiter } from 'llmiter'
import type { VirtualClock } from 'llmiter/testing'
import {
  deferred,
  EMPTY,
  fate,
  leftovers,
  rateLimited,
  refusal,
  rig,
  seconds,
  steadyClock,
} from '../helpers.ts'

/**
 * Calls to a provider that refuses in the given intervals. Records which calls were sent when, and which were
 * refused.
 */
function shutting(
  limiter: BucketRateLimiter,
  clock: VirtualClock,
  shut: [from: number, to: number][],
  tellsWait = true,
) {
  const log: string[] = []
  const call = (name: string, latencyMs = 20) =>
    limiter.run(async () => {
      const span = shut.find(([from, to]) => clock.now() >= from && clock.now() < to)
      log.push(`${name}${span ? '!' : ''}@${seconds(clock.now())}`)
      const waitMs = span && span[1] - clock.now()
      await clock.sleep(latencyMs)
      if (span) throw rateLimited(tellsWait ? waitMs! - latencyMs : undefined)
      return name
    })
  return { log, call }
}

test('with Retry-After: one probe when it is over, then the rest, the refused first', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 600, burst: 3 })
  const { log, call } = shutting(limiter, clock, [[0, 5000]])
  const calls = Promise.all(['a', 'b', 'c', 'd', 'e'].map((name) => call(name)))
  await clock.runAll()
  expect(await calls).toEqual(['a', 'b', 'c', 'd', 'e'])
  const probe = log.findIndex((line) => line.startsWith('a@'))
  // Three were refused. The fourth may have been sent before the first refusal arrived, or not at all.
  expect(log.slice(0, 3)).toEqual(['a!@0.00', 'b!@0.00', 'c!@0.00'])
  expect(log[probe]).toBe('a@5.00')
  expect(log.slice(probe).map((line) => line[0])).toEqual(['a', 'b', 'c', 'd', 'e'])
  expect(log.filter((line) => line.endsWith('@5.00'))).toHaveLength(1)
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
})

test('the wait is lengthened by 0 to 2 %, so that clients do not come back together', async () => {
  for (const luck of [0, 0.5, 0.999]) {
    const { clock, limiter } = rig({}, steadyClock(luck))
    let sent = 0
    let again = 0
    const call = limiter.run(() => {
      if (sent++ === 0) throw rateLimited(10_000)
      again = clock.now()
    })
    await clock.runAll()
    await call
    expect(again).toBeCloseTo(10_000 * (1 + 0.02 * luck), 3)
  }
})

test('without Retry-After: 0.5 s, and each wait half as long again, up to the cap', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 6000 }, steadyClock(0.5))
  const times: number[] = []
  const call = limiter.run(() => {
    times.push(clock.now())
    if (times.length < 9) throw rateLimited()
  })
  await clock.runAll()
  await call
  const waits = times.slice(1).map((at, i) => Math.round(at - times[i]!))
  expect(waits).toEqual([500, 750, 1125, 1688, 2531, 3797, 5000, 5000])
})

test('the cap follows the rate: a slow limit is asked less often, at most every 30 s', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 60 }, steadyClock(0.5))
  const times: number[] = []
  const call = limiter.run(() => {
    times.push(clock.now())
    if (times.length < 16) throw rateLimited()
  })
  await clock.runAll()
  await call
  expect(Math.round(times.at(-1)! - times.at(-2)!)).toBe(30_000)
})

test('refused are served in the order in which they first came, whatever order their refusals return in', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 600, burst: 4 })
  const answers = [40, 10, 30, 20]
  const order: string[] = []
  const calls = answers.map((latencyMs, i) => {
    let first = true
    return limiter.run(async () => {
      if (!first) return order.push('abcd'[i]!)
      first = false
      await clock.sleep(latencyMs)
      throw rateLimited(1000)
    })
  })
  await clock.advance(50)
  const late = limiter.run(() => order.push('new'))
  await clock.runAll()
  await Promise.all([...calls, late])
  expect(order).toEqual(['a', 'b', 'c', 'd', 'new'])
})

test('a call keeps its place through many refusals', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 600, burst: 1 })
  const order: string[] = []
  let refusals = 0
  const stubborn = limiter.run(() => {
    if (refusals++ < 4) throw rateLimited(700)
    order.push('stubborn')
  })
  const others: Promise<unknown>[] = []
  for (let i = 0; i < 30; i++) {
    await clock.advance(100)
    others.push(limiter.run(() => order.push('other')))
  }
  await clock.runAll()
  await Promise.all([stubborn, ...others])
  expect(order[0]).toBe('stubborn')
})

test('while the gate is closed nothing goes, and a call that comes is not the first to try', async () => {
  const { clock, limiter } = rig()
  let sent = 0
  const parked = fate(limiter.run(() => (sent++ === 0 ? Promise.reject(rateLimited(8000)) : 'parked')))
  await clock.advance(100)
  const fresh = fate(limiter.run(() => `fresh after ${sent}`))
  await clock.advance(7_800)
  expect([parked.now, fresh.now, sent]).toEqual(['pending', 'pending', 1])
  expect(limiter.stats()).toMatchObject({ gate: 'closed', waiting: 2, parked: 1, waitingOn: 'gate' })
  await clock.runAll()
  expect([parked.now, fresh.now]).toEqual(['ok: parked', 'ok: fresh after 2'])
})

test('the gate reopens on the absence of refusal, not on the answer of a slow probe', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 600, burst: 2 })
  const gates: string[] = []
  limiter.on('gate', ({ state }) => gates.push(`${state}@${seconds(clock.now())}`))
  const slow = deferred()
  let sent = 0
  const probe = fate(
    limiter.run(() =>
      sent++ === 0 ? clock.sleep(30).then(() => Promise.reject(rateLimited(970))) : slow.promise,
    ),
  )
  await clock.advance(100)
  const next = fate(limiter.run(() => clock.sleep(500).then(() => 'next')))
  await clock.advance(1700)
  // SRTT 30 ms and 4 · 15 ms: 90 ms after the probe the next one goes.
  expect(gates).toEqual(['closed@0.03', 'probing@1.00', 'open@1.09'])
  expect([probe.now, next.now]).toEqual(['pending', 'ok: next'])
  slow.resolve('slow')
  await clock.runAll()
  expect(probe.now).toBe('ok: slow')
})

test('a probe that is aborted, fails otherwise or times out proves nothing: the next one probes', async () => {
  const ends: [string, (signal: AbortSignal | undefined) => Promise<unknown>][] = [
    [
      'abort',
      (signal) => new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason))),
    ],
    ['failure', () => Promise.reject(new TypeError('fetch failed'))],
    ['timeout', () => new Promise(() => {})],
  ]
  for (const [how, end] of ends) {
    const { clock, limiter } = rig({ requestsPerMinute: 600 })
    const controller = new AbortController()
    let tries = 0
    const options =
      how === 'abort' ? { signal: controller.signal } : how === 'timeout' ? { timeoutMs: 20 } : {}
    const first = fate(
      limiter.run((signal) => (tries++ === 0 ? Promise.reject(rateLimited(1000)) : end(signal)), options),
    )
    const second = fate(limiter.run(() => Promise.resolve('second')))
    await clock.advance(1001)
    controller.abort(new Error('given up'))
    await clock.runAll()
    expect(first.now, how).toContain('error')
    expect(second.now, how).toBe('ok: second')
    expect(leftovers(limiter, clock), how).toEqual(EMPTY)
  }
})

test('stale refusals park their calls and change nothing: one closing per epoch', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 600, burst: 5 }, steadyClock(0.5))
  const gates: string[] = []
  limiter.on('gate', ({ state }) => gates.push(`${state}@${Math.round(clock.now())}`))
  const calls = [10, 20, 30, 40, 50].map((latencyMs) => {
    let first = true
    return limiter.run(async () => {
      if (!first) return
      first = false
      await clock.sleep(latencyMs)
      throw rateLimited()
    })
  })
  await clock.advance(100)
  expect(limiter.stats()).toMatchObject({ parked: 5, refused: 5, reopensInMs: 410 })
  await clock.runAll()
  await Promise.all(calls)
  expect(gates.filter((gate) => gate.startsWith('closed'))).toEqual(['closed@10'])
})

test('a refusal of tokens touches the limit of tokens only', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 6000, tokensPerMinute: 600_000, learn: true })
  let now = 0
  for (let i = 0; i < 400; i++) {
    // The provider accepts half of the tokens that it advertises.
    const call = limiter.run(
      async () => {
        const at = clock.now()
        if (at - now < 200) {
          await clock.sleep(20)
          throw Object.assign(refusal(429), {
            error: {
              message: 'Rate limit reached on tokens per min (TPM)',
              type: 'tokens',
              code: 'rate_limit_exceeded',
            },
          })
        }
        now = at
        await clock.sleep(20)
      },
      { cost: { tokens: 1000 } },
    )
    fate(call)
  }
  await clock.advance(120_000)
  const [requests, tokens] = limiter.stats().limits
  expect(requests!.learned).toBeUndefined()
  expect(tokens!.learned).toBeLessThan(600_000)
  limiter.stop()
  await clock.runAll({ untilMs: 200_000 })
})
