// States of targets, the circuit breaker, and what happens to a call whose target fails.

import { createPool, type PoolSnapshot } from 'llmiter/pool'
import { describe, expect, test } from 'vitest'
import { collect, fate, outOfQuota, rateLimited, refusal } from '../helpers.ts'
import { fails, poolOf } from './rig.ts'

const MINUTE = 60_000

describe('a key that is rejected', () => {
  test('is dead; one real call tries after 10 minutes, then after 20, and then it works again', async () => {
    const { pool, clock, ask, counts, stateOf } = poolOf({ a: {}, b: { tier: 2 } })
    let good = false
    const answers = { a: () => (good ? 'a' : fails(401)()) }
    const calls = async (n: number) => {
      for (let i = 0; i < n; i++) await pool.run(ask(0, answers))
    }
    await calls(5)
    expect(counts()).toEqual({ a: 1, b: 5 })
    expect(stateOf('a')).toMatchObject({ state: 'dead', until: clock.wall() + 10 * MINUTE })
    await clock.advance(10 * MINUTE)
    await calls(5)
    expect(counts()).toEqual({ a: 2, b: 10 })
    expect(stateOf('a')).toMatchObject({ state: 'dead', until: clock.wall() + 20 * MINUTE })
    good = true
    await clock.advance(20 * MINUTE)
    await calls(5)
    expect(counts()).toEqual({ a: 7, b: 10 })
    expect(stateOf('a')).toEqual({ state: 'ready' })
  })

  test('is tried at once after retry(name)', async () => {
    const { pool, ask, stateOf } = poolOf({ a: {}, b: { tier: 2 } })
    expect(await pool.run(ask(0, { a: fails(401) }))).toBe('b')
    // No call waits ten minutes for a wrong key.
    const forced = pool.run(ask(), { target: 'a' })
    await expect(forced).rejects.toMatchObject({ code: 'NO_TARGET', cause: { status: 401 } })
    pool.retry('a')
    expect(await pool.run(ask())).toBe('a')
    expect(stateOf('a')).toEqual({ state: 'ready' })
  })

  test('is not put aside if it is the only target: the rejection is the answer of one call', async () => {
    const { pool, ask, counts, stateOf } = poolOf({ a: {} })
    for (let i = 0; i < 3; i++) await expect(pool.run(ask(0, { a: fails(401) }))).rejects.toThrow('HTTP 401')
    expect(stateOf('a')).toEqual({ state: 'ready' })
    expect(await pool.run(ask())).toBe('a')
    expect(counts()).toEqual({ a: 4 })
    expect(pool.stats().targets[0]).toMatchObject({ answered: 1, failed: 3 })
  })

  test('is alone, too, while all others are dead, spent or stopped', async () => {
    const { pool, targets, clock, ask, stateOf } = poolOf({
      dead: {},
      spent: {},
      stopped: {},
      a: { tier: 2 },
    })
    const spent = () => {
      throw outOfQuota()
    }
    targets[2]!.limiter.stop()
    expect(await pool.run(ask(0, { dead: fails(401), spent }))).toBe('a')
    await expect(pool.run(ask(0, { a: fails(401) }))).rejects.toThrow('HTTP 401')
    expect(pool.stats().targets.map(({ state }) => state.state)).toEqual([
      'dead',
      'spent',
      'stopped',
      'ready',
    ])
    await clock.advance(MINUTE)
    await expect(pool.run(ask(0, { a: fails(401) }), { target: 'a' })).rejects.toThrow('HTTP 401')
    expect(stateOf('a').state).toBe('dead')
    expect(await pool.run(ask())).toBe('spent')
  })

  test('for one call (403) is tried by the next: another target may have other rights', async () => {
    const { pool, ask, log, stateOf } = poolOf({ a: {}, b: { tier: 2 } })
    expect(await pool.run(ask(0, { a: fails(403) }))).toBe('b')
    expect(stateOf('a')).toEqual({ state: 'ready' })
    expect(await pool.run(ask())).toBe('a')
    await expect(pool.run(ask(0, { a: fails(403), b: fails(403) }))).rejects.toThrow('HTTP 403')
    expect(log.map(({ target }) => target).join('')).toBe('abaab')
  })

  test('that was used by several calls at once counts as one failure', async () => {
    const { pool, clock, ask, stateOf } = poolOf({ a: {}, b: { tier: 2 } })
    const all = Promise.all(Array.from({ length: 5 }, () => pool.run(ask(100, { a: fails(401) }))))
    await clock.runAll()
    await all
    const { until } = stateOf('a') as { until: number }
    expect(until - clock.wall()).toBeLessThanOrEqual(10 * MINUTE)
  })
})

