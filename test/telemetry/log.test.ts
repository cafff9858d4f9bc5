// The log of a limiter, second by second. In virtual time, with real files.

import { existsSync, readdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { expect, test } from 'vitest'
import { BucketRateLimiter, perModel } from 'llmiter'
import { logTo } from 'llmiter/log'
import { deferred, fate, outOfQuota, rateLimited, refusal, rig, steadyClock } from '../helpers.ts'
import { recordsIn } from '../support/records.ts'
import { tempDir } from '../support/temp.ts'

test('a line for each second in which something happened, and none for the others', async () => {
  const dir = join(tempDir(), 'made', 'when missing')
  const { clock, limiter } = rig({ requestsPerMinute: 60, burst: 1 })
  logTo(limiter, { dir })
  await clock.advance(5500)
  expect([existsSync(dir), clock.pendingTimers]).toEqual([false, 0])

  for (let i = 0; i < 3; i++) fate(limiter.run(() => clock.sleep(100)))
  await clock.advance(60_000)
  const limits = [{ of: 'requests', perMs: 60_000, amount: 60, available: 0, asked: 1 }]
  const levels = { parked: 0, refused: 0, failed: 0, rejected: 0, gate: 'open', rate: 60, limit: 60, limits }
  const held = (etaMs: number) => ({
    why: { kind: 'limit', text: 'requests (60 a minute)', of: 'requests', perMs: 60_000, amount: 60 },
    etaMs: expect.closeTo(etaMs, -2) as number,
  })
  expect(recordsIn(dir)).toEqual([
    {
      ...{ v: 1, t: 5, name: 'test', requests: 3, issued: 1, finished: 1, waiting: 2, inFlight: 0 },
      ...{ ...levels, ...held(1500), waitMs: { p50: 0, p95: 0 } },
    },
    {
      ...{ v: 1, t: 6, name: 'test', requests: 0, issued: 1, finished: 1, waiting: 1, inFlight: 0 },
      ...{
        ...levels,
        ...held(500),
        waitMs: { p50: expect.closeTo(1000, -2), p95: expect.closeTo(1000, -2) },
      },
    },
    {
      ...{ v: 1, t: 7, name: 'test', requests: 0, issued: 1, finished: 1, waiting: 0, inFlight: 0 },
      ...{ ...levels, waitMs: { p50: expect.closeTo(2000, -3), p95: expect.closeTo(2000, -3) } },
    },
  ])
  expect(clock.pendingTimers).toBe(0)
})

/** The time of each record, and its counts of calls. */
const countsIn = (dir: string) =>
  recordsIn(dir).map(({ t, requests, issued, finished, inFlight }) => [
    t,
    requests,
    issued,
    finished,
    inFlight,
  ])

test('it goes on after a rest, and a ticket in hand keeps it awake', async () => {
  const dir = tempDir()
  const { clock, limiter } = rig({ requestsPerMinute: 600 })
  logTo(limiter, { dir })
  await limiter.run(() => 1)
  await clock.advance(10_000)
  const ticket = limiter.tryAcquire()
  await clock.advance(2500)
  ticket?.finish()
  await clock.advance(10_000)
  expect(countsIn(dir)).toEqual([
    [0, 1, 1, 1, 0],
    [10, 1, 1, 0, 1],
    [11, 0, 0, 0, 1],
    [12, 0, 0, 1, 0],
  ])
})

test("it notices an SDK's own retry, which gets a ticket without asking as another call", async () => {
  const dir = tempDir()
  const { clock, limiter } = rig({ requestsPerMinute: 600 })
  logTo(limiter, { dir })
  const ticket = await limiter.acquire()
  ticket.fail(refusal(500))
  await clock.advance(8000)
  const again = await ticket.again()
  await clock.advance(1500)
  again.finish()
  await clock.runAll()
  expect(countsIn(dir)).toEqual([
    [0, 1, 1, 0, 0],
    [8, 0, 1, 0, 1],
    [9, 0, 0, 1, 0],
  ])
})

test('what a call can meet is told apart: refused, failed, turned away', async () => {
  const dir = tempDir()
  const { clock, limiter } = rig({ requestsPerMinute: 6000, tokensPerMinute: 60_000, queue: { max: 2 } })
  logTo(limiter, { dir })
  let tries = 0
  fate(
    limiter.run(() => (tries++ === 0 ? Promise.reject(rateLimited(1500)) : 'in'), { cost: { tokens: 100 } }),
  )
  await clock.advance(100)
  fate(limiter.run(() => 1, { cost: { tokens: 1 } }))
  fate(limiter.run(() => 1, { cost: { tokens: 1e9 } }))
  await clock.advance(5000)
  fate(limiter.run(() => Promise.reject(new Error('mine')), { cost: { tokens: 7 } }))
  await clock.advance(1000)
  fate(limiter.run(() => Promise.reject(outOfQuota()), { cost: { tokens: 1 } }))
  await clock.advance(1000)
  const told = recordsIn(dir).map(({ waitMs: _, rate: _rate, limit: _limit, tokens, ...record }) => ({
    ...record,
    asked: tokens?.asked,
    used: tokens?.used,
  }))
  const none = { v: 1, name: 'test', refused: 0, finished: 0, failed: 0, rejected: 0, waiting: 0, parked: 0 }
  const still = { ...none, inFlight: 0, gate: 'open', requests: 0, issued: 0, asked: 0, used: 0 }
  expect(told).toMatchObject([
    {
      ...still,
      t: 0,
      requests: 3,
      issued: 1,
      refused: 1,
      rejected: 1,
      rejection: 'REQUEST_TOO_LARGE',
      waiting: 2,
      parked: 1,
      gate: 'closed',
      asked: 100,
    },
    { ...still, t: 1, issued: 2, finished: 2, asked: 101, used: 101 },
    { ...still, t: 5, requests: 1, issued: 1, failed: 1, asked: 7, used: 7 },
    { ...still, t: 6, requests: 1, issued: 1, refused: 1, failed: 1, asked: 1, gate: 'closed' },
  ])
})

test('the models of a service share one file, those made later too', async () => {
  const dir = tempDir()
  const clock = steadyClock()
  const models = perModel(
    { 'gpt-5': { requestsPerMinute: 60, clock }, default: { requestsPerMinute: 60, clock } },
    { name: 'openai' },
  )
  const log = logTo(models, { dir })
  await models.limiterFor('gpt-5').run(() => 1)
  await models.limiterFor('o9').run(() => 1)
  await clock.advance(3000)
  expect(recordsIn(dir).map(({ name, issued }) => [name, issued])).toEqual([
    ['gpt-5', 1],
    ['o9', 1],
  ])
  expect(readdirSync(dir)).toEqual([
    expect.stringMatching(/^20260101T000000000Z-openai-[0-9a-f]{8}\.0001\.jsonl$/),
  ])
  log.stop()
  await models.limiterFor('later').run(() => 1)
  await clock.advance(3000)
  expect([recordsIn(dir).length, clock.pendingTimers]).toEqual([2, 0])
})

test('drain and stop leave nothing unwritten', async () => {
  const dir = tempDir()
  const { clock, limiter } = rig({ requestsPerMinute: 60, burst: 1 })
  const log = logTo(limiter, { dir })
  const answer = deferred()
  fate(limiter.run(() => answer.promise))
  const drained = limiter.drain().then(() => recordsIn(dir).map(({ issued, finished }) => [issued, finished]))
  answer.resolve(1)
  expect(await drained).toEqual([[1, 1]])

  fate(limiter.run(() => 1))
  limiter.stop()
  expect(recordsIn(dir).at(-1)).toMatchObject({ requests: 1, rejected: 1, waiting: 0 })
  await clock.advance(2000)
  fate(limiter.run(() => 1))
  log.flush()
  expect(recordsIn(dir).at(-1)).toMatchObject({ t: 2, requests: 1, rejected: 1 })
  expect(recordsIn(dir).length).toBe(3)
})

test('`using` ends it with its scope, and its file is known from the start', async () => {
  const dir = tempDir()
  const names: string[] = []
  const { clock, limiter } = rig({ requestsPerMinute: 60 })
  {
    using log = logTo(limiter, { dir, name: 'a/b c' })
    const { file } = log
    expect(existsSync(file)).toBe(false)
    await limiter.run(() => 1)
    expect(log.file).toBe(file)
    names.push(basename(file))
  }
  expect(readdirSync(dir)).toEqual(names)
  expect(names).toEqual([expect.stringMatching(/^20260101T000000000Z-a_b_c-/)])
  expect(clock.pendingTimers).toBe(0)
})

test('a clock without a wall time is told, and no call notices', async () => {
  const dir = tempDir()
  const clock = Object.assign(steadyClock(), { wall: () => NaN })
  const limiter = new BucketRateLimiter({ name: 'odd', requestsPerMinute: 600, clock })
  const errors: string[] = []
  limiter.on('error', ({ error }) => errors.push(String(error)))
  logTo(limiter, { dir })
  expect(await Promise.all([limiter.run(() => 1), limiter.run(() => 2)])).toEqual([1, 2])
  expect(errors).toEqual(['TypeError: wall() of the clock must be a time in epoch ms, got NaN'])
  expect(clock.pendingTimers).toBe(0)
})

test('somebody sets the wall clock back: seconds may come twice, and none is lost', async () => {
  const dir = tempDir()
  const { clock, limiter } = rig({ requestsPerMinute: 60, burst: 1 })
  logTo(limiter, { dir })
  for (let i = 0; i < 6; i++) fate(limiter.run(() => 1))
  await clock.advance(2500)
  clock.shiftWall(-3_600_000)
  await clock.advance(20_000)
  expect(recordsIn(dir).reduce((sum, { issued }) => sum + issued, 0)).toBe(6)
})

test('options that cannot be are told at once', () => {
  const { limiter } = rig({ requestsPerMinute: 60 })
  const log =
    (options: object, of: unknown = limiter) =>
    () =>
      logTo(of as typeof limiter, options)
  expect(log({ folder: 'x' })).toThrow(
    "logTo has no option 'folder' (did you mean 'dir'?); known: dir, maxBytes, maxAgeMs, keep, name",
  )
  expect(log({ keep: 0 })).toThrow('keep must be a whole number of at least 1, got 0')
  expect(log({ maxAgeMs: 'soon' })).toThrow(
    "maxAgeMs must be a time above 0 (ms or like '1m'), got the string 'soon'",
  )
  expect(log({ maxAgeMs: '1d', keep: undefined })).not.toThrow()
  expect(log({ dir: '' })).toThrow("dir must be a non-empty string, got ''")
  expect(log({}, {})).toThrow(
    'logTo takes a BucketRateLimiter, or a service made by perModel or shared; got {}',
  )
  expect(log({}, null)).toThrow('got null')
})
