// Calls that do not have to be sent: identical ones in flight, and those with a cached answer.

import { describe, expect, test } from 'vitest'
import { collect, fate } from '../helpers.ts'
import { fails, poolOf } from './rig.ts'

const request = { model: 'm', messages: [{ role: 'user', content: 'Hello' }], temperature: 0 }
const same = { temperature: 0, messages: [{ content: 'Hello', role: 'user' }], model: 'm' }

test('nothing is shared by default', async () => {
  const { pool, clock, ask, log } = poolOf({ a: {} })
  await Promise.all([pool.run(ask(10), { request }), pool.run(ask(10), { request }), clock.advance(10)])
  expect(log).toHaveLength(2)
  expect(pool.stats().sharing).toBeUndefined()
})

describe('coalesce', () => {
  const rig = () => poolOf({ a: {}, b: {} }, { coalesce: true, budget: { requests: 100, per: 'day' } })

  test('identical calls in flight share one, in whatever order their fields are', async () => {
    const { pool, clock, ask, log } = rig()
    const calls = [request, same, request].map((one) => fate(pool.run(ask(10), { request: one })))
    const others = [
      pool.run(ask(10), { request: { ...request, temperature: 1 } }),
      pool.run(ask(10), { request, tenant: 'x' }),
      pool.run(ask(10), { request, share: false }),
      pool.run(ask(10)),
      pool.run(ask(10)),
    ]
    await clock.runAll()
    await Promise.all(others)
    expect(new Set(calls.map(({ now }) => now)).size).toBe(1)
    expect(log).toHaveLength(1 + others.length)
    expect(pool.stats().sharing).toMatchObject({ coalesced: 2, cached: 0 })
    expect(pool.stats().budgets[0]!.amounts[0]!.used).toBe(1 + others.length)
    await Promise.all([pool.run(ask(10), { request }), clock.advance(10)])
    expect(log).toHaveLength(2 + others.length)
  })

  test('they share an error, but not that one of them was given up', async () => {
    const { pool, clock, ask, log } = rig()
    const bad = [0, 1].map(() => fate(pool.run(ask(10, { a: fails(400), b: fails(400) }), { request })))
    await clock.runAll()
    expect(bad.map(({ now }) => now)).toEqual(['error: HTTP 400', 'error: HTTP 400'])
    expect(log).toHaveLength(1)
    const leave = new AbortController()
    const first = fate(pool.run(ask(10), { request, signal: leave.signal }))
    const second = fate(pool.run(ask(10), { request }))
    await clock.advance(5)
    leave.abort(new Error('no more'))
    await clock.runAll()
    expect([first.now, second.now.slice(0, 3)]).toEqual(['error: no more', 'ok:'])
  })

  test('who leaves does not wait for the other', async () => {
    const { pool, clock, ask } = rig()
    const leave = new AbortController()
    const first = fate(pool.run(ask(10), { request }))
    const second = fate(pool.run(ask(10), { request, signal: leave.signal }))
    await clock.advance(5)
    leave.abort(new Error('no more'))
    await clock.advance(0)
    expect([first.now, second.now]).toEqual(['pending', 'error: no more'])
    await clock.runAll()
    expect(first.now).toMatch(/^ok/)
  })

  test('a stream belongs to one caller', async () => {
    const { pool } = rig()
    const words = async function* () {
      yield await Promise.resolve('a')
    }
    const streams = await Promise.all([0, 1].map(() => pool.run(() => words(), { request })))
    for (const stream of streams) expect(await collect(stream)).toEqual(['a'])
  })
})

describe('cache', () => {
  const kept = { maxBytes: 10_000, ttl: '1m' } as const

  test('answers are kept for their time, each caller with a copy of its own', async () => {
    const { pool, clock, log, ask } = poolOf({ a: {} }, { cache: kept })
    const get = () =>
      pool.run(ask(0, { a: () => ({ words: ['a'] }) }), { request }) as Promise<{ words: string[] }>
    ;(await get()).words.push('b')
    expect(await get()).toEqual({ words: ['a'] })
    ;(await get()).words.push('c')
    expect(await get()).toEqual({ words: ['a'] })
    expect(log).toHaveLength(1)
    expect(pool.stats().sharing).toMatchObject({ cached: 3, coalesced: 0 })
    await clock.advance(60_000)
    await get()
    expect(log).toHaveLength(2)
  })

  test('errors are not kept, nor another tenant’s answer', async () => {
    const { pool, ask, log } = poolOf({ a: {} }, { cache: kept })
    await expect(pool.run(ask(0, { a: fails(400) }), { request })).rejects.toThrow('HTTP 400')
    await pool.run(ask(), { request, tenant: 'x' })
    await pool.run(ask(), { request, tenant: 'y' })
    await pool.run(ask(), { request })
    await pool.run(ask(), { request, tenant: 'x' })
    expect(log).toHaveLength(4)
    const shared = poolOf({ a: {} }, { cache: { ...kept, acrossTenants: true } })
    await shared.pool.run(shared.ask(), { request, tenant: 'x' })
    await shared.pool.run(shared.ask(), { request, tenant: 'y' })
    expect(shared.log).toHaveLength(1)
  })

  test('never takes more than its bytes: the least recently used go', async () => {
    const { pool, ask, log } = poolOf({ a: {} }, { cache: kept })
    const get = (id: number) => pool.run(ask(0, { a: () => 'x'.repeat(1500) }), { request: { id } })
    for (const id of [1, 2, 3]) await get(id)
    await get(1)
    await get(4)
    expect(pool.stats().sharing!.cacheBytes).toBeLessThanOrEqual(10_000)
    const before = log.length
    await get(1)
    expect(log).toHaveLength(before)
    await get(2)
    expect(log).toHaveLength(before + 1)
    await pool.run(ask(0, { a: () => 'x'.repeat(20_000) }), { request: { id: 9 } })
    expect(pool.stats().sharing!.cacheBytes).toBeLessThanOrEqual(10_000)
  })

  test('wrong options are named', () => {
    const make = (options: object) => () => poolOf({ a: {} }, options)
    expect(make({ cache: { maxBytes: 0, ttl: '1m' } })).toThrow(/cache.maxBytes must be/)
    expect(make({ cache: { maxBytes: 1 } })).toThrow(/cache.ttl must be/)
    expect(make({ coalesce: 'yes' })).toThrow(/coalesce must be/)
  })
})