test('a quota that is used up: its calls go elsewhere, and back when it is said to return', async () => {
  const { pool, clock, ask, counts, stateOf } = poolOf({ a: {}, b: { tier: 2 } })
  let spent = true
  const answers = {
    a: () => {
      if (spent) throw outOfQuota()
      return 'a'
    },
  }
  expect(await pool.run(ask(0, answers))).toBe('b')
  expect(await pool.run(ask(0, answers))).toBe('b')
  expect(stateOf('a').state).toBe('spent')
  expect(counts()).toEqual({ a: 1, b: 2 })
  spent = false
  await clock.advance(MINUTE)
  expect(await pool.run(ask(0, answers))).toBe('a')
  expect(stateOf('a')).toEqual({ state: 'ready' })
})

test('a later deadline is not replaced by an earlier one', async () => {
  const { pool, clock, ask, stateOf } = poolOf({ a: {}, b: {} })
  const waits = [60_000, 1000]
  const answers = {
    a: () => {
      throw rateLimited(waits.shift())
    },
  }
  void pool.run(ask(100, answers), { target: 'a', maxWaitMs: '1s' }).catch(() => {})
  void pool.run(ask(200, answers), { target: 'a', maxWaitMs: '1s' }).catch(() => {})
  await clock.advance(300)
  const { state, until } = stateOf('a') as { state: string; until: number }
  expect(state).toBe('gated')
  expect(until - clock.wall()).toBeGreaterThan(59_000)
  await clock.runAll()
})

test('pause and resume; events tell each state', async () => {
  const { pool, clock, ask } = poolOf({ a: { maxConcurrent: 1 } })
  const told: string[] = []
  pool.on('state', ({ target, state }) => told.push(`${target} ${state.state}`))
  pool.pause('a')
  const waits = fate(pool.run(ask(10)))
  const behind = fate(pool.run(ask(10)))
  await clock.advance(MINUTE)
  expect(waits.now).toBe('pending')
  pool.resume('a')
  await clock.runAll()
  expect(behind.now).toBe('ok: a')
  expect(told).toEqual(['a paused', 'a full', 'a ready'])
  expect(() => pool.pause('z')).toThrow(/no target 'z'; known: a/)
})

