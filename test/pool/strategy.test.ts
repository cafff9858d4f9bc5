// Which target may answer: tiers, weights, conditions, sticky keys, circular names.

import { describe, expect, test } from 'vitest'
import { createPool, type PoolQuery, type Strategy } from 'llmiter/pool'
import { fate } from '../helpers.ts'
import { poolOf } from './rig.ts'

describe('tiers', () => {
  test('the next tier is asked when the first would wait longer than waitUpTo', async () => {
    const { pool, clock, ask, counts } = poolOf(
      { cheap: { limits: [{ of: 'requests', amount: 60, per: '1m', burst: 1 }] }, dear: { tier: 2 } },
      { waitUpTo: '5s' },
    )
    void Promise.all(Array.from({ length: 20 }, () => pool.run(ask())))
    await clock.advance(0)
    // One goes, about five may wait, and the others do not have to.
    expect(counts().cheap).toBe(1)
    expect(counts().dear).toBeGreaterThanOrEqual(13)
    await clock.runAll()
    expect(counts().cheap! + counts().dear!).toBe(20)
    expect(counts().cheap).toBeGreaterThanOrEqual(5)
  })

  test('a call that waited longer than it was to is open to the next tier', async () => {
    const { pool, clock, ask, log } = poolOf(
      { first: { maxConcurrent: 1 }, second: { tier: 2 } },
      { waitUpTo: '5s' },
    )
    void pool.run(ask(60_000))
    const other = fate(pool.run(ask()))
    await clock.advance(4999)
    expect(other.now).toBe('pending')
    await clock.advance(1)
    expect(other.now).toBe('ok: second')
    expect(log.at(-1)).toEqual({ target: 'second', at: 5000 })
    await clock.runAll()
  })
})

describe('weights', () => {
  test('share the calls among targets that have room', async () => {
    const { pool, ask, counts } = poolOf({ a: { weight: 3 }, b: { weight: 1 }, c: { weight: 0 } })
    for (let i = 0; i < 100; i++) await pool.run(ask())
    expect(counts()).toEqual({ a: 75, b: 25 })
  })

  test('do not hold a call back while another target has room', async () => {
    const { pool, clock, ask, counts } = poolOf({ a: { weight: 9, maxConcurrent: 1 }, b: {} })
    void Promise.all(Array.from({ length: 10 }, () => pool.run(ask(100))))
    await clock.advance(0)
    expect(counts()).toEqual({ a: 1, b: 9 })
    await clock.runAll()
  })

  test('of 0 for all are an error', () => {
    expect(() => poolOf({ a: { weight: 0 }, b: { weight: 0 } })).toThrow(/at least one weight/)
  })
})

describe('conditions', () => {
  const goes = async (when: PoolQuery, call: Record<string, unknown>) => {
    const { pool, ask } = poolOf(
      { yes: {}, no: {} },
      { strategy: { conditional: [{ when, use: 'yes' }], otherwise: 'no' } },
    )
    return (await pool.run(ask(), call)) === 'yes'
  }
  test.each<[PoolQuery, Record<string, unknown>, boolean]>([
    [{ plan: 'pro' }, { plan: 'pro' }, true],
    [{ plan: { $eq: 'pro' } }, { plan: 'free' }, false],
    [{ plan: { $ne: 'pro' } }, {}, true],
    [{ size: { $gt: 5 } }, { size: 5 }, false],
    [{ size: { $gte: 5, $lt: 9 } }, { size: 5 }, true],
    [{ size: { $lte: 5 } }, { size: '4' }, false],
    [{ model: { $in: ['a', 'b'] } }, { model: 'b' }, true],
    [{ model: { $nin: ['a', 'b'] } }, { model: 'b' }, false],
    [{ model: { $regex: '^gpt-' } }, { model: 'gpt-5' }, true],
    [{ model: { $regex: /GPT/gi } }, { model: 'gpt-5' }, true],
    [{ 'user.plan': 'pro' }, { user: { plan: 'pro' } }, true],
    [{ 'user.plan': 'pro' }, {}, false],
    [{ $or: [{ a: 1 }, { $and: [{ b: 2 }, { $or: [{ c: 3 }, { c: 4 }] }] }] }, { b: 2, c: 4 }, true],
    [{ $or: [{ a: 1 }, { $and: [{ b: 2 }, { c: 3 }] }] }, { b: 2, c: 4 }, false],
    [{}, {}, true],
  ])('%j of %j is %s', async (when, call, expected) => {
    expect(await goes(when, call)).toBe(expected)
  })

  test('may be functions; a call that matches none gets an error', async () => {
    const { pool, ask } = poolOf(
      { a: {} },
      { strategy: { conditional: [{ when: (call) => call.tenant === 'x', use: 'a' }] } },
    )
    expect(await pool.run(ask(), { tenant: 'x' })).toBe('a')
    await expect(pool.run(ask(), { tenant: 'y' })).rejects.toThrow(/allows no target/)
  })

  test.each<[PoolQuery, RegExp]>([
    [{ a: { $like: 1 } }, /no operator '\$like'; known: \$eq/],
    [{ $not: [] }, /known: \$and, \$or/],
    [{ $or: [] }, /array of queries/],
    [{ a: { $in: 'b' } }, /need an array/],
    [{ a: { $regex: '(' } }, /regular expression/],
  ])('%j is refused when the pool is made', (when, message) => {
    expect(() => poolOf({ a: {} }, { strategy: { conditional: [{ when, use: 'a' }] } })).toThrow(message)
  })
})

