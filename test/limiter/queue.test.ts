// The order of the queue, and which calls it does not accept.

import { expect, test } from 'vitest'
import { LimiterStoppedError, QueueFullError, WaitTimeoutError } from 'llmiter'
import { departures, EMPTY, fate, leftovers, rateLimited, rig } from '../helpers.ts'

const slow = () => rig({ requestsPerMinute: 60, burst: 1 })

test('higher priority first, first come first served among equals', async () => {
  const { clock, limiter } = slow()
  const order: string[] = []
  const go = (name: string, priority?: number) =>
    limiter.run(() => order.push(name), priority === undefined ? {} : { priority })
  const calls = [
    go('now'),
    go('job 1'),
    go('job 2'),
    go('chat 1', 1),
    go('chat 2', 1),
    go('idle', -1),
    go('boss', 2.5),
  ]
  await clock.runAll()
  await Promise.all(calls)
  expect(order).toEqual(['now', 'boss', 'chat 1', 'chat 2', 'job 1', 'job 2', 'idle'])
})

test('priority ages: under a flood of chats the job still gets its turns', async () => {
  const { clock, limiter } = slow()
  const order: string[] = []
  const calls = Array.from({ length: 10 }, () => limiter.run(() => order.push('job')))
  for (let i = 0; i < 100; i++) calls.push(limiter.run(() => order.push('chat'), { priority: 1 }))
  await clock.runAll()
  await Promise.all(calls)
  const jobs = order.flatMap((name, i) => (name === 'job' ? [i] : []))
  expect(jobs[1]! - jobs[0]!).toBe(17)
  expect(jobs[2]! - jobs[1]!).toBe(17)
})

test('tenants in fair turns: many calls of one tenant do not lengthen the wait of the others', async () => {
  const { clock, limiter } = slow()
  const order: string[] = []
  const calls = Array.from({ length: 20 }, () => limiter.run(() => order.push('a'), { tenant: 'a' }))
  for (const tenant of ['b', 'c'])
    for (let i = 0; i < 2; i++) calls.push(limiter.run(() => order.push(tenant), { tenant }))
  await clock.runAll()
  await Promise.all(calls)
  expect(order.slice(0, 8).filter((name) => name !== 'a')).toHaveLength(4)
  expect(order.slice(8)).toEqual(Array(16).fill('a'))
})

test('a tenant that returns after a pause has accumulated no turns', async () => {
  const { clock, limiter } = slow()
  const order: string[] = []
  const go = (tenant: string, calls: number) =>
    Promise.all(Array.from({ length: calls }, () => limiter.run(() => order.push(tenant), { tenant })))
  const a = go('a', 60)
  await clock.advance(30_500)
  const b = go('b', 20)
  await clock.runAll()
  await Promise.all([a, b])
  expect(order.slice(31, 51).filter((name) => name === 'b')).toHaveLength(10)
})

test('turns are measured by what they take: a tenant of large calls gets fewer of them', async () => {
  const { clock, limiter } = rig({ tokensPerMinute: 60_000, limits: [] })
  const order: string[] = []
  await limiter.run(() => {}, { cost: { tokens: 60_000 } })
  const go = (tenant: string, tokens: number, calls: number) =>
    Array.from({ length: calls }, () => limiter.run(() => order.push(tenant), { tenant, cost: { tokens } }))
  const calls = [...go('large', 1000, 20), ...go('small', 100, 200)]
  await clock.runAll()
  await Promise.all(calls)
  const half = order.slice(0, 110)
  expect(half.filter((name) => name === 'large').length).toBeGreaterThanOrEqual(9)
  expect(half.filter((name) => name === 'large').length).toBeLessThanOrEqual(11)
})

test('refused calls of a tenant go before its new ones, at no cost to other tenants', async () => {
  const { clock, limiter } = slow()
  const order: string[] = []
  let refusals = 0
  const calls = [
    limiter.run(() => (refusals++ === 0 ? Promise.reject(rateLimited(3000)) : order.push('a refused')), {
      tenant: 'a',
    }),
    limiter.run(() => order.push('a new'), { tenant: 'a' }),
    limiter.run(() => order.push('b new'), { tenant: 'b' }),
    limiter.run(() => order.push('b newer'), { tenant: 'b' }),
  ]
  await clock.runAll()
  await Promise.all(calls)
  expect(order.indexOf('a refused')).toBeLessThan(order.indexOf('a new'))
  expect(order.indexOf('b new')).toBeLessThan(order.indexOf('a new'))
})

test('maxWaitMs: an error that says so, in time, and the place in line is free', async () => {
  const { clock, limiter } = slow()
  const times = departures(limiter, clock)
  const calls = Array.from({ length: 5 }, () => fate(limiter.run(() => 'in', { maxWaitMs: 2500 })))
  await clock.advance(2499)
  expect(calls.map(({ now }) => now)).toEqual(['ok: in', 'ok: in', 'ok: in', 'pending', 'pending'])
  await clock.advance(1)
  expect(calls[3]!.error).toBeInstanceOf(WaitTimeoutError)
  expect(calls[3]!.error).toMatchObject({
    code: 'WAIT_TIMEOUT',
    message: expect.stringContaining('2500') as string,
  })
  await clock.runAll()
  expect(times).toHaveLength(3)
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
})

