// The budgets of a pool: reserved before a call waits, settled by its usage.

import { describe, expect, test } from 'vitest'
import { BudgetExceededError, createPool, type PoolCall } from 'llmiter/pool'
import { fate, outOfQuota, rateLimited } from '../helpers.ts'
import { endOf } from '../../src/lib/calendar.ts'
import { fails, poolOf } from './rig.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const prices = { default: { input: 10, output: 10 } }
/** May use 2,000 tokens: 0.02 USD. */
const cost = { inputTokens: 1000, outputTokens: 1000 }
const used = (tokens: number) => () => ({
  usage: { prompt_tokens: tokens, completion_tokens: 0, total_tokens: tokens },
})
const call = { model: 'm', cost }

describe('a budget is never exceeded', () => {
  test('of 100 calls at once that may use 0.02 USD, 50 go under a budget of 1 USD', async () => {
    const { pool, clock, ask, log } = poolOf({ a: {}, b: {} }, { prices, budget: { usd: 1, per: 'month' } })
    const calls = Array.from({ length: 100 }, () =>
      fate(pool.run(ask(1000, { a: used(2000), b: used(2000) }), call)),
    )
    await clock.runAll()
    expect(log).toHaveLength(50)
    expect(calls.filter(({ now }) => now.startsWith('ok'))).toHaveLength(50)
    const refused = calls.filter(({ error }) => error instanceof BudgetExceededError)
    expect(refused).toHaveLength(50)
    const resetsAt = endOf('month', clock.wall(), 'UTC')
    expect(refused[0]!.error).toMatchObject({ code: 'BUDGET_EXCEEDED', budget: 'pool per month', resetsAt })
    expect(String(refused[0]!.error)).toContain(
      `1 of 1 usd are used or reserved, and the call may use 0.02; the next period begins at ${new Date(resetsAt).toISOString()}`,
    )
    expect(pool.stats().budgets).toEqual([
      {
        name: 'pool per month',
        key: undefined,
        resetsAt,
        amounts: [{ of: 'usd', used: 1, reserved: 0, limit: 1 }],
      },
    ])
  })

  test('what was not used is there for others', async () => {
    const { pool, clock, ask, log } = poolOf({ a: {} }, { budget: { tokens: 10_000, per: '1h' } })
    const send = () =>
      Promise.allSettled(Array.from({ length: 20 }, () => pool.run(ask(10, { a: used(500) }), { cost })))
    for (const sent of [5, 5 + 3, 8 + 3, 11 + 2]) {
      void send()
      await clock.advance(10)
      expect(log).toHaveLength(sent)
    }
    expect(pool.stats().budgets[0]!.amounts[0]).toMatchObject({ used: 6500, reserved: 0 })
  })

  test('in the next period the whole budget is available again', async () => {
    const { pool, clock, ask } = poolOf({ a: {} }, { budget: { requests: 1, per: '1h' } })
    await pool.run(ask())
    const late = fate(pool.run(ask()))
    await clock.advance(0)
    const { resetsAt } = late.error as BudgetExceededError
    await clock.advance(resetsAt! - clock.wall() - 1)
    await expect(pool.run(ask())).rejects.toBeInstanceOf(BudgetExceededError)
    await clock.advance(1)
    await pool.run(ask())
  })

  test('a call larger than the whole budget gets its own message', async () => {
    const { pool, ask } = poolOf({ a: {} }, { budget: { tokens: 100, per: 'day' } })
    await expect(pool.run(ask(), { cost })).rejects.toMatchObject({ resetsAt: undefined })
    await expect(pool.run(ask(), { cost })).rejects.toThrow(
      /may use 2000 tokens, which is more than the whole budget of 100/,
    )
  })
})

