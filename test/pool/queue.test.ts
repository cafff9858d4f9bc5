// One queue in front of several limiters: which call goes, and to which target.

import { describe, expect, test } from 'vitest'
import { deferred, fate, rateLimited } from '../helpers.ts'
import { fails, poolOf } from './rig.ts'

const MINUTE = 60_000

describe('one queue', () => {
  test('two equal keys halve the makespan', async () => {
    const makespan = async (keys: string[]) => {
      const limits = Object.fromEntries(keys.map((key) => [key, { requestsPerMinute: 60 }]))
      const { pool, clock, ask, log } = poolOf(limits)
      const all = Promise.all(Array.from({ length: 240 }, () => pool.run(ask())))
      await clock.runAll()
      await all
      expect(log).toHaveLength(240)
      return log.at(-1)!.at
    }
    const one = await makespan(['a'])
    const two = await makespan(['a', 'b'])
    expect(two / one).toBeGreaterThan(0.45)
    expect(two / one).toBeLessThan(0.55)
  })

  test('unequal keys give what they have: 1.05 of the optimum', async () => {
    const { pool, clock, ask, log, counts } = poolOf({
      big: { requestsPerMinute: 300 },
      small: { requestsPerMinute: 60 },
    })
    void Promise.all(Array.from({ length: 1080 }, () => pool.run(ask())))
    await clock.runAll()
    // 360 a minute: the last of 1080 goes when 1079 have gone.
    expect(log.at(-1)!.at).toBeLessThanOrEqual(1.05 * 3 * MINUTE)
    expect(counts().big! / counts().small!).toBeGreaterThan(4.5)
  })

  test('limits of three kinds are each kept', async () => {
    const { pool, clock, ask, log, counts, targets } = poolOf({
      requests: { requestsPerMinute: 60 },
      tokens: { tokensPerMinute: 10_000 },
      slots: { maxConcurrent: 2 },
    })
    let most = 0
    const work = ask(5000)
    const all = Promise.all(
      Array.from({ length: 200 }, () =>
        pool.run(
          (target) => {
            const slots = targets[2]!.limiter.stats().inFlight
            most = Math.max(most, slots)
            return work(target)
          },
          { cost: { tokens: 500 } },
        ),
      ),
    )
    await clock.runAll()
    await all
    const inAnyMinute = (target: string) => {
      const times = log.filter((entry) => entry.target === target).map(({ at }) => at)
      return Math.max(
        ...times.map((at) => times.filter((other) => other >= at && other < at + MINUTE).length),
      )
    }
    expect(inAnyMinute('requests')).toBeLessThanOrEqual(60)
    expect(inAnyMinute('tokens')).toBeLessThanOrEqual(20)
    expect(most).toBe(2)
    expect(Object.keys(counts()).sort()).toEqual(['requests', 'slots', 'tokens'])
  })

  test('higher priorities first, then tenants in turns, then first come first served', async () => {
    const { pool, clock } = poolOf({ a: { maxConcurrent: 1 } })
    const order: string[] = []
    const call = (name: string, options = {}) =>
      void pool.run(async () => {
        order.push(name)
        await new Promise<void>((resolve) => clock.setTimer(resolve, 10))
      }, options)
    call('now')
    call('x1', { tenant: 'x' })
    call('x2', { tenant: 'x' })
    call('y1', { tenant: 'y' })
    call('urgent', { priority: 1 })
    await clock.runAll()
    expect(order).toEqual(['now', 'urgent', 'x1', 'y1', 'x2'])
  })

  test('a refused call goes to the other key, and the closed gate holds no other call', async () => {
    const { pool, clock, ask, log } = poolOf({ a: {}, b: {} })
    let first = true
    const answers = {
      a: () => {
        if (first) {
          first = false
          throw rateLimited(30_000)
        }
        return 'a'
      },
    }
    const results = Array.from({ length: 5 }, () => pool.run(ask(0, answers)))
    await clock.advance(0)
    expect(log.filter(({ at }) => at === 0).length).toBeGreaterThanOrEqual(5)
    await clock.runAll()
    expect(await Promise.all(results)).toEqual(expect.arrayContaining(['b']))
    expect(log.at(-1)!.at).toBe(0)
  })

  test('a refused call keeps its place before those that came later', async () => {
    const { pool, clock } = poolOf({ a: { maxConcurrent: 1 } })
    const order: number[] = []
    let refusals = 0
    const all = Promise.all(
      [0, 1, 2].map((i) =>
        pool.run(() => {
          order.push(i)
          if (i === 0 && refusals++ < 2) throw rateLimited(1000)
          return i
        }),
      ),
    )
    await clock.runAll()
    expect(await all).toEqual([0, 1, 2])
    expect(order).toEqual([0, 0, 0, 1, 2])
  })

  test('a key that is alone is not put aside for a 429', async () => {
    const { pool, clock, ask, stateOf } = poolOf({ a: {} })
    let left = 3
    const answer = pool.run(
      ask(0, {
        a: () => {
          if (left-- > 0) throw rateLimited(2000)
          return 'at last'
        },
      }),
    )
    await clock.advance(0)
    expect(stateOf('a').state).toBe('gated')
    await clock.runAll()
    expect(await answer).toBe('at last')
    expect(stateOf('a')).toEqual({ state: 'ready' })
  })

  test('a call that is given up holds nothing of any target', async () => {
    const { pool, clock, targets, ask } = poolOf({ a: { maxConcurrent: 1 }, b: { maxConcurrent: 1 } })
    const [one, two] = [deferred(), deferred()]
    void pool.run(() => one.promise)
    void pool.run(() => two.promise)
    const leave = new AbortController()
    const gone = fate(pool.run(ask(), { signal: leave.signal }))
    const stays = fate(pool.run(ask()))
    await clock.advance(0)
    expect(targets.map(({ limiter }) => limiter.stats().waiting)).toEqual([1, 1])
    leave.abort(new Error('no more'))
    await clock.advance(0)
    expect(gone.now).toBe('error: no more')
    two.resolve('done')
    await clock.runAll()
    expect(stays.now).toBe('ok: b')
    one.resolve('done')
    await clock.runAll()
    for (const { limiter } of targets) {
      const { waiting, inFlight, requests, rejected } = limiter.stats()
      expect({ waiting, inFlight, rejected }).toEqual({ waiting: 0, inFlight: 0, rejected: 0 })
      expect(requests).toBe(limiter.stats().issued)
    }
    expect(clock.pendingTimers).toBe(0)
  })

  test('maxWaitMs ends the wait, with no timer left', async () => {
    const { pool, clock, ask } = poolOf({ a: { limits: [{ of: 'requests', amount: 1, per: '1h' }] } })
    void pool.run(ask())
    const late = fate(pool.run(ask(), { maxWaitMs: '2s' }))
    const never = fate(pool.run(ask(), { maxWaitMs: 0 }))
    await clock.advance(1999)
    expect(never.now).toMatch(/^error: no target had room/)
    expect(late.now).toBe('pending')
    await clock.advance(1)
    expect(late.now).toMatch(/maxWaitMs/)
    expect(clock.pendingTimers).toBe(0)
  })

  test('a call that one target can never hold goes to another; one that none can is told why', async () => {
    const { pool, clock, ask } = poolOf({ small: { tokensPerMinute: 100 }, big: { tokensPerMinute: 10_000 } })
    const fits = fate(pool.run(ask(), { cost: { tokens: 5000 } }))
    const never = fate(pool.run(ask(), { cost: { tokens: 50_000 } }))
    await clock.runAll()
    expect(fits.now).toBe('ok: big')
    expect(never.now).toBe('error: no target can answer the call: small (too small), big (too small)')
    expect(never.error).toMatchObject({ code: 'NO_TARGET', cause: { code: 'REQUEST_TOO_LARGE' } })
  })

  test('stop() turns away those who wait', async () => {
    const { pool, clock, ask } = poolOf({ a: { maxConcurrent: 1 } })
    const flying = fate(pool.run(ask(100)))
    const waiting = fate(pool.run(ask()))
    pool.stop()
    await clock.runAll()
    expect(flying.now).toBe('ok: a')
    expect(waiting.error).toMatchObject({ code: 'LIMITER_STOPPED' })
    await expect(pool.run(ask())).rejects.toMatchObject({ code: 'LIMITER_STOPPED' })
  })

  test('an error of the caller is the caller’s', async () => {
    const { pool, ask, log } = poolOf({ a: {}, b: {} })
    const { clock } = poolOf({ a: {} })
    const mine = fate(pool.run(ask(0, { a: fails(400), b: fails(400) })))
    await clock.advance(0)
    await Promise.resolve()
    expect(mine.now).toBe('error: HTTP 400')
    expect(log).toHaveLength(1)
  })
})

