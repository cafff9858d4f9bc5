// Budgets that processes share. Each pool represents one process.

import { describe, expect, test } from 'vitest'
import type { BudgetOptions } from 'llmiter/pool'
import { memoryStore } from 'llmiter/testing'
import { fate } from '../helpers.ts'
import { fails, poolOf } from './rig.ts'

const DAY = { per: 'day' } as const

function fleet(processes: number, budget: BudgetOptions | BudgetOptions[], store = memoryStore()) {
  const clock = poolOf({ a: {} }).clock
  const all = Array.from({ length: processes }, () => poolOf({ a: {}, b: {} }, { budget, store }, clock))
  return { clock, store, all, pools: all.map(({ pool }) => pool) }
}

describe('budgets that processes share', () => {
  test('hold for all of them together, however they come', async () => {
    const { clock, all } = fleet(4, { tokens: 1000, ...DAY })
    const calls = all.flatMap(({ pool, ask }) =>
      Array.from({ length: 25 }, () => fate(pool.run(ask(100), { cost: { tokens: 20 } }))),
    )
    await clock.runAll()
    expect(calls.filter(({ now }) => now.startsWith('ok'))).toHaveLength(50)
    expect(calls.filter(({ now }) => now.includes('1000 of 1000 tokens are used or reserved'))).toHaveLength(
      50,
    )
    expect(all.reduce((sum, { log }) => sum + log.length, 0)).toBe(50)
  })

  test('give back what was not used, to all', async () => {
    const { all, pools } = fleet(2, { tokens: 1000, ...DAY })
    const usage = () => ({ inputTokens: 100, outputTokens: 0 })
    for (let i = 0; i < 5; i++) await pools[i % 2]!.run(all[0]!.ask(), { cost: { tokens: 600 }, usage })
    await expect(pools[0]!.run(all[0]!.ask(), { cost: { tokens: 600 } })).rejects.toMatchObject({
      code: 'BUDGET_EXCEEDED',
    })
    expect(pools[0]!.stats().budgets[0]!.amounts[0]).toEqual({
      ...{ of: 'tokens', used: 500, reserved: 0, limit: 1000 },
    })
    // A call that failed with a status used nothing.
    await pools[1]!
      .run(all[0]!.ask(0, { a: fails(400), b: fails(400) }), { cost: { tokens: 500 } })
      .catch(() => {})
    expect(await pools[0]!.run(all[0]!.ask(), { cost: { tokens: 500 } })).toBe('b')
  })

  test('of targets send a call elsewhere', async () => {
    const { all, pools } = fleet(2, { requests: 2, ...DAY, by: 'target' })
    for (let i = 0; i < 4; i++) await pools[i % 2]!.run(all[i % 2]!.ask())
    expect({ ...all[0]!.counts() }).toEqual({ a: 1, b: 1 })
    expect({ ...all[1]!.counts() }).toEqual({ a: 1, b: 1 })
    await expect(pools[0]!.run(all[0]!.ask())).rejects.toMatchObject({ code: 'BUDGET_EXCEEDED' })
    for (const { targets } of all) for (const { limiter } of targets) expect(limiter.stats().inFlight).toBe(0)
  })

  test('spend nothing while the store does not answer, and go on when it does', async () => {
    const { all, pools, store } = fleet(1, { requests: 5, ...DAY })
    store.cut('all')
    await expect(pools[0]!.run(all[0]!.ask())).rejects.toMatchObject({ code: 'STORE_DOWN' })
    expect(all[0]!.log).toHaveLength(0)
    store.mend()
    expect(await pools[0]!.run(all[0]!.ask())).toBe('a')
    expect(pools[0]!.snapshot().budgets).toBeUndefined()
  })

  test('a call that is given up while the store is asked is not sent, and holds nothing', async () => {
    const { clock, all, pools } = fleet(1, { requests: 1, ...DAY })
    const leave = new AbortController()
    const left = fate(pools[0]!.run(all[0]!.ask(), { signal: leave.signal }))
    leave.abort(new Error('left'))
    await clock.advance(0)
    expect([left.now, all[0]!.log.length]).toEqual(['error: left', 0])
    expect(await pools[0]!.run(all[0]!.ask())).toBe('a')
  })

  test('begin anew in the next period', async () => {
    const { clock, all, pools } = fleet(2, { requests: 1, per: '1h' })
    expect(await pools[0]!.run(all[0]!.ask())).toBe('a')
    await expect(pools[1]!.run(all[1]!.ask())).rejects.toMatchObject({ code: 'BUDGET_EXCEEDED' })
    await clock.advance(3_600_000)
    expect(await pools[1]!.run(all[1]!.ask())).toBe('a')
  })
})

test('what is wrong is refused when the pool is made', () => {
  expect(() => poolOf({ a: {} }, { store: memoryStore() })).toThrow(
    'store needs budget, because it shares budgets',
  )
  expect(() => poolOf({ a: {} }, { store: {} as never, budget: { usd: 1, ...DAY } })).toThrow(
    /store must be made by redisStore/,
  )
})