describe('nothing is consumed by', () => {
  const spent = async (answer: () => unknown, tries = 1) => {
    const { pool, clock, ask } = poolOf(
      { a: {} },
      { budget: { requests: 100, tokens: 1e6, per: 'day' }, breaker: false },
    )
    let left = tries
    void fate(pool.run(ask(0, { a: () => (left-- > 0 ? answer() : used(7)()) }), { cost }))
    await clock.runAll()
    return pool.stats().budgets[0]!.amounts.map((amount) => [amount.used, amount.reserved])
  }
  test.each([400, 401, 404, 500])('an error with status %i', async (status) => {
    expect(await spent(fails(status), 1)).toEqual([
      [0, 0],
      [0, 0],
    ])
  })
  test('a quota that is used up', async () => {
    expect(
      await spent(() => {
        throw outOfQuota()
      }),
    ).toEqual([
      [0, 0],
      [0, 0],
    ])
  })
  test('refusals, however often: the call counts once, when it is answered', async () => {
    expect(
      await spent(() => {
        throw rateLimited(1000)
      }, 3),
    ).toEqual([
      [1, 0],
      [7, 0],
    ])
  })
  test('a call that leaves while it waits, or comes too late', async () => {
    const { pool, clock, ask } = poolOf({ a: { maxConcurrent: 1 } }, { budget: { requests: 10, per: 'day' } })
    void pool.run(ask(60_000))
    const leave = new AbortController()
    void fate(pool.run(ask(), { signal: leave.signal }))
    void fate(pool.run(ask(), { maxWaitMs: 1000 }))
    await clock.advance(0)
    expect(pool.stats().budgets[0]!.amounts[0]).toMatchObject({ used: 0, reserved: 3 })
    leave.abort()
    await clock.advance(1000)
    expect(pool.stats().budgets[0]!.amounts[0]).toMatchObject({ used: 0, reserved: 1 })
    await clock.runAll()
  })

  test('a call that is given up in the moment in which its ticket comes', async () => {
    const { pool, clock, log, ask, targets } = poolOf({ a: {} }, { budget: { requests: 10, per: 'day' } })
    const { limiter } = targets[0]!
    limiter.pause()
    const leave = new AbortController()
    const call = fate(pool.run(ask(), { signal: leave.signal }))
    limiter.resume()
    leave.abort(new Error('left'))
    await clock.runAll()
    expect([call.now, log]).toEqual(['error: left', []])
    expect(pool.stats().budgets[0]!.amounts[0]).toMatchObject({ used: 0, reserved: 0 })
    expect(pool.stats().targets[0]).toMatchObject({ sent: 0, inFlight: 0 })
    expect(limiter.stats()).toMatchObject({ inFlight: 0, waiting: 0 })
  })
})

describe('unknown usage stays counted', () => {
  const budget = { requests: 100, tokens: 1e6, per: 'day' } as const
  const tokens = (pool: ReturnType<typeof poolOf>['pool']) =>
    pool.stats().budgets[0]!.amounts.find(({ of }) => of === 'tokens')!
  async function* stream(chunks: unknown[]) {
    for (const chunk of chunks) yield await Promise.resolve(chunk)
  }
  const chunks = [
    { choices: [{ delta: { content: 'a' } }] },
    { choices: [], usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 } },
  ]

  test('a lost connection: each try may have cost what it could', async () => {
    const { pool, clock, ask } = poolOf({ a: {}, b: { tier: 2 } }, { budget })
    const lost = () => {
      throw Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' })
    }
    const done = fate(pool.run(ask(0, { a: lost, b: used(7) }), { cost }))
    await clock.runAll()
    expect(done.now).toMatch(/^ok/)
    expect(tokens(pool)).toMatchObject({ used: 2007, reserved: 0 })
  })

  test('a stream counts by its usage when it ends, and in full when it is left', async () => {
    const { pool, clock } = poolOf({ a: {} }, { budget })
    const reading = async (most: number) => {
      const seen: unknown[] = []
      for await (const chunk of await pool.run(() => stream(chunks), { cost })) {
        seen.push(chunk)
        if (seen.length === most) break
      }
      expect(seen).toEqual(chunks.slice(0, most))
    }
    await Promise.all([reading(Infinity), clock.runAll()])
    expect(tokens(pool)).toMatchObject({ used: 15, reserved: 0 })
    await Promise.all([reading(1), clock.runAll()])
    expect(tokens(pool)).toMatchObject({ used: 2015, reserved: 0 })
  })

  test('the usage may be read by the caller', async () => {
    const { pool } = poolOf({ a: {} }, { budget })
    await pool.run(() => 'text', { cost, usage: (answer) => ({ tokens: (answer as string).length }) })
    expect(tokens(pool)).toMatchObject({ used: 4 })
    await pool.run(() => 'text', {
      cost,
      usage: () => {
        throw new Error('oops')
      },
    })
    expect(tokens(pool)).toMatchObject({ used: 2004 })
  })

  test('what is known of a request bounds it', async () => {
    const { pool, clock, ask } = poolOf({ a: {} }, { budget })
    const reserved = async (request: unknown, more = {}) => {
      void pool.run(ask(10), { request, ...more })
      await clock.advance(0)
      const held = tokens(pool).reserved
      await clock.runAll()
      return held
    }
    const messages = [{ role: 'user', content: 'Zażółć gęślą jaźń' }]
    const bare = await reserved({ model: 'm', messages, max_tokens: 100 })
    expect(bare).toBeGreaterThan(100 + new TextEncoder().encode(messages[0]!.content).length)
    expect(bare).toBeLessThan(250)
    expect(await reserved({ model: 'm', messages, max_tokens: 100, n: 3 })).toBe(bare + 200 + 'n'.length)
    expect(await reserved({ model: 'm', messages })).toBeGreaterThan(16_384)
    await expect(pool.run(ask())).rejects.toThrow(/needs the request or the cost of each call/)
  })
})

