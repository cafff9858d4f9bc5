// Aborted calls: signals, timeouts, retries. The promise settles immediately where possible, and the slot is free.

import { expect, test } from 'vitest'
import { CallTimeoutError, withLimiter } from 'llmiter'
import {
  deferred,
  departures,
  EMPTY,
  fate,
  leftovers,
  rateLimited,
  refusal,
  rig,
  steadyClock,
} from '../helpers.ts'

const reason = new Error('the user pressed stop')
const hang = (signal?: AbortSignal) =>
  new Promise<never>((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))

test('aborted before: rejects with the reason, nothing is sent', async () => {
  const { clock, limiter } = rig()
  const signal = AbortSignal.abort(reason)
  let sent = 0
  await expect(limiter.run(() => sent++, { signal })).rejects.toBe(reason)
  await expect(limiter.acquire({ signal })).rejects.toBe(reason)
  expect([sent, limiter.stats().issued, leftovers(limiter, clock)]).toEqual([0, 0, EMPTY])
})

const stages: [string, () => unknown, number][] = [
  ['waiting', () => 'never', 60],
  ['parked', () => Promise.reject(rateLimited(60_000)), 600],
  ['backing off', () => Promise.reject(refusal(500)), 600],
]
test.each(stages)(
  'aborted while %s: rejects at once with the reason, and lets go of the signal',
  async (stage, work, requestsPerMinute) => {
    const { clock, limiter } = rig({
      requestsPerMinute,
      burst: 1,
      retry: { attempts: 3, minMs: '30s', maxMs: '1m' },
    })
    if (stage === 'waiting') await limiter.run(() => {})
    const controller = new AbortController()
    let listeners = 0
    const { signal } = controller
    const add = signal.addEventListener.bind(signal)
    const remove = signal.removeEventListener.bind(signal)
    signal.addEventListener = ((...args: Parameters<typeof add>) => (listeners++, add(...args))) as never
    signal.removeEventListener = ((...args: Parameters<typeof remove>) => (
      listeners--,
      remove(...args)
    )) as never
    const call = fate(limiter.run(work, { signal }))
    await clock.advance(100)
    expect([call.now, listeners]).toEqual(['pending', 1])
    controller.abort(reason)
    await clock.advance(0)
    expect(call.error).toBe(reason)
    expect(limiter.stats()).toMatchObject({ waiting: 0, parked: 0, inFlight: 0 })
    await clock.runAll()
    expect(leftovers(limiter, clock)).toEqual(EMPTY)
  },
)

test('aborted in flight: the caller is told immediately, the function by its signal; its result no longer counts', async () => {
  const { clock, limiter } = rig()
  const controller = new AbortController()
  const hears = fate(limiter.run(hang, { signal: controller.signal }))
  const late = deferred<string>()
  const deaf = fate(limiter.run(() => late.promise, { signal: controller.signal }))
  const refused = fate(
    limiter.run(() => clock.sleep(50).then(() => Promise.reject(rateLimited(10))), {
      signal: controller.signal,
    }),
  )
  await clock.advance(10)
  controller.abort(reason)
  await clock.advance(100)
  late.resolve('resolved after the abort')
  await clock.runAll()
  expect([hears.error, deaf.error, refused.error]).toEqual([reason, reason, reason])
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
})

test('one signal for many: all end, none is sent in between, no slot leaks', async () => {
  const { clock, limiter } = rig({ tokensPerMinute: 1000, maxConcurrent: 3 })
  await limiter.run(() => {}, { cost: { tokens: 600 } })
  const controller = new AbortController()
  let sent = 0
  // The small calls would fit as soon as the large one leaves the queue.
  const calls = [900, 1, 1, 1].map((tokens) =>
    fate(limiter.run(() => sent++, { cost: { tokens }, signal: controller.signal })),
  )
  await clock.advance(40_000)
  controller.abort(reason)
  await clock.runAll()
  expect(calls.map(({ error }) => error)).toEqual([reason, reason, reason, reason])
  expect([sent, leftovers(limiter, clock)]).toEqual([0, EMPTY])
})

test('100,000 calls with one signal: all leave', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 1 })
  const controller = new AbortController()
  let ended = 0
  for (let i = 0; i < 100_000; i++) limiter.run(() => {}, { signal: controller.signal }).catch(() => ended++)
  controller.abort()
  await clock.advance(0)
  expect(ended).toBe(100_000)
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
})

test('timeoutMs: its own error, the signal of the function aborts, and a later result is dropped', async () => {
  const { clock, limiter } = rig({ maxConcurrent: 1 })
  let heard: unknown
  const call = fate(
    limiter.run(
      (signal) =>
        new Promise((_, reject) =>
          signal!.addEventListener(
            'abort',
            () => ((heard = signal!.reason), clock.setTimer(() => reject(new Error('late')), 50)),
          ),
        ),
      { timeoutMs: '1s' },
    ),
  )
  const next = fate(limiter.run(() => 'next'))
  await clock.advance(999)
  expect([call.now, next.now]).toEqual(['pending', 'pending'])
  await clock.advance(1)
  expect(call.error).toBeInstanceOf(CallTimeoutError)
  expect([heard, next.now]).toEqual([call.error, 'ok: next'])
  await clock.runAll()
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
})

test('timeoutMs counts from the ticket, not from the line, and anew for each try', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 60, burst: 1, timeoutMs: 500 })
  let sent = 0
  const calls = [1, 2, 3].map(() =>
    fate(
      limiter.run(() =>
        clock.sleep(400).then(() => (sent++ === 0 ? Promise.reject(rateLimited(5000)) : 'in')),
      ),
    ),
  )
  await clock.runAll()
  expect(calls.map(({ now }) => now)).toEqual(['ok: in', 'ok: in', 'ok: in'])
})

