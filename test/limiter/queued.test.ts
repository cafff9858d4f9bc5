// The visible queue: ids of calls, lists, clearing some calls, and what happens when the queue is full.

import { expect, test } from 'vitest'
import { BucketRateLimiter, type EventName, QueueClearedError, QueueFullError, withLimiter } from 'llmiter'
import { fate, rateLimited, refusal, rig } from '../helpers.ts'

const slow = (options = {}) => rig({ requestsPerMinute: 60, burst: 1, ...options })

test('every event of a call carries its id; a call without one has none', async () => {
  const { clock, limiter } = rig({ retry: { minMs: 10 }, recovery: { minMs: 10 } })
  const told: string[] = []
  for (const name of [
    'request',
    'issue',
    'start',
    'finish',
    'refuse',
    'park',
    'retry',
    'reject',
  ] as EventName[])
    limiter.on(name, (event) => told.push(`${name} ${'id' in event ? event.id : '-'}`))
  const answers = [rateLimited(), refusal(500), undefined]
  const call = limiter.run(
    async () => {
      const error = answers.shift()
      if (error) throw error
    },
    { id: 'a' },
  )
  await clock.runAll()
  await call
  expect([...new Set(told)]).toEqual(
    ['request', 'issue', 'start', 'refuse', 'park', 'retry', 'finish'].map((name) => `${name} a`),
  )
  told.length = 0
  limiter.pause()
  const dropped = fate(limiter.run(() => {}, { id: 'b' }))
  limiter.clear()
  await clock.advance(0)
  expect(dropped.error).toBeInstanceOf(QueueClearedError)
  expect(told).toEqual(['request b', 'reject b'])
  limiter.resume()
  told.length = 0
  await limiter.run(() => {})
  expect(told).toEqual(['request -', 'issue -', 'start -', 'finish -'])
})

test('a wrapped function names its calls by their arguments', async () => {
  const { limiter } = slow()
  const ids: unknown[] = []
  limiter.on('finish', ({ id }) => ids.push(id))
  const ask = withLimiter((city: string) => city, limiter, { id: (city) => `city ${city}` })
  await ask('Paris')
  expect(ids).toEqual(['city Paris'])
})

test('waiting calls are listed in the order in which they will go, here and below', async () => {
  const { clock, limiter } = slow({ retry: { minMs: '1h', jitter: 0 } })
  const below = new BucketRateLimiter({ name: 'below', parent: limiter })
  const failed = fate(limiter.run(() => Promise.reject(refusal(500)), { id: 'failed' }))
  await clock.advance(0)
  const calls = [
    limiter.run(() => {}, { id: 'second', tenant: 'x' }),
    limiter.run(() => {}),
    limiter.run(() => {}, { id: 'first', priority: 1 }),
    below.run(() => {}, { id: 'below', cost: { requests: 1 } }),
  ].map(fate)
  await clock.advance(400)
  const cost = { requests: 1 }
  const base = { limiter: 'test', priority: 0, parked: false, cost, ageMs: 400 }
  expect(limiter.queued()).toEqual([
    { ...base, id: 'first', priority: 1 },
    { ...base, id: 'failed', parked: true },
    { ...base, id: 'second', tenant: 'x' },
    base,
    { ...base, id: 'below', limiter: 'below' },
  ])
  limiter.stop()
  await clock.advance(0)
  expect([failed, ...calls].every(({ now }) => now.startsWith('error'))).toBe(true)
})

test('some are dropped, and the others keep their places', async () => {
  const { clock, limiter } = slow()
  const order: string[] = []
  const reason = new Error('the tab is gone')
  const calls = ['now', 'a', 'b', 'c', 'd'].map((id) => fate(limiter.run(() => order.push(id), { id })))
  limiter.clear(reason, ({ id }) => id === 'a' || id === 'c')
  await clock.runAll()
  expect(order).toEqual(['now', 'b', 'd'])
  expect(calls[1]!.error).toBeInstanceOf(QueueClearedError)
  expect(calls[1]!.error).toMatchObject({
    message: "'test': clear() dropped this call while it waited",
    cause: reason,
  })
  expect(limiter.stats()).toMatchObject({ rejected: 2, waiting: 0 })
  expect(() => limiter.clear(reason, 'a' as never)).toThrow('which must be a function')
})

test('a full queue evicts the oldest call of the lowest priority, for one that is not lower', async () => {
  const { clock, limiter } = slow({ queue: { max: 2, onFull: 'evict-oldest' } })
  const order: string[] = []
  const go = (id: string, priority = 0) => fate(limiter.run(() => order.push(id), { id, priority }))
  const calls = [go('now'), go('a', 1), go('b'), go('c'), go('low', -1), go('d', 2), go('e', 1)]
  await clock.runAll()
  expect(order).toEqual(['now', 'd', 'e'])
  const refused = calls.filter(({ error }) => error instanceof QueueFullError).length
  expect(refused).toBe(4)
})