describe('prices', () => {
  const usdOf = async (options: object, more: object, answer: () => unknown) => {
    const { pool, ask } = poolOf({ a: {} }, { budget: { usd: 100, per: 'day' }, ...options })
    await pool.run(ask(0, { a: answer }), { cost, ...more })
    return pool.stats().budgets[0]!.amounts[0]!.used
  }
  const million = () => ({ usage: { prompt_tokens: 1e6, completion_tokens: 1e6 } })

  test('come by name, by family, by default, or from a function', async () => {
    const table = {
      gpt: { input: 1, output: 2 },
      'gpt-5*': { input: 3, output: 4 },
      default: { input: 5, output: 6 },
    }
    expect(await usdOf({ prices: table }, { model: 'gpt' }, million)).toBe(3)
    expect(await usdOf({ prices: table }, { model: 'gpt-5-mini' }, million)).toBe(7)
    expect(await usdOf({ prices: table }, { request: { model: 'toString' } }, million)).toBe(11)
    expect(await usdOf({ prices: () => ({ input: 7, output: 8 }) }, { model: 'x' }, million)).toBe(15)
  })

  test('of the installed package, which those of the pool win over', async () => {
    expect(await usdOf({}, { model: 'gpt-4o-mini' }, million)).toBeCloseTo(0.75)
    expect(
      await usdOf({ prices: { 'gpt-4o-mini': { input: 1, output: 1 } } }, { model: 'gpt-4o-mini' }, million),
    ).toBe(2)
  })

  test('reads from a cache are billed, whether or not the provider counts them as input', async () => {
    const table = { prices: { default: { input: 10, output: 0, cachedInput: 1 } } }
    const openai = () => ({
      usage: { prompt_tokens: 1e6, completion_tokens: 0, prompt_tokens_details: { cached_tokens: 8e5 } },
    })
    const anthropic = () => ({
      usage: {
        input_tokens: 2e5,
        output_tokens: 0,
        cache_read_input_tokens: 8e5,
        cache_creation_input_tokens: 0,
      },
    })
    const gemini = () => ({
      usageMetadata: { promptTokenCount: 1e6, candidatesTokenCount: 0, cachedContentTokenCount: 8e5 },
    })
    for (const answer of [openai, anthropic, gemini])
      expect(await usdOf(table, { model: 'm' }, answer)).toBeCloseTo(2.8)
  })

  test('one that nobody knows is an error, and nothing is sent', async () => {
    const { pool, ask, log } = poolOf({ a: {} }, { budget: { usd: 1, per: 'day' } })
    await expect(pool.run(ask(), { model: 'nobody-knows-me', cost })).rejects.toMatchObject({
      code: 'UNKNOWN_PRICE',
      message: expect.stringContaining(
        "the price of 'nobody-knows-me' is unknown: give its price in prices",
      ) as string,
    })
    await expect(pool.run(ask(), { cost })).rejects.toThrow(
      /neither the target 'a' nor the call names a model/,
    )
    expect(log).toEqual([])
  })

  test('the dearest target that may answer is reserved, and the one that did is paid', async () => {
    const { targets, clock } = poolOf({ dear: {}, cheap: {} })
    const pool = createPool({
      targets: targets.map((target) => ({ ...target, model: target.name })),
      prices: { dear: { input: 100, output: 100 }, cheap: { input: 1, output: 1 } },
      budget: { usd: 10, per: 'day' },
    })
    const done = pool.run(
      () =>
        new Promise<unknown>((resolve) =>
          clock.setTimer(() => resolve({ usage: { total_tokens: 1000 } }), 10),
        ),
      {
        cost: { tokens: 2000 },
      },
    )
    await clock.advance(0)
    expect(pool.stats().budgets[0]!.amounts[0]!.reserved).toBeCloseTo(0.2)
    await Promise.all([done, clock.runAll()])
    expect([0.1, 0.001]).toContainEqual(pool.stats().budgets[0]!.amounts[0]!.used)
  })
})

