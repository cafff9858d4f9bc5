// Faults reported for routers and key pools, one test for each.

import { describe, expect, test } from 'vitest'
import { BucketRateLimiter } from 'llmiter'
import { createPool, type PoolCall, type Strategy } from 'llmiter/pool'
import { memoryStore } from 'llmiter/testing'
import { EMPTY, fate, leave, leftovers, outOfQuota, rateLimited, steadyClock } from '../helpers.ts'
import { fails, poolOf } from './rig.ts'

const MINUTE = 60_000

describe('a cooldown', () => {
  test('is kept when a call sent before it is answered', async () => {
    const { pool, clock, ask, stateOf } = poolOf({ a: {}, b: { tier: 2 } })
    const long = fate(pool.run(ask(30_000), { target: 'a' }))
    await clock.advance(1000)
    expect(await pool.run(ask(0, { a: fails(401) }))).toBe('b')
    await clock.advance(29_000)
    expect(long.now).toBe('ok: a')
    expect(stateOf('a').state).toBe('dead')
    await clock.advance(10 * MINUTE)
    expect(await pool.run(ask(0, { a: fails(401) }))).toBe('b')
    expect(stateOf('a')).toMatchObject({ until: clock.wall() + 20 * MINUTE })
  })

  test('of a quota is not forgotten either', async () => {
    const { pool, clock, ask, stateOf } = poolOf({ a: {}, b: { tier: 2 } })
    void pool.run(ask(10_000), { target: 'a' })
    await clock.advance(1000)
    const answers = {
      a: () => {
        throw outOfQuota()
      },
    }
    expect(await pool.run(ask(0, answers))).toBe('b')
    await clock.advance(9000)
    expect(stateOf('a').state).toBe('spent')
  })

  test('is not made longer by calls that were sent before it', async () => {
    const { pool, clock, ask, stateOf } = poolOf({ a: {}, b: { tier: 2 } })
    void pool.run(ask(10 * MINUTE + 1000, { a: fails(401) }), { target: 'a' }).catch(() => {})
    await clock.advance(1)
    expect(await pool.run(ask(0, { a: fails(401) }))).toBe('b')
    await clock.advance(10 * MINUTE)
    // The trial is in flight when the old call returns.
    const trial = fate(pool.run(ask(5000)))
    const other = fate(pool.run(ask(2000)))
    await clock.advance(2000)
    expect(other.now).toBe('ok: b')
    expect(stateOf('a').state).toBe('probing')
    await clock.advance(3000)
    expect(trial.now).toBe('ok: a')
    expect(stateOf('a')).toEqual({ state: 'ready' })
  })
})

describe('a key that recovers', () => {
  test('is found by another call if the trial call hangs: after an outage', async () => {
    const breaker = { minCalls: 2, openMs: '30s' } as const
    const { pool, clock, ask, log } = poolOf({ a: {} }, { breaker })
    for (let i = 0; i < 2; i++) await pool.run(ask(0, { a: fails(500) })).catch(() => {})
    await clock.advance(30_000)
    const never = new AbortController()
    const hangs = fate(pool.run(() => new Promise(() => {}), { signal: never.signal }))
    await clock.advance(0)
    const next = fate(pool.run(ask()))
    await clock.advance(29_000)
    expect(log).toHaveLength(2)
    await clock.advance(1000)
    expect([hangs.now, next.now]).toEqual(['pending', 'ok: a'])
    never.abort()
    await clock.runAll()
  })

  test('and after a wrong key', async () => {
    const { pool, clock, ask, stateOf } = poolOf({ a: {}, b: { tier: 2 } })
    expect(await pool.run(ask(0, { a: fails(401) }))).toBe('b')
    await clock.advance(10 * MINUTE)
    const never = new AbortController()
    const hangs = fate(pool.run(() => new Promise(() => {}), { signal: never.signal }))
    await clock.advance(0)
    expect(await pool.run(ask())).toBe('b')
    await clock.advance(MINUTE)
    expect(await pool.run(ask())).toBe('a')
    expect(stateOf('a')).toEqual({ state: 'ready' })
    expect(hangs.now).toBe('pending')
    never.abort()
    await clock.runAll()
  })

  test('a restart in the middle of half-open begins with one call again', async () => {
    const breaker = { minCalls: 2, openMs: '30s' } as const
    const one = poolOf({ a: {} }, { breaker })
    for (let i = 0; i < 2; i++) await one.pool.run(one.ask(0, { a: fails(500) })).catch(() => {})
    await one.clock.advance(30_000)
    void one.pool.run(one.ask(1000)).catch(() => {})
    await one.clock.advance(0)
    const two = poolOf({ a: {} }, { breaker })
    two.pool.restore(JSON.parse(JSON.stringify(one.pool.snapshot())) as never)
    const all = Promise.all(Array.from({ length: 7 }, () => two.pool.run(two.ask(1000))))
    await two.clock.runAll()
    await all
    expect(two.log.map(({ at }) => at / 1000)).toEqual([0, 1, 1, 2, 2, 2, 2])
    await one.clock.runAll()
  })
})

