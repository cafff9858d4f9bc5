// Calls wait in the queue of a pool, and the figures and the logs of its limiters say so: how many, how long, until
// when.

import { explain, type BucketRateLimiter } from 'llmiter'
import { logTo } from 'llmiter/log'
import { createPool } from 'llmiter/pool'
import { describe, expect, test } from 'vitest'
import { fate, rateLimited, rig, steadyClock } from '../helpers.ts'
import { recordsIn } from '../support/records.ts'
import { tempDir } from '../support/temp.ts'
import { fails, poolOf } from './rig.ts'

/** One call every three seconds. */
const SLOW = { requestsPerMinute: 20, burst: 1 }

const waitsOf = (limiter: BucketRateLimiter) => {
  const waits: number[] = []
  limiter.on('issue', ({ waitedMs }) => waits.push(Math.round(waitedMs / 100) / 10))
  return waits
}

describe('five clients at a slow limit', () => {
  test('all that wait are told, and each for as long as it waited', async () => {
    const { pool, clock, targets, ask } = poolOf({ a: SLOW })
    const { limiter } = targets[0]!
    const [waits, left, started] = [waitsOf(limiter), [] as number[], [] as number[]]
    let asked = 0
    limiter.on('request', () => asked++)
    limiter.on('issue', ({ waiting }) => left.push(waiting))
    limiter.on('start', ({ waitedMs }) => started.push(Math.round(waitedMs / 100) / 10))
    for (let i = 0; i < 5; i++) fate(pool.run(ask()))
    expect(limiter.stats()).toMatchObject({ waiting: 4, inPools: 4, requests: 1 })
    expect(pool.stats().waiting).toBe(4)
    await clock.advance(6500)
    expect(limiter.stats()).toMatchObject({ waiting: 2, inPools: 2 })
    await clock.runAll()
    expect(asked).toBe(5)
    expect(waits).toEqual([0, 3, 6, 9, 12])
    expect(started).toEqual(waits)
    expect(left).toEqual([0, 3, 2, 1, 0])
    const { waiting, inPools, requests, issued, waitMs } = limiter.stats()
    expect({ waiting, inPools, requests, issued }).toEqual({ waiting: 0, requests: 5, issued: 5 })
    expect(waitMs.p50).toBeGreaterThanOrEqual(5500)
    expect(waitMs.p95).toBeGreaterThanOrEqual(11_000)
  })

  test('the log says how many wait, and when the last of them goes', async () => {
    const dir = tempDir()
    const { pool, clock, targets, ask } = poolOf({ a: SLOW })
    logTo(targets[0]!.limiter, { dir })
    for (let i = 0; i < 5; i++) fate(pool.run(ask()))
    await clock.runAll()
    const records = recordsIn(dir)
    expect(records.map(({ waiting }) => waiting)).toEqual([4, 4, 4, 3, 3, 3, 2, 2, 2, 1, 1, 1, 0])
    expect(records[0]).toMatchObject({ inPools: 4, etaMs: expect.closeTo(11_000, -2) as number })
    expect(records[3]).toMatchObject({ inPools: 3, etaMs: expect.closeTo(8000, -2) as number })
    expect(records[12]!.waitMs!.p95).toBeGreaterThanOrEqual(11_000)
  })

  test('explain counts them, too', () => {
    const { pool, targets, ask } = poolOf({ a: SLOW })
    for (let i = 0; i < 5; i++) fate(pool.run(ask()))
    expect(explain(targets[0]!.limiter).text).toMatch(
      /^4 calls wait for requests \(20 a minute\); about 12 s/,
    )
  })
})

test('a log that rests wakes up when a call begins to wait', async () => {
  const dir = tempDir()
  const { pool, clock, targets, ask } = poolOf({ a: { requestsPerMinute: 6, burst: 1 } })
  logTo(targets[0]!.limiter, { dir })
  await pool.run(ask())
  await clock.advance(5500)
  fate(pool.run(ask()))
  await clock.runAll()
  expect(recordsIn(dir).map(({ t, waiting, issued }) => [t, waiting, issued])).toEqual([
    [0, 0, 1],
    ...[5, 6, 7, 8, 9].map((t) => [t, 1, 0]),
    [10, 0, 1],
  ])
})