describe('budgets per key', () => {
  test('each tenant, each model, or whatever a function says', async () => {
    const { pool, ask } = poolOf(
      { a: {} },
      {
        budget: [
          { requests: 2, per: 'day', by: 'tenant' },
          { requests: 3, per: 'day', by: 'model' },
          { requests: 1, per: 'day', by: ({ key }) => key as string | undefined, name: 'keys' },
        ],
      },
    )
    const run = (options: PoolCall) => pool.run(ask(), options)
    await run({ tenant: 'x', model: 'm' })
    await run({ tenant: 'x', request: { model: 'm' } })
    await expect(run({ tenant: 'x', model: 'n' })).rejects.toThrow(/budget 'tenant per day' of 'x'/)
    await run({ tenant: 'y', model: 'm' })
    await expect(run({ tenant: 'z', model: 'm' })).rejects.toThrow(/budget 'model per day' of 'm'/)
    await run({ tenant: 'z', model: 'n', key: 'k' })
    await expect(run({ tenant: 'z', model: 'n', key: 'k' })).rejects.toThrow(/budget 'keys' of 'k'/)
    await run({ tenant: 'z', model: 'n' })
  })

  test('only calls that meet a condition', async () => {
    const { pool, ask } = poolOf(
      { a: {} },
      { budget: { requests: 1, per: 'day', when: { tenant: { $in: ['free'] } } } },
    )
    await pool.run(ask(), { tenant: 'free' })
    await expect(pool.run(ask(), { tenant: 'free' })).rejects.toBeInstanceOf(BudgetExceededError)
    await pool.run(ask(), { tenant: 'paid' })
  })

  test('each target: calls go to another one when the first has nothing left', async () => {
    const { pool, clock, ask, counts } = poolOf(
      { a: {}, b: { tier: 2 } },
      { budget: { requests: 3, per: 'day', by: 'target' } },
    )
    const all = Array.from({ length: 8 }, () => fate(pool.run(ask())))
    await clock.runAll()
    expect(counts()).toEqual({ a: 3, b: 3 })
    const refused = all.filter(({ now }) => now.startsWith('error'))
    expect(refused).toHaveLength(2)
    expect(refused[0]!.error).toMatchObject({ code: 'BUDGET_EXCEEDED' })
    await clock.advance(DAY)
    expect(await pool.run(ask())).toBe('a')
  })
})