describe('a waiter', () => {
  test('that leaves when it has its ticket in hand gives it back, with what was reserved', async () => {
    const { pool, clock, ask, log, targets } = poolOf(
      { a: { maxConcurrent: 1 } },
      { budget: { requests: 10, per: 'day' } },
    )
    const gone = new AbortController()
    const first = fate(pool.run(ask(100)))
    const left = fate(pool.run(ask(), { signal: gone.signal }))
    await clock.advance(0)
    targets[0]!.limiter.on('issue', () => gone.abort(new Error('left')))
    await clock.advance(100)
    expect([first.now, left.now, log.length]).toEqual(['ok: a', 'error: left', 1])
    expect(leftovers(targets[0]!.limiter, clock)).toEqual(EMPTY)
    expect(pool.stats().targets[0]!.inFlight).toBe(0)
    expect(pool.stats().budgets[0]!.amounts[0]).toMatchObject({ used: 1, reserved: 0 })
    expect(await pool.run(ask())).toBe('a')
  })
})

describe('a limit', () => {
  test('that a pool shares with other callers of its limiter is not counted twice', async () => {
    const clock = steadyClock()
    const limiter = new BucketRateLimiter({ limits: [], maxConcurrent: 2, clock, ramp: false })
    const pools = [1, 2].map(() => createPool({ targets: [{ name: 'a', limiter }] }))
    let [now, most, done] = [0, 0, 0]
    const work = async () => {
      most = Math.max(most, ++now)
      await new Promise<void>((resolve) => clock.setTimer(resolve, 100))
      now--
      done++
    }
    for (let i = 0; i < 10; i++) {
      for (const pool of pools) void pool.run(work)
      void limiter.run(work)
    }
    await clock.runAll()
    expect([most, done]).toEqual([2, 30])
  })

  test('is not multiplied by the processes that share it', async () => {
    const clock = steadyClock()
    const store = memoryStore()
    const times: Record<string, number[]> = { first: [], second: [] }
    for (let process = 0; process < 4; process++) {
      const target = (name: string) => {
        const limits = { requestsPerMinute: 60, clock, ramp: false as const }
        return { name, limiter: new BucketRateLimiter({ name, store, ...limits }) }
      }
      const pool = createPool({ targets: [target('first'), target('second')] })
      for (let i = 0; i < 100; i++)
        void pool.run(({ name }) => times[name]!.push(clock.now())).catch(() => {})
    }
    await clock.advanceTo(5 * MINUTE)
    expect([...times.first!, ...times.second!]).toHaveLength(400)
    for (const of of Object.values(times)) {
      expect(of.length).toBeGreaterThan(150)
      for (const from of of)
        expect(of.filter((at) => at >= from && at < from + MINUTE).length).toBeLessThanOrEqual(60)
    }
  })
})

describe('what a stream has used', () => {
  test('is not lost when its reader goes', async () => {
    const { pool, targets } = poolOf({ a: {} }, { budget: { tokens: 1000, per: 'day' } })
    const stream = await pool.run(
      async function* () {
        yield await Promise.resolve({ usage: { prompt_tokens: 10, completion_tokens: 1 } })
        yield { usage: { prompt_tokens: 10, completion_tokens: 20 } }
      },
      { cost: { tokens: 300 } },
    )
    await leave(stream)
    expect(pool.stats().budgets[0]!.amounts[0]).toMatchObject({ used: 300, reserved: 0 })
    expect(targets[0]!.limiter.stats().inFlight).toBe(0)
  })

  test.each([{ inputTokens: NaN }, { inputTokens: -500 }, { inputTokens: Infinity }, { tokens: NaN }])(
    'told as %o counts as all that was reserved',
    async (usage) => {
      const { pool, clock, ask, targets } = poolOf({ a: {} }, { budget: { tokens: 1000, per: 'day' } })
      const told: unknown[] = []
      targets[0]!.limiter.on('error', ({ error }) => told.push(error))
      await pool.run(ask(), { cost: { tokens: 300 }, usage: () => usage })
      expect(pool.stats().budgets[0]!.amounts[0]).toMatchObject({ used: 300, reserved: 0 })
      await pool.run(ask(), { cost: { tokens: 300 }, usage: async () => Promise.resolve(usage) })
      await clock.advance(0)
      expect(pool.stats().budgets[0]!.amounts[0]).toMatchObject({ used: 600, reserved: 0 })
      expect(told).toHaveLength(2)
    },
  )
})