describe('nested strategies', () => {
  const keys = { a: {}, b: {}, c: {} }

  test('multiply nested weights', async () => {
    const strategy: Strategy = {
      loadbalance: [
        { use: { loadbalance: [{ use: 'a' }, { use: 'b' }] }, weight: 1 },
        { use: 'c', weight: 2 },
      ],
    }
    const { pool, ask, counts } = poolOf(keys, { strategy })
    for (let i = 0; i < 80; i++) await pool.run(ask())
    expect(counts()).toEqual({ a: 20, b: 20, c: 40 })
  })

  test('that are circular are rejected, with the path', () => {
    const strategies: Record<string, Strategy> = {
      x: { fallback: ['a', 'y'] },
      y: { loadbalance: [{ use: 'z' }] },
      z: { conditional: [], otherwise: 'x' },
    }
    strategies.z = { conditional: [{ when: {}, use: 'x' }] }
    expect(() => poolOf(keys, { strategies, strategy: 'a' })).toThrow('x → y → z → x')
  })

  test('name unknown strategies', () => {
    expect(() => poolOf(keys, { strategy: { fallback: ['a', 'd'] } })).toThrow(
      /names 'd', which is no target and no strategy; known: a, b, c/,
    )
  })
})

describe('sticky', () => {
  const keys = { a: {}, b: {}, c: {} }
  const sticky = (call: { readonly [field: string]: unknown }) => call.user as string | undefined

  test('by hash: one user, one target; many users, all targets', async () => {
    const { pool, ask, counts } = poolOf(keys, { sticky })
    for (let i = 0; i < 90; i++) {
      const user = `user ${i}`
      const first = await pool.run(ask(), { user })
      expect(await pool.run(ask(), { user })).toBe(first)
    }
    for (const count of Object.values(counts())) expect(count).toBeGreaterThan(25)
  })

  test('a target that joins moves only its own users', async () => {
    const homes = async (names: Record<string, object>) => {
      const { pool, ask } = poolOf(names, { sticky })
      return Promise.all(Array.from({ length: 100 }, (_, i) => pool.run(ask(), { user: `user ${i}` })))
    }
    const before = await homes(keys)
    const after = await homes({ ...keys, d: {} })
    for (const [i, home] of after.entries()) if (home !== 'd') expect(home).toBe(before[i])
    expect(after.filter((home) => home === 'd').length).toBeGreaterThan(10)
  })

  test('moves only when it would wait longer than waitUpTo', async () => {
    const { pool, clock, ask } = poolOf({ a: { maxConcurrent: 1 }, b: { maxConcurrent: 1 } }, { sticky })
    const home = (await pool.run(ask(), { user: 'u' })) as string
    const other = home === 'a' ? 'b' : 'a'
    void pool.run(ask(4000), { target: home })
    const short = fate(pool.run(ask(), { user: 'u' }))
    await clock.advance(4000)
    expect(short.now).toBe(`ok: ${home}`)
    void pool.run(ask(40_000), { target: home })
    const long = fate(pool.run(ask(), { user: 'u' }))
    await clock.advance(5000)
    expect(long.now).toBe(`ok: ${other}`)
    await clock.runAll()
  })

  test('by time: stays where it was served, as long as that is remembered', async () => {
    const { pool, clock, ask } = poolOf(keys, { sticky: { by: sticky, ttl: '1m' } })
    const home = (await pool.run(ask(), { user: 'u' })) as string
    pool.pause(home)
    const moved = await Promise.all([pool.run(ask(), { user: 'u' }), clock.advance(5000)])
    expect(moved[0]).not.toBe(home)
    pool.resume(home)
    expect(await pool.run(ask(), { user: 'u' })).toBe(moved[0])
    await clock.advance(60_000)
    expect(await pool.run(ask(), { user: 'u' })).toBe(home)
  })
})