describe('periods', () => {
  test('of the calendar begin at midnight in their time zone, on days of any length', () => {
    const at = (iso: string) => Date.parse(iso)
    const iso = (time: number) => new Date(time).toISOString()
    // Clocks in Berlin are set back on 25 October 2026.
    expect(iso(endOf('day', at('2026-10-25T00:00:00Z'), 'Europe/Berlin'))).toBe('2026-10-25T23:00:00.000Z')
    expect(iso(endOf('month', at('2026-10-02T00:00:00Z'), 'Europe/Berlin'))).toBe('2026-10-31T23:00:00.000Z')
    expect(iso(endOf('month', at('2028-02-28T23:59:59Z'), 'UTC'))).toBe('2028-03-01T00:00:00.000Z')
    expect(iso(endOf('month', at('2026-01-31T00:00:00Z'), 'UTC'))).toBe('2026-02-01T00:00:00.000Z')
    // 29 November 2026 is a Sunday.
    expect(iso(endOf('week', at('2026-11-29T23:59:59Z'), 'UTC'))).toBe('2026-11-30T00:00:00.000Z')
    expect(iso(endOf('week', at('2026-11-30T00:00:00Z'), 'America/Los_Angeles'))).toBe(
      '2026-11-30T08:00:00.000Z',
    )
    expect(iso(endOf('year', at('2028-01-01T00:00:00Z'), 'Asia/Tokyo'))).toBe('2028-12-31T15:00:00.000Z')
  })

  test('a call counts in the period in which it was reserved', async () => {
    const { pool, clock, ask } = poolOf({ a: {} }, { budget: { tokens: 2000, per: '1h' } })
    void pool.run(ask(2 * HOUR, { a: used(2000) }), { cost })
    await clock.advance(HOUR)
    await pool.run(ask(0, { a: used(1999) }), { cost })
    await clock.advance(HOUR)
    expect(pool.stats().budgets[0]?.amounts[0]).toMatchObject({ used: 0, reserved: 0 })
  })
})

test('what was spent survives a restart, with what was in flight; the next period begins anew', async () => {
  const budget = { requests: 10, per: 'day', by: 'tenant' } as const
  const first = poolOf({ a: {} }, { budget })
  await first.pool.run(first.ask(), { tenant: 'x' })
  void first.pool.run(first.ask(1000), { tenant: 'x' })
  await first.clock.advance(0)
  const saved = JSON.parse(JSON.stringify(first.pool.snapshot())) as ReturnType<typeof first.pool.snapshot>
  const second = poolOf({ a: {} }, { budget }, first.clock)
  second.pool.restore(saved)
  expect(second.pool.stats().budgets).toMatchObject([{ key: 'x', amounts: [{ used: 2, reserved: 0 }] }])
  await first.clock.advance(DAY)
  const third = poolOf({ a: {} }, { budget }, first.clock)
  third.pool.restore(saved)
  expect(third.pool.stats().budgets).toEqual([])
})

test('what is wrong is refused when the pool is made', () => {
  const make =
    (budget: object, more = {}) =>
    () =>
      poolOf({ a: {} }, { budget: budget as never, ...more })
  expect(make({ per: 'day' })).toThrow('budget must have requests, tokens or usd')
  expect(make({ usd: -1, per: 'day' })).toThrow('budget.usd must be a number of at least 0')
  expect(make({ usd: 1, per: 'fortnight' })).toThrow(
    "budget.per must be day, week, month, year or a duration like '1h', got 'fortnight'",
  )
  expect(make({ usd: 1, per: 'day', timeZone: 'Mars/Base' })).toThrow('budget.timeZone must be an IANA name')
  expect(make({ usd: 1, per: '1h', timeZone: 'UTC' })).toThrow('is for periods of the calendar')
  expect(
    make([
      { usd: 1, per: 'day' },
      { usd: 2, per: 'day' },
    ]),
  ).toThrow("budget[1].name must be unique, 'pool per day' occurs twice")
  expect(make({ usd: 1, per: 'day', by: 'user' })).toThrow(
    "budget.by must be 'tenant' or 'model' or 'target'",
  )
  expect(make({ usd: 1, per: 'day' }, { prices: { m: { input: 1 } } })).toThrow(
    "prices['m'].output must be a number of at least 0",
  )
})