describe('a function of the user that throws', () => {
  const broken = () => {
    throw new Error('oh')
  }

  test('as a condition of a target’s budget fails its own call, and holds no ticket', async () => {
    const { pool, clock, ask, targets } = poolOf(
      { a: { maxConcurrent: 1 } },
      { budget: { requests: 10, per: 'day', by: 'target', when: ({ bad }) => (bad ? broken() : true) } },
    )
    const fail = fate(pool.run(ask(), { bad: true }))
    await clock.advance(0)
    expect(fail.now).toBe('error: oh')
    expect(await pool.run(ask())).toBe('a')
    expect(leftovers(targets[0]!.limiter, clock)).toEqual(EMPTY)
  })

  test('as fallbackOn leaves the error of the call as it is', async () => {
    const { pool, ask, targets } = poolOf({ a: {}, b: { tier: 2 } }, { fallbackOn: broken })
    const told: unknown[] = []
    targets[0]!.limiter.on('error', ({ error }) => told.push((error as Error).message))
    await expect(pool.run(ask(0, { a: fails(404) }))).rejects.toThrow('HTTP 404')
    expect(told).toEqual(['oh'])
  })
})

test.each([
  [{ timeoutMs: 'soon' }, /timeoutMs/],
  [{ maxWaitMs: -1 }, /maxWaitMs/],
  [{ priority: NaN }, /priority must be a finite number/],
  [{ signal: {} }, /signal must be an AbortSignal/],
  [{ cost: { images: 1 } }, /no limit 'images'/],
  [{ cost: { requests: -1 } }, /cost\.requests/],
])('a wrong option %j is named, and holds no ticket and no place', async (options, message) => {
  const { pool, clock, ask, targets } = poolOf({ a: { maxConcurrent: 1 }, b: { maxConcurrent: 1 } })
  await expect(pool.run(ask(), options as never)).rejects.toThrow(message)
  await expect(pool.run(ask(), options as never)).rejects.toBeInstanceOf(TypeError)
  expect(await Promise.all([pool.run(ask()), pool.run(ask())])).toEqual(['a', 'b'])
  for (const { limiter } of targets) expect(leftovers(limiter, clock)).toEqual(EMPTY)
  expect(pool.stats().waiting).toBe(0)
})

describe('a strategy', () => {
  test('is obeyed by sticky calls, too: a target that may not answer them does not', async () => {
    const when = (model: string) => ({ model })
    const { pool, ask } = poolOf(
      { a: {}, b: {} },
      {
        strategy: {
          conditional: [
            { when: when('x'), use: 'a' },
            { when: when('y'), use: 'b' },
          ],
        },
        sticky: { by: ({ tenant }: PoolCall) => tenant, ttl: '1h' },
      },
    )
    expect(await pool.run(ask(), { tenant: 't', model: 'x' })).toBe('a')
    expect(await pool.run(ask(), { tenant: 't', model: 'y' })).toBe('b')
    expect(await pool.run(ask(), { tenant: 't', model: 'x' })).toBe('a')
  })

  test('that contains itself is rejected, with the path', () => {
    const all: Strategy[] = ['a']
    const strategy = { fallback: all }
    all.push({ loadbalance: [{ use: strategy }] })
    expect(() => poolOf({ a: {} }, { strategy })).toThrow(
      /strategy\.fallback\[1\]\.loadbalance\[0\]\.use: .*lead back/,
    )
    const query: Record<string, unknown> = {}
    query.$or = [{ model: 'x' }, query]
    expect(() => poolOf({ a: {} }, { strategy: { conditional: [{ when: query, use: 'a' }] } })).toThrow(
      /\$or\[1\].*lead back/,
    )
  })
})

test('a target that refuses for a minute delays no call that can go elsewhere', async () => {
  const { pool, clock, ask } = poolOf({ a: {}, b: { tier: 2 } }, { waitUpTo: '5s' })
  const first = fate(
    pool.run(
      ask(0, {
        a: () => {
          throw rateLimited(MINUTE)
        },
      }),
    ),
  )
  await clock.advance(10)
  expect(first.now).toBe('ok: b')
  expect(await pool.run(ask())).toBe('b')
  await clock.runAll()
})
