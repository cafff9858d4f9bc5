// A call of a pool within another call is one call to the provider. It never waits for a ticket that the outer
// call holds.

import { afterEach, describe, expect, test } from 'vitest'
import { BucketRateLimiter } from 'llmiter'
import { createPool } from 'llmiter/pool'
import { context } from '../../src/lib/async-context.ts'
import { EMPTY, fate, leftovers, rateLimited, refusal, steadyClock } from '../helpers.ts'
import { fails, type Key, poolOf } from './rig.ts'

const { wanted, storage } = { ...context }
afterEach(() => Object.assign(context, { wanted, storage }))

const ONE = { maxConcurrent: 1 }

/** Two keys with one slot each, and other ways to use the same slots. */
function stage(options: Parameters<typeof poolOf>[1] = {}) {
  const rig = poolOf({ a: ONE, b: ONE }, options)
  const { clock, targets } = rig
  const [a, b] = targets as [(typeof targets)[0], (typeof targets)[0]]
  const other = createPool({ targets: [a, b] })
  const seen = { now: 0, most: 0, calls: 0 }
  const work = async () => {
    seen.calls++
    seen.most = Math.max(seen.most, ++seen.now)
    await clock.sleep(100)
    seen.now--
    return 'ok'
  }
  return { ...rig, a, b, other, seen, work }
}
type Stage = ReturnType<typeof stage>

const around: Record<string, (stage: Stage, fn: (target: Key) => unknown) => Promise<unknown>> = {
  'the pool': ({ pool }, fn) => pool.run(fn),
  'another pool of the same limiters': ({ other }, fn) => other.run(fn),
  'the limiter of a target': ({ a }, fn) => a.limiter.run(() => fn(a)),
  'a ticket of another limiter, and the pool': ({ pool, clock }, fn) =>
    pool.run((target) => new BucketRateLimiter({ limits: [], clock }).run(() => fn(target))),
  'two pools': ({ pool, other }, fn) => pool.run(() => other.run(fn)),
}
const within: Record<string, (stage: Stage, i: number, target: Key) => Promise<unknown>> = {
  'the pool': ({ pool, work }) => pool.run(work),
  'the pool, at one target': ({ pool, work }, i) => pool.run(work, { target: i % 2 ? 'a' : 'b' }),
  'another pool': ({ other, work }) => other.run(work),
  'the limiter of its target': ({ work }, _, { limiter }) => limiter.run(work),
  'a batch': async ({ pool, work }, i) => {
    const send = async (_: unknown, { input }: { input: string[] }) => {
      await work()
      return { data: input }
    }
    const { data } = await pool.batched(send, { maxItems: 1 })({ input: [`${i}`] })
    return data[0] === `${i}` ? 'ok' : data
  },
}
const pairs = Object.keys(around).flatMap((outer) =>
  Object.keys(within).map((inner) => [outer, inner] as const),
)

describe.each(pairs)('within %s: %s', (outer, inner) => {
  test.each(['at once', 'after an await'])('%s', async (when) => {
    const given = stage()
    const calls = Array.from({ length: 6 }, (_, i) =>
      fate(
        around[outer]!(given, async (target) => {
          if (when !== 'at once') await given.clock.sleep(10)
          return within[inner]!(given, i, target)
        }),
      ),
    )
    await given.clock.runAll()
    expect(calls.map(({ now }) => now)).toEqual(calls.map(() => 'ok: ok'))
    expect(given.seen.calls).toBe(6)
    for (const { limiter } of given.targets) expect(leftovers(limiter, given.clock)).toEqual(EMPTY)
    for (const { inFlight } of given.pool.stats().targets) expect(inFlight).toBe(0)
  })
})

