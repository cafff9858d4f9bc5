// Many failures at once, without leaks: no unhandled rejection, no slot, no timer.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { BucketRateLimiter, withLimiter } from 'llmiter'
import {
  each,
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

const unhandled: unknown[] = []
const note = (reason: unknown) => void unhandled.push(reason)
beforeAll(() => void process.on('unhandledRejection', note))
afterAll(() => void process.off('unhandledRejection', note))

const boom = (what: string) => () => {
  throw new Error(what)
}

test('all that the user gives throws, at every place, under every ending', async () => {
  const endings: [string, (signal: AbortSignal | undefined) => unknown][] = [
    ['throws at once', boom('sync')],
    ['rejects', () => Promise.reject(new Error('async'))],
    ['refused once', once(rateLimited(10))],
    ['overloaded once', once(overloaded(10))],
    ['broken once', once(refusal(500))],
    ['out of quota', () => Promise.reject(outOfQuota())],
    ['undefined', () => undefined],
    ['rejects with undefined', () => Promise.reject(undefined)],
    [
      'a stream that breaks',
      async () =>
        (async function* () {
          yield 1
          throw new Error('stream')
        })(),
    ],
    ['a Response of 429', onceValue(new Response('{', { status: 429 }))],
    ['never resolves', () => new Promise(() => {})],
    [
      'resolves after the abort',
      (signal) => new Promise((resolve) => signal?.addEventListener('abort', resolve)),
    ],
  ]
  function once(error: Error) {
    let sent = 0
    return () => (sent++ % 2 === 0 ? Promise.reject(error) : Promise.resolve('in'))
  }
  function onceValue(value: unknown) {
    let sent = 0
    return async () => (sent++ % 2 === 0 ? value : 'in')
  }
  for (const broken of [true, false]) {
    const clock = steadyClock(0.5)
    const parent = new BucketRateLimiter({
      name: 'account',
      requestsPerMinute: 6000,
      maxConcurrent: 50,
      clock,
    })
    const limiter = new BucketRateLimiter({
      ...{
        name: 'test',
        requestsPerMinute: 6000,
        tokensPerMinute: 600_000,
        timeoutMs: 2000,
        maxWaitMs: '2m',
        parent,
      },
      retry: { attempts: 3, ...(broken && { on: boom('on') }) },
      ...(broken && { classify: boom('classify'), probe: boom('probe') as () => boolean }),
    })
    if (broken)
      for (const name of [
        'request',
        'issue',
        'finish',
        'refuse',
        'park',
        'reject',
        'gate',
        'error',
        'idle',
      ] as const)
        limiter.on(name, boom(name))
    const calls: ReturnType<typeof fate>[] = []
    for (const [, work] of endings) {
      for (let i = 0; i < 3; i++) {
        const controller = new AbortController()
        calls.push(fate(limiter.run(work, { signal: controller.signal, priority: i })))
        const wrapped = withLimiter(
          () => work(controller.signal),
          limiter,
          broken ? { usage: boom('usage') } : {},
        )
        const reading = (async () => {
          const result = await wrapped()
          if (result && typeof result === 'object' && Symbol.asyncIterator in result)
            await each(result as AsyncIterable<unknown>)
        })()
        calls.push(fate(reading))
        calls.push(
          fate(
            limiter
              .acquire({ maxWaitMs: 500 })
              .then((ticket) =>
                i === 0 ? ticket.refuse(rateLimited(5)).then((next) => next.release()) : ticket.finish(),
              ),
          ),
        )
        await clock.advance(7)
        if (i === 2) controller.abort(new Error('given up'))
      }
    }
    await clock.runAll({ untilMs: 3_600_000 })
    for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve))
    await clock.runAll({ untilMs: 7_200_000 })
    const open = calls.filter(({ now }) => now === 'pending').length
    // A stream that was returned by run() and never read loses its ticket after five minutes.
    expect([open, leftovers(limiter, clock), leftovers(parent, clock)], String(broken)).toEqual([
      0,
      EMPTY,
      EMPTY,
    ])
  }
  expect(unhandled).toEqual([])
})

test('a stopped and forgotten limiter leaves nothing behind', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 1 })
  const calls = Array.from({ length: 100 }, () => fate(limiter.run(() => Promise.reject(rateLimited()))))
  await clock.advance(1000)
  limiter.stop()
  await clock.advance(0)
  expect(calls.filter(({ now }) => now === 'pending')).toEqual([])
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
  expect(unhandled).toEqual([])
})

test('a clock that goes back, or says NaN, stands still', async () => {
  const clock = steadyClock()
  let skew = 0
  const now = clock.now.bind(clock)
  clock.now = () => now() + skew
  const { limiter } = rig({ requestsPerMinute: 60, burst: 1 }, clock)
  const calls = [1, 2, 3].map(() => fate(limiter.run(() => 'in')))
  await clock.advance(500)
  skew = -10_000
  await clock.advance(500)
  skew = NaN
  await clock.advance(10)
  skew = 0
  await clock.runAll()
  expect(calls.map(({ now: fate }) => fate)).toEqual(['ok: in', 'ok: in', 'ok: in'])
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
})