describe('the circuit breaker', () => {
  const breaker = { minCalls: 4, share: 0.5, windowMs: '30s', openMs: '30s' } as const

  test('opens by share after a least number of calls; half-open lets 1, 2, 4 calls go', async () => {
    const { pool, clock, ask, log, stateOf } = poolOf({ a: {} }, { breaker })
    for (let i = 0; i < 3; i++) await pool.run(ask(0, { a: fails(500) })).catch(() => {})
    expect(stateOf('a').state).toBe('ready')
    await pool.run(ask(0, { a: fails(500) })).catch(() => {})
    expect(stateOf('a')).toMatchObject({ state: 'broken', until: clock.wall() + 30_000 })
    const all = Promise.all(Array.from({ length: 20 }, () => pool.run(ask(1000))))
    await clock.runAll()
    await all
    const times = log.slice(4).map(({ at }) => at / 1000)
    const at = (second: number) => times.filter((time) => time === second).length
    expect([at(30), at(31), at(32), at(33)]).toEqual([1, 2, 4, 13])
  })

  test('a probe that fails opens it again; one that is given up lets the next one try', async () => {
    const { pool, clock, ask, log, stateOf } = poolOf({ a: {} }, { breaker })
    for (let i = 0; i < 4; i++) await pool.run(ask(0, { a: fails(500) })).catch(() => {})
    for (let i = 0; i < 4; i++) await pool.run(ask(0, { a: fails(500) }), { maxWaitMs: 0 }).catch(() => {})
    await clock.advance(40_000)
    const before = log.length
    const leave = new AbortController()
    const gone = fate(pool.run(ask(5000), { signal: leave.signal }))
    await clock.advance(0)
    leave.abort(new Error('left'))
    await clock.advance(0)
    expect(gone.now).toBe('error: left')
    const probe = fate(pool.run(ask(0, { a: fails(500) })))
    await clock.advance(5000)
    expect(probe.now).toBe('error: HTTP 500')
    expect(log.length - before).toBe(2)
    expect(stateOf('a').state).toBe('broken')
  })

  test('knows nothing of refusals and of errors of the caller', async () => {
    const { pool, clock, ask, stateOf } = poolOf({ a: {}, b: { tier: 2 } }, { breaker })
    for (let i = 0; i < 20; i++) {
      await pool.run(ask(0, { a: fails(400) })).catch(() => {})
      void pool.run(ask(0, { a: fails(429, { 'retry-after-ms': '10' }) }))
      await clock.advance(20_000)
    }
    expect(stateOf('a').state).not.toBe('broken')
  })

  test('opens after so many failures, if it says so, and by the statuses that it names', async () => {
    const own = { failures: 2, statuses: [404, 429], minCalls: 100 }
    const { pool, targets, clock, ask, stateOf } = poolOf({ a: {} }, { breaker: own })
    for (let i = 0; i < 5; i++) {
      await pool.run(ask(0, { a: fails(500) })).catch(() => {})
      await pool.run(ask())
    }
    await pool.run(ask(0, { a: fails(404) })).catch(() => {})
    expect(stateOf('a').state).toBe('ready')
    await pool.run(ask(0, { a: fails(404) })).catch(() => {})
    expect(stateOf('a')).toMatchObject({ state: 'broken', until: clock.wall() + 30_000 })
    const none = createPool({ targets: [{ ...targets[0]!, breaker: false }], breaker: own })
    for (let i = 0; i < 5; i++) await none.run(ask(0, { a: fails(404) })).catch(() => {})
    expect(none.stats().targets[0]!.state.state).toBe('ready')
    expect(() => createPool({ targets: [{ ...targets[0]!, breaker: { failures: 0 } }] })).toThrow(
      /targets\[0\].breaker.failures must be a whole number of at least 1/,
    )
    expect(() => createPool({ targets, breaker: { statuses: ['500' as never] } })).toThrow(/breaker.statuses/)
  })

  test('takes timeouts and lost connections for failures', async () => {
    const { pool, clock, ask, stateOf } = poolOf({ a: {} }, { breaker })
    const lost = () => {
      throw Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' })
    }
    for (let i = 0; i < 2; i++) await pool.run(ask(0, { a: lost })).catch(() => {})
    for (let i = 0; i < 2; i++) void pool.run(ask(60_000), { timeoutMs: '1s' }).catch(() => {})
    await clock.advance(1000)
    expect(stateOf('a').state).toBe('broken')
    await clock.runAll()
  })
})