test.each([
  ['strategy', null, 'strategy must be a name'],
  ['strategies', NaN, 'strategies must be an object with a strategy for each name, got NaN'],
  ['strategies', [], 'strategies must be an object with a strategy for each name, got an array of 0'],
  ['sticky', 5, 'sticky must be a function or { by, ttl }, got 5'],
  ['cache', NaN, 'cache takes an object of options, got NaN'],
  ['cache', null, 'cache takes an object of options, got null'],
  ['cache', false, 'cache takes an object of options, got false'],
  ['prices', [], 'prices must be an object with the prices of each model, or a function, got an array of 0'],
  ['prices', null, 'prices must be an object with the prices of each model, or a function, got null'],
  [
    'budget',
    { usd: 1, per: 'day', by: 5 },
    "budget.by must be 'tenant', 'model', 'target' or a function, got 5",
  ],
  ['budget', { usd: 1, per: 'day', timeZone: null }, 'budget.timeZone must be an IANA name'],
])('%s: %j is refused when the pool is made', (option, value, message) => {
  expect(() => poolOf({ a: {} }, { [option]: value } as never)).toThrow(message)
})

test('what is wrong is refused when the pool is made', () => {
  const { targets } = poolOf({ a: {} })
  const make = (options: object) => () => createPool({ targets, ...options })
  const { limiter } = targets[0]!
  expect(make({ targets: [] })).toThrow(/at least one target/)
  expect(make({ targets: [...targets, ...targets] })).toThrow(/'a' occurs twice/)
  expect(make({ waitUpto: 1 })).toThrow(
    /no option 'waitUpto' \(did you mean 'waitUpTo'\?\); known: targets, strategy/,
  )
  expect(make({ breaker: { share: 2 } })).toThrow(/breaker.share must be a number from 0 to 1/)
  expect(make({ strategies: { a: 'a' } })).toThrow(/a target has this name/)
  expect(make({ targets: [null] })).toThrow('targets[0] must be an object, got null')
  expect(make({ targets: [{ name: 'a', limiter, wieght: 2 }] })).toThrow(
    "targets[0] cannot have a field 'wieght' (did you mean 'weight'?); extra fields need other names",
  )
  expect(make({ targets: [{ name: 'a', limiter, client: {}, weights: 2 }] })).toThrow(
    "did you mean 'weight'?",
  )
  expect(make({ targets: [{ name: 'a', limiter, client: {}, region: 'eu', key: 1 }] })).not.toThrow()
  expect(make({ strategy: { loadbalance: [null] } })).toThrow(/loadbalance\[0\] must be an object, got null/)
  expect(make({ strategy: { conditional: [5] } })).toThrow(/conditional\[0\] must be an object, got 5/)
  expect(make({ fallbackOn: ['404'] })).toThrow(/fallbackOn must be an array of statuses/)
})

test.each([null, 7, 'x'])('a call with %s for options is refused', async (call) => {
  const { pool, ask } = poolOf({ a: {} })
  await expect(pool.run(ask(), call as never)).rejects.toThrow('the options of a call must be an object')
})

test('a key of sticky that is no text is refused', async () => {
  const { pool, ask } = poolOf({ a: {} }, { sticky: () => 5 as never })
  await expect(pool.run(ask())).rejects.toThrow('sticky must return a text or undefined, got 5')
})