describe('a call within a call of the pool', () => {
  test('counts once, in limits, in budgets and in what the pool has sent', async () => {
    const budget = { tokens: 100, per: 'day' } as const
    const { pool, targets, clock } = poolOf({ a: { requestsPerMinute: 60 } }, { budget })
    const inner = () => pool.run(() => ({ usage: { total_tokens: 30 } }), { cost: { tokens: 100 } })
    await pool.run(inner, { cost: { tokens: 100 } })
    expect(pool.stats().budgets[0]!.amounts).toEqual([{ of: 'tokens', used: 30, reserved: 0, limit: 100 }])
    expect(pool.stats().targets[0]).toMatchObject({ sent: 1, answered: 1, inFlight: 0 })
    expect(targets[0]!.limiter.stats()).toMatchObject({ requests: 1, finished: 1 })
    expect(leftovers(targets[0]!.limiter, clock)).toEqual(EMPTY)
  })

  test('that has no budget gives its ticket back', async () => {
    const { pool, targets, clock } = poolOf({ a: ONE }, { budget: { tokens: 100, per: 'day' } })
    const inner = () => pool.run(() => 'sent', { cost: { tokens: 101 } })
    await expect(pool.run(inner, { cost: { tokens: 1 } })).rejects.toThrow('more than the whole budget')
    expect(leftovers(targets[0]!.limiter, clock)).toEqual(EMPTY)
    expect(pool.stats().budgets[0]!.amounts[0]).toMatchObject({ used: 0, reserved: 0 })
    expect(pool.stats().targets[0]).toMatchObject({ sent: 0, inFlight: 0 })
  })

  test('goes on to the next target when its own fails, and the outer call does not repeat that', async () => {
    const { pool, log, ask } = poolOf({ a: ONE, b: ONE })
    const broken = { a: fails(500), b: fails(500) }
    await expect(pool.run(() => pool.run(ask(0, broken)))).rejects.toThrow('HTTP 500')
    expect(log.map(({ target }) => target)).toEqual(['a', 'b'])
    expect(pool.stats().targets.map(({ failed }) => failed)).toEqual([1, 1])
  })

  test('waits out a refusal', async () => {
    const { pool, clock, log, ask } = poolOf({ a: ONE })
    const errors = [rateLimited(500), rateLimited(700)]
    const refused = () => {
      const error = errors.shift()
      if (error) throw error
      return 'ok'
    }
    const call = fate(pool.run(() => pool.run(ask(0, { a: refused }))))
    await clock.runAll()
    expect([call.now, log.length]).toEqual(['ok: ok', 3])
  })

  test('ends with the call around it, in whatever place it waits', async () => {
    const { pool, clock, targets, ask, log } = poolOf({ a: ONE })
    const leave = new AbortController()
    const refused = ask(0, { a: () => Promise.reject(refusal(429, { 'retry-after-ms': '60000' })) })
    const byHand = fate(pool.run(() => pool.run(refused), { signal: leave.signal }))
    await clock.advance(10)
    leave.abort(new Error('left'))
    await clock.advance(0)
    expect(byHand.now).toBe('error: left')
    await clock.runAll()
    expect(log).toHaveLength(1)
    expect(leftovers(targets[0]!.limiter, clock)).toEqual(EMPTY)
  })

  test('is given up after the timeout of the call around it', async () => {
    const { pool, clock } = poolOf({ a: ONE })
    const hangs = fate(pool.run(() => pool.run(() => new Promise(() => {})), { timeoutMs: 1000 }))
    await clock.advance(1000)
    expect(hangs.now).toContain('timeoutMs (1000 ms)')
  })

  test('does not wait for the answer of an identical call, which may be the one around it', async () => {
    const { pool, clock, ask } = poolOf({ a: ONE }, { coalesce: true })
    const same = { request: { q: 1 } }
    const twice = async () => [await pool.run(ask(), same), await pool.run(ask(), same)]
    const call = fate(pool.run(twice, same))
    // Each of these would wait for the other.
    const crossed = [1, 2].map((i) =>
      fate(pool.run(() => pool.run(ask(5), { request: 3 - i }), { request: i })),
    )
    await clock.runAll()
    expect([call.now, ...crossed.map(({ now }) => now)]).toEqual(['ok: a,a', 'ok: a', 'ok: a'])
  })

  test('goes in one request with others, though these wait for the ticket of the call around it', async () => {
    const { pool, clock } = poolOf({ a: ONE })
    const sizes: number[] = []
    const embed = pool.batched(async (_, { input }: { input: string[] }) => {
      sizes.push(input.length)
      await clock.sleep(100)
      return { data: input }
    })
    const outer = fate(
      pool.run(async () => {
        await clock.sleep(50)
        return (await embed({ input: ['within'] })).data
      }),
    )
    const others = [0, 20, 60].map((at) => clock.sleep(at).then(() => embed({ input: [`${at}`] })))
    await clock.runAll()
    await Promise.all(others)
    expect(outer.now).toBe('ok: within')
    expect(sizes.reduce((a, b) => a + b)).toBe(4)
  })

  test('finds room under a limit that all targets share', async () => {
    const clock = steadyClock()
    const parent = new BucketRateLimiter({ limits: [], maxConcurrent: 1, ramp: false, clock })
    const targets = ['a', 'b'].map((name) => ({
      name,
      limiter: new BucketRateLimiter({ name, limits: [], parent }),
    }))
    const pool = createPool({ targets })
    const calls = [0, 1, 2].map((i) =>
      fate(pool.run(({ name }) => pool.run((t) => `${name} ${t.name}`, { target: i % 2 ? 'a' : 'b' }))),
    )
    const around = fate(parent.run(() => pool.run(({ name }) => name)))
    await clock.runAll()
    expect(calls.map(({ now }) => now.slice(-2))).toEqual([' b', ' a', ' b'])
    expect(around.now).toMatch(/^ok: [ab]$/)
  })
})