describe('fallback', () => {
  test('goes on after a failure, each target once; at the end the last error is the caller’s', async () => {
    const { pool, ask, log } = poolOf({ a: {}, b: { tier: 2 }, c: { tier: 3 } })
    expect(await pool.run(ask(0, { a: fails(500) }))).toBe('b')
    await expect(pool.run(ask(0, { a: fails(500), b: fails(502), c: fails(504) }))).rejects.toMatchObject({
      status: 504,
    })
    expect(log.map(({ target }) => target).join('')).toBe('ababc')
  })

  test('by status, or by a predicate', async () => {
    const by = async (fallbackOn: number[] | ((error: unknown) => boolean)) => {
      const { pool, ask } = poolOf({ a: {}, b: { tier: 2 } }, { fallbackOn })
      return pool.run(ask(0, { a: fails(404) })).catch((error: Error) => error.message)
    }
    expect(await by([404])).toBe('b')
    expect(await by([422])).toBe('HTTP 404')
    expect(await by((error) => (error as { status: number }).status === 404)).toBe('b')
  })

  test('a call that speaks of what one target keeps stays there', async () => {
    const { pool, ask } = poolOf({ a: {}, b: {} })
    for (let i = 0; i < 4; i++) expect(await pool.run(ask(), { target: 'b' })).toBe('b')
    await expect(pool.run(ask(0, { b: fails(500) }), { target: 'b' })).rejects.toThrow('HTTP 500')
    await expect(pool.run(ask(), { target: 'c' })).rejects.toThrow(/no target 'c'/)
  })

  test('attempts are bounded', async () => {
    const { pool, clock, ask, log } = poolOf({ a: {} }, { maxAttempts: 3 })
    const end = fate(pool.run(ask(0, { a: fails(429, { 'retry-after-ms': '10' }) })))
    await clock.runAll()
    expect(end.now).toBe('error: HTTP 429')
    expect(log).toHaveLength(3)
  })

  test('a returned Response counts as a thrown error does', async () => {
    const { pool, ask } = poolOf({ a: {}, b: { tier: 2 } })
    const answers = { a: () => new Response('no', { status: 500 }), b: () => new Response('yes') }
    const response = (await pool.run(ask(0, answers))) as unknown as Response
    expect(await response.text()).toBe('yes')
    const last = {
      a: () => new Response('no', { status: 500 }),
      b: () => new Response('nor I', { status: 502 }),
    }
    const end = (await pool.run(ask(0, last))) as unknown as Response
    expect([end.status, await end.text()]).toEqual([502, 'nor I'])
  })

  async function* chunks(all: readonly unknown[], error?: Error) {
    for (const chunk of all) yield await Promise.resolve(chunk)
    if (error) throw error
  }
  const start = { type: 'message_start' }

  test('a stream that fails before its first content is tried elsewhere unseen', async () => {
    const { pool, targets } = poolOf({ a: {}, b: { tier: 2 } })
    const stream = await pool.run(({ name }) =>
      name === 'a' ? chunks([start], refusal(500)) : chunks([start, 'hel', 'lo']),
    )
    expect(await collect(stream)).toEqual([start, 'hel', 'lo'])
    for (const { limiter } of targets) expect(limiter.stats().inFlight).toBe(0)
  })

  test('after its first content the error is the caller’s', async () => {
    const { pool } = poolOf({ a: {}, b: { tier: 2 } })
    const stream = await pool.run(() => chunks(['hel'], refusal(500)))
    await expect(collect(stream)).rejects.toThrow('HTTP 500')
  })

  test('web streams too, and nothing of them is lost', async () => {
    const { pool } = poolOf({ a: {}, b: { tier: 2 } })
    const web = (name: string) =>
      new ReadableStream<number>({
        start(controller) {
          if (name === 'a') return controller.error(refusal(500))
          for (const chunk of [1, 2, 3]) controller.enqueue(chunk)
          controller.close()
        },
      })
    const stream = await pool.run(({ name }) => web(name))
    expect(await collect(stream as unknown as AsyncIterable<unknown>)).toEqual([1, 2, 3])
  })
})

test('states survive a restart', async () => {
  const one = poolOf({ dead: {}, paused: {}, well: { requestsPerMinute: 60 } })
  await one.pool.run(one.ask(0, { dead: fails(401) }), { target: 'dead' }).catch(() => {})
  one.pool.pause('paused')
  await one.pool.run(one.ask(), { target: 'well' })
  const saved = JSON.parse(JSON.stringify(one.pool.snapshot())) as PoolSnapshot
  const two = poolOf({ dead: {}, paused: {}, well: { requestsPerMinute: 60 }, new: {} })
  two.pool.restore(saved)
  expect(two.pool.stats().targets.map(({ state }) => state.state)).toEqual([
    'dead',
    'paused',
    'ready',
    'ready',
  ])
  expect(two.stateOf('dead')).toMatchObject({ until: two.clock.wall() + 10 * MINUTE })
  expect(() => two.pool.restore({} as never)).toThrow(/what snapshot\(\) gave/)
  const { limiter } = saved.targets.well!
  const budget = { name: 'pool per day', resetsAt: 1, spent: [['', { requests: NaN, tokens: 0, usd: 0 }]] }
  for (const [change, where] of [
    [{ version: 2 }, /the version 2, and this version of llmiter reads version 1/],
    [{ wall: NaN }, /gave, got {version, wall/],
    [{ targets: null }, /gave, got {version, wall/],
    [{ targets: { well: {} } }, /got {} in targets\.well/],
    [{ targets: { well: { limiter, deadMs: '5' } } }, /in targets\.well/],
    [{ targets: { well: { limiter, spentMs: -1 } } }, /in targets\.well/],
    [{ budgets: 'all' }, /got 'all' in budgets/],
    [{ budgets: [budget] }, /in budgets/],
  ] as const)
    expect(() => two.pool.restore({ ...saved, ...change } as never)).toThrow(where)
})