test('maxWaitMs 0: now or never', async () => {
  const { limiter } = slow()
  await expect(limiter.run(() => 'in', { maxWaitMs: 0 })).resolves.toBe('in')
  await expect(limiter.run(() => 'in', { maxWaitMs: 0 })).rejects.toThrow(WaitTimeoutError)
  await expect(limiter.acquire({ maxWaitMs: 0 })).rejects.toThrow(WaitTimeoutError)
})

test('maxWaitMs of a parked call names the refusal as the cause', async () => {
  const { clock, limiter } = rig({ maxWaitMs: '3s' })
  const last = rateLimited(10_000)
  const call = fate(limiter.run(() => Promise.reject(last)))
  await clock.advance(3000)
  expect(call.error).toBeInstanceOf(WaitTimeoutError)
  expect((call.error as Error).cause).toBe(last)
  await clock.runAll()
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
})

test('queue.max with reject: the newest is turned away', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 60, burst: 1, queue: { max: 2 } })
  const calls = ['a', 'b', 'c', 'd'].map((name) =>
    fate(limiter.run(() => name, { priority: name === 'd' ? 9 : 0 })),
  )
  await clock.runAll()
  expect(calls.map(({ now }) => now.slice(0, 5))).toEqual(['ok: a', 'ok: b', 'ok: c', 'error'])
  expect(calls[3]!.error).toBeInstanceOf(QueueFullError)
})

test('queue.max with evict-lowest: the newest of the lowest priority makes room', async () => {
  const { clock, limiter } = rig({
    requestsPerMinute: 60,
    burst: 1,
    queue: { max: 2, onFull: 'evict-lowest' },
  })
  const go = (name: string, priority: number) => fate(limiter.run(() => name, { priority }))
  const calls = [go('out', 0), go('low', 0), go('lower', -1), go('high', 1), go('equal', 0), go('higher', 2)]
  await clock.runAll()
  expect(calls.map(({ now }) => now.replace(/^error.*/, 'error'))).toEqual([
    'ok: out',
    'error',
    'error',
    'ok: high',
    'error',
    'ok: higher',
  ])
  for (const { error } of calls) if (error) expect(error).toBeInstanceOf(QueueFullError)
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
})

test('the refused are not evicted and find room even in a full queue', async () => {
  const { clock, limiter } = rig({
    requestsPerMinute: 600,
    burst: 2,
    queue: { max: 1, onFull: 'evict-lowest' },
  })
  let refusals = 0
  const go = () =>
    fate(
      limiter.run(() =>
        clock.sleep(10).then(() => (refusals++ < 2 ? Promise.reject(rateLimited(1000)) : 'in')),
      ),
    )
  const both = [go(), go()]
  await clock.advance(20)
  const urgent = fate(limiter.run(() => 'in', { priority: 9 }))
  await clock.runAll()
  expect(both.map(({ now }) => now)).toEqual(['ok: in', 'ok: in'])
  expect(urgent.error).toBeInstanceOf(QueueFullError)
})

test('queue.max 0: a call goes now or not at all, but a refused one may wait', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 60, burst: 2, queue: { max: 0 } })
  let sent = 0
  const refused = fate(limiter.run(() => (sent++ === 0 ? Promise.reject(rateLimited(1000)) : 'in')))
  await clock.advance(10)
  await expect(limiter.run(() => 'late')).rejects.toThrow(QueueFullError)
  await clock.runAll()
  expect(refused.now).toBe('ok: in')
})

test('stop: waiting calls are rejected with the reason, no other call goes, calls in flight finish', async () => {
  const { clock, limiter } = rig({ tokensPerMinute: 1000, limits: [] })
  const flying = fate(limiter.run(() => clock.sleep(100_000).then(() => 'landed'), { cost: { tokens: 600 } }))
  // The second would fit when the first leaves the queue.
  const waiting = [900, 1, 1].map((tokens) => fate(limiter.run(() => 'ran', { cost: { tokens } })))
  await clock.advance(40_000)
  const reason = new Error('the user has left')
  limiter.stop(reason)
  await clock.runAll()
  expect(flying.now).toBe('ok: landed')
  for (const { now, error } of waiting) {
    expect(now).toBe("error: 'test' was stopped")
    expect(error).toMatchObject({ code: 'LIMITER_STOPPED', cause: reason })
  }
  await expect(limiter.run(() => 'ran')).rejects.toThrow(LimiterStoppedError)
  expect(limiter.tryAcquire()).toBeUndefined()
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
})

test('stop while parked, backing off or in flight with a refusal to come', async () => {
  const { clock, limiter } = rig({ retry: { attempts: 5 } })
  const late = fate(limiter.run(() => clock.sleep(1000).then(() => Promise.reject(rateLimited()))))
  const backing = fate(limiter.run(() => Promise.reject(Object.assign(new Error('broken'), { status: 500 }))))
  const parked = fate(limiter.run(() => Promise.reject(rateLimited(60_000))))
  await clock.advance(10)
  limiter.stop()
  await clock.runAll()
  for (const { error } of [late, backing, parked]) expect(error).toBeInstanceOf(LimiterStoppedError)
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
})