test('calls of a pool and calls past it are counted together', async () => {
  const { clock, limiter } = rig(SLOW)
  const pool = createPool({ targets: [{ name: 'a', limiter }] })
  const waits = waitsOf(limiter)
  fate(limiter.run(() => 'first'))
  for (let i = 0; i < 2; i++) fate(pool.run(() => 'pooled'))
  for (let i = 0; i < 2; i++) fate(limiter.run(() => 'direct'))
  expect(limiter.stats()).toMatchObject({ waiting: 4, inPools: 2 })
  await clock.runAll()
  // The pool has one place in the queue of the limiter, and its second call takes the next one behind those there.
  expect(waits).toEqual([0, 3, 6, 9, 12])
  expect(limiter.stats()).toMatchObject({ waiting: 0, requests: 5, issued: 5 })
  fate(limiter.run(() => 'direct'))
  expect(limiter.stats()).not.toHaveProperty('inPools')
})

test('a call that waits for several targets is counted at one of them, by their rates', async () => {
  const { pool, clock, targets, ask } = poolOf({
    fast: { requestsPerMinute: 60, burst: 1 },
    slow: { requestsPerMinute: 20, burst: 1 },
  })
  const waiting = () => targets.map(({ limiter }) => limiter.stats().waiting)
  for (let i = 0; i < 14; i++) fate(pool.run(ask()))
  expect(waiting()).toEqual([9, 3])
  while (pool.stats().waiting > 0) {
    const [fast, slow] = waiting()
    expect(fast! + slow!).toBe(pool.stats().waiting)
    await clock.advance(500)
  }
  expect(waiting()).toEqual([0, 0])
})

test('the account above the limiters counts each call once', async () => {
  const clock = steadyClock()
  const { limiter: account } = rig(SLOW, clock)
  const { pool, ask } = poolOf(
    { a: { parent: account, clock: undefined }, b: { parent: account, clock: undefined } },
    {},
    clock,
  )
  for (let i = 0; i < 5; i++) fate(pool.run(ask()))
  expect(account.stats().waiting).toBe(4)
  await clock.runAll()
  expect(account.stats()).toMatchObject({ waiting: 0, inFlight: 0 })
})

describe('the wait for a ticket', () => {
  test('begins anew after a refusal', async () => {
    const { pool, clock, targets } = poolOf({ a: { limits: [] } })
    const waits = waitsOf(targets[0]!.limiter)
    let tries = 0
    const answer = pool.run(async () => {
      await clock.sleep(2000)
      if (tries++ === 0) throw rateLimited(5000)
      return 'at last'
    })
    await clock.runAll()
    expect(await answer).toBe('at last')
    expect(waits).toEqual([0, 5])
  })

  test('includes the time before other targets were allowed', async () => {
    const { pool, clock, targets, ask } = poolOf(
      { a: { maxConcurrent: 1 }, spare: { tier: 2 } },
      { waitUpTo: '4s' },
    )
    const waits = waitsOf(targets[1]!.limiter)
    fate(pool.run(ask(60_000)))
    fate(pool.run(ask()))
    await clock.runAll()
    expect(waits).toEqual([4])
  })

  test('counts while the target is put aside, and ends with those who leave', async () => {
    const dir = tempDir()
    const { pool, clock, targets, ask } = poolOf(
      { a: { limits: [] } },
      { breaker: { failures: 1, openMs: 5500 } },
    )
    const { limiter } = targets[0]!
    logTo(limiter, { dir })
    const waits = waitsOf(limiter)
    fate(pool.run(ask(0, { a: fails(500) })))
    await clock.advance(0)
    const leave = new AbortController()
    fate(pool.run(ask()))
    const gone = fate(pool.run(ask(), { signal: leave.signal }))
    expect(limiter.stats()).toMatchObject({ waiting: 2, inPools: 2 })
    await clock.advance(1500)
    leave.abort(new Error('no more'))
    await clock.advance(0)
    expect(gone.now).toBe('error: no more')
    expect(limiter.stats()).toMatchObject({ waiting: 1, inPools: 1 })
    await clock.runAll()
    expect(waits).toEqual([0, 5.5])
    expect(recordsIn(dir).map(({ waiting }) => waiting)).toEqual([2, 1, 1, 1, 1, 0])
    expect(limiter.stats()).not.toHaveProperty('inPools')
    expect(clock.pendingTimers).toBe(0)
  })
})