test('retry: waits that grow, a ticket for each try, ahead of the new, the last error as it is', async () => {
  const { clock, limiter } = rig({ retry: { attempts: 4, minMs: 100, maxMs: 300, factor: 2, jitter: 0 } })
  const times = departures(limiter, clock)
  const retries: unknown[] = []
  limiter.on('retry', ({ attempt, delayMs }) => retries.push([attempt, delayMs]))
  const errors = [refusal(500), refusal(502), new TypeError('fetch failed'), refusal(504)]
  const call = fate(limiter.run(() => Promise.reject(errors.shift())))
  const last = errors.at(-1)
  await clock.runAll()
  expect([times, retries]).toEqual([
    [0, 100, 300, 600],
    [
      [2, 100],
      [3, 200],
      [4, 300],
    ],
  ])
  expect(call.error).toBe(last)
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
})

test('retry: jitter shortens, Retry-After lengthens', async () => {
  const { clock, limiter } = rig({ retry: { attempts: 3, minMs: 1000, jitter: 0.5 } }, steadyClock(1))
  const times = departures(limiter, clock)
  const errors = [refusal(500), refusal(500, { 'retry-after': '20' })]
  await Promise.all([
    limiter.run(() => (errors.length ? Promise.reject(errors.shift()) : 'in')),
    clock.runAll(),
  ])
  expect(times).toEqual([0, 500, 20_500])
})

test('retry is off unless asked for, and off for a call that says so', async () => {
  const plain = rig()
  let sent = 0
  const broken = () => (sent++, Promise.reject(refusal(500)))
  await expect(plain.limiter.run(broken)).rejects.toThrow('500')
  const retrying = rig({ retry: { attempts: 3 } })
  await expect(retrying.limiter.run(broken, { retry: false })).rejects.toThrow('500')
  await expect(retrying.limiter.run(broken, { retry: { attempts: 1 } })).rejects.toThrow('500')
  expect(sent).toBe(3)
})

test('retry.on decides which failures; one that throws is reported and decides nothing', async () => {
  const { clock, limiter } = rig({
    retry: { attempts: 2, on: (error) => (error as Error).message === 'mine' },
  })
  const go = (message: string) => {
    let sent = 0
    return fate(limiter.run(() => (sent++ === 0 ? Promise.reject(new Error(message)) : 'again')))
  }
  const [mine, other] = [go('mine'), go('other')]
  await clock.runAll()
  expect([mine.now, other.now]).toEqual(['ok: again', 'error: other'])
  const errors: string[] = []
  limiter.on('error', ({ where }) => errors.push(where))
  const call = fate(
    limiter.run(() => Promise.reject(refusal(500)), {
      retry: {
        on: () => {
          throw new Error('on')
        },
      },
    }),
  )
  await clock.runAll()
  expect([call.now, errors]).toEqual(['error: HTTP 500', ['retry.on']])
})

test('refusals are no failures: they do not use up the attempts', async () => {
  const { clock, limiter } = rig({ retry: { attempts: 2, jitter: 0 } })
  const errors = [rateLimited(10), refusal(500), rateLimited(10), rateLimited(10)]
  const call = fate(limiter.run(() => (errors.length ? Promise.reject(errors.shift()) : 'in')))
  await clock.runAll()
  expect(call.now).toBe('ok: in')
})

test.each([
  ['of refusals', () => rateLimited()],
  ['of failures', () => refusal(500)],
])('a set number of tries %s, 8 to 64 s apart, and then what the provider said last', async (_, make) => {
  const waits = { minMs: '8s', maxMs: '64s', factor: 2, jitter: 0 } as const
  const patience = { recovery: waits, maxRefusals: 4, retry: { ...waits, attempts: 5 } }
  const { clock, limiter } = rig({ ramp: false, ...patience }, steadyClock())
  const [times, said] = [[] as number[], [] as Error[]]
  const call = fate(
    limiter.run(() => {
      times.push(clock.now())
      said.push(make())
      throw said.at(-1)
    }),
  )
  await clock.runAll()
  expect(times).toEqual([0, 8000, 24_000, 56_000, 120_000])
  expect(call.error).toBe(said[4])
  expect(limiter.stats()).toMatchObject({ finished: 1, failed: 1, waiting: 0, parked: 0 })
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
})

test('maxRefusals 0: the first refusal is its caller’s, closes the gate, and the others wait', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 600 }, steadyClock())
  const error = rateLimited(5000)
  const quick = fate(limiter.run(() => Promise.reject(error), { maxRefusals: 0 }))
  await clock.advance(10)
  const job = fate(limiter.run(() => clock.now()))
  await clock.advance(100)
  expect(quick.error).toBe(error)
  expect([job.now, limiter.stats().gate]).toEqual(['pending', 'closed'])
  await clock.runAll()
  expect(Number(job.now.slice(4))).toBeCloseTo(5000, -2)
  expect(limiter.stats()).toMatchObject({ refused: 1, finished: 2, failed: 1 })
})

test('maxRefusals counts for tickets, for returned Responses, and for tries by the rules of others', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 600, maxRefusals: 1 }, steadyClock())
  const first = await limiter.acquire()
  const error = rateLimited(1000)
  const second = first.refuse(error)
  await clock.runAll()
  const third = (await second).again()
  await clock.runAll()
  const last = fate((await third).refuse(error))
  await clock.runAll()
  expect(last.error).toBe(error)

  const wrapped = withLimiter(async () => new Response('slow down', { status: 429 }), limiter, {
    maxRefusals: 2,
  })
  const refused = limiter.stats().refused
  const answer = wrapped()
  await clock.runAll()
  expect(await (await answer).text()).toBe('slow down')
  expect(limiter.stats().refused - refused).toBe(3)
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
})