test('a call that was sent before is never evicted', async () => {
  const { clock, limiter } = rig({ queue: { max: 1, onFull: 'evict-oldest' } })
  let tries = 0
  const parked = fate(limiter.run(() => (++tries === 1 ? Promise.reject(rateLimited(1000)) : 'parked')))
  await clock.advance(1)
  const news = [1, 2].map((i) => fate(limiter.run(() => i)))
  await clock.runAll()
  expect(parked.now).toBe('ok: parked')
  expect(news.map(({ error }) => error instanceof QueueFullError)).toEqual([true, true])
})

test('without ageing the higher priority goes first, always; update turns it on and off', async () => {
  const order: string[] = []
  const { clock, limiter } = slow({ queue: { ageing: false } })
  const calls = Array.from({ length: 3 }, () => limiter.run(() => order.push('job')))
  for (let i = 0; i < 100; i++) calls.push(limiter.run(() => order.push('chat'), { priority: 1 }))
  await clock.advance(50_000)
  expect(order.lastIndexOf('job')).toBe(0)
  limiter.update({ queue: { ageing: true } })
  await clock.advance(20_000)
  expect(order.lastIndexOf('job')).toBeGreaterThan(0)
  await clock.runAll()
  await Promise.all(calls)
  expect(order).toHaveLength(103)
})

test('empty is emitted when no call waits any more, and issue reports how many still do', async () => {
  const { clock, limiter } = slow()
  const told: unknown[] = []
  limiter.on('issue', ({ waiting }) => told.push(waiting))
  limiter.on('empty', () => told.push('empty'))
  const calls = [1, 2, 3].map(() => limiter.run(() => {}))
  await clock.runAll()
  await Promise.all(calls)
  expect(told).toEqual([0, 1, 0, 'empty'])
  limiter.pause()
  const dropped = fate(limiter.run(() => {}))
  limiter.clear()
  await clock.advance(0)
  expect(dropped.now).toMatch(/^error/)
  expect(told.at(-1)).toBe('empty')
})

test('a spacing without the spread of arrivals is exact', async () => {
  const limits = (jitterMs?: number) => [
    { of: 'requests', amount: 1, per: 100, pace: false, ...(jitterMs !== undefined && { jitterMs }) },
  ]
  const spacings = async (jitterMs?: number) => {
    const { clock, limiter } = rig({ limits: limits(jitterMs) })
    const times: number[] = []
    const calls = [1, 2, 3, 4].map(() => limiter.run(() => times.push(clock.now())))
    await clock.runAll()
    await Promise.all(calls)
    return times
  }
  expect(await spacings()).toEqual([0, 150, 300, 450])
  expect(await spacings(0)).toEqual([0, 100, 200, 300])
  expect(() => rig({ limits: limits(-1) })).toThrow('limits[0].jitterMs must be a number of at least 0')
})

test('retry.delayMs chooses the wait for each failure', async () => {
  const seen: unknown[] = []
  const { clock, limiter } = rig({
    retry: {
      attempts: 5,
      minMs: 7,
      jitter: 0,
      delayMs: (failure) => {
        seen.push([(failure.error as Error).message, failure.failures, failure.waitMs])
        return ([1000, 0, undefined, '2s'] as const)[failure.failures - 1]
      },
    },
  })
  const tries: number[] = []
  const failures = [refusal(500), refusal(502), refusal(503, { 'retry-after-ms': '30' }), refusal(500)]
  // A 503 with a wait closes the gate. It is a transient failure here.
  limiter.update({ classify: ({ error }: { error?: unknown }) => (error ? 'transient' : undefined) } as never)
  const call = limiter.run(async () => {
    tries.push(clock.now())
    const failure = failures.shift()
    if (failure) throw failure
  })
  await clock.runAll()
  await call
  expect(seen).toEqual([
    ['HTTP 500', 1, undefined],
    ['HTTP 502', 2, undefined],
    ['HTTP 503', 3, undefined],
    ['HTTP 500', 4, undefined],
  ])
  expect(tries).toEqual([0, 1000, 1000, 1000 + 7 * 4, 1000 + 7 * 4 + 2000])
})

test('retry.delayMs that throws or returns no duration falls back to the other options, and is reported', async () => {
  for (const delayMs of [
    () => {
      throw new Error('oops')
    },
    () => -1,
  ]) {
    const { clock, limiter } = rig({ retry: { attempts: 2, minMs: 50, jitter: 0, delayMs } })
    const errors: string[] = []
    limiter.on('error', ({ where }) => errors.push(where))
    let tries = 0
    const call = limiter.run(() => (++tries === 1 ? Promise.reject(refusal(500)) : clock.now()))
    await clock.runAll()
    expect([await call, errors]).toEqual([50, ['retry.delayMs']])
  }
  expect(() => rig({ retry: { delayMs: 5 as never } })).toThrow('retry.delayMs must be a function')
})