test('the pool counts the calls that it rejects, and no limiter does; a failed call and wrong options are none', async () => {
  const { pool, clock, targets, ask } = poolOf(
    { a: { maxConcurrent: 1 }, b: { maxConcurrent: 1 } },
    {
      budget: { requests: 2, per: 'day' },
      strategy: { conditional: [{ when: ({ tenant }) => tenant !== 'nobody', use: 'a' }] },
    },
  )
  const leave = new AbortController()
  const story: [string, () => Promise<unknown>, rejected: number][] = [
    ['pending', () => pool.run(ask(60_000)), 0],
    ['error: gone', () => pool.run(ask(), { signal: leave.signal }), 1],
    ['error: no target had room', () => pool.run(ask(), { maxWaitMs: 2000 }), 1],
    ['error: the strategy allows no target', () => pool.run(ask(), { tenant: 'nobody' }), 1],
    ['error: maxWaitMs must be', () => pool.run(ask(), { maxWaitMs: -1 }), 0],
    ['error: HTTP 400', () => pool.run(ask(0, { b: fails(400) }), { target: 'b' }), 0],
    ['error: HTTP 500', () => pool.run(ask(0, { b: fails(500) }), { target: 'b' }), 0],
    ['ok: b', () => pool.run(ask(), { target: 'b' }), 0],
    ['error: budget', () => pool.run(ask(), { target: 'b' }), 1],
  ]
  for (const [end, run, rejected] of story) {
    const before = pool.stats().rejected
    const call = fate(run())
    await clock.advance(2000)
    leave.abort(new Error('gone'))
    await clock.advance(0)
    expect(call.now).toContain(end)
    expect(pool.stats().rejected - before).toBe(rejected)
  }
  pool.stop()
  fate(pool.run(ask()))
  await clock.advance(0)
  expect(pool.stats()).toMatchObject({ waiting: 0, rejected: 5 })
  for (const { limiter } of targets) expect(limiter.stats().rejected).toBe(0)
})
