// The promise of a guard: never more than the limit in any window, and what it says is so.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { guard, type Guard, type GuardEvent } from 'llmiter/inbound'
import { VirtualClock } from 'llmiter/testing'
import { Table } from '../../src/inbound/memory-counter.ts'

const rig = (limit: string | string[], more: object = {}) => {
  const clock = new VirtualClock()
  return { clock, limiter: guard({ limit, clock, ...more }) }
}

/** The most in any window of this length, wherever it begins. */
function most(times: readonly number[], windowMs: number): number {
  return Math.max(
    0,
    ...times.map((end, i) => times.slice(0, i + 1).filter((at) => at > end - windowMs).length),
  )
}

describe('a limit', () => {
  test('lets the whole amount pass at once, and then as it leaves the window', async () => {
    const { clock, limiter } = rig('3 per 10s')
    const story: string[] = []
    const ask = async (at: number) => {
      await clock.advanceTo(at)
      const { allowed, retryAfterMs, limits } = await limiter.check('ann')
      story.push(`${at} ${allowed ? 'in' : `out, again in ${retryAfterMs}`}, ${limits[0]!.remaining} left`)
    }
    for (const at of [0, 1000, 2000, 2000, 9999, 10_000, 10_000, 11_000]) await ask(at)
    expect(story).toEqual([
      '0 in, 2 left',
      '1000 in, 1 left',
      '2000 in, 0 left',
      '2000 out, again in 8000, 0 left',
      '9999 out, again in 1, 0 left',
      '10000 in, 0 left',
      '10000 out, again in 1000, 0 left',
      '11000 in, 0 left',
    ])
  })

  test('has no edge at which twice as many pass', async () => {
    const { clock, limiter } = rig('10 per 60s')
    let passed = 0
    const storm = async () => {
      for (let i = 0; i < 50; i++) if ((await limiter.check('ann')).allowed) passed++
    }
    await clock.advanceTo(59_999)
    await storm()
    await clock.advanceTo(60_001)
    await storm()
    expect(passed).toBe(10)
  })

  test('a client that keeps asking gets as much as one that waits', async () => {
    const { clock, limiter } = rig('5 per 10s')
    let passed = 0
    for (let i = 0; i < 1000; i++) {
      await clock.advance(100)
      if ((await limiter.check('ann')).allowed) passed++
    }
    expect(passed).toBe(50)
  })

  test('beside others holds with them all, and what one refuses counts in none', async () => {
    const { clock, limiter } = rig(['2 per 1s', '5 per 60s'])
    const passed: number[] = []
    for (let i = 0; i < 200; i++) {
      if ((await limiter.check('ann')).allowed) passed.push(clock.now())
      await clock.advance(100)
    }
    expect(passed).toEqual([0, 100, 1000, 1100, 2000])
    const { retryAfterMs, limits } = await limiter.check('ann')
    expect(limits.map(({ name, remaining }) => [name, remaining])).toEqual([
      ['2 per 1s', 2],
      ['5 per 60s', 0],
    ])
    expect(retryAfterMs).toBe(40_000)
  })

  test('keeps clients apart, and guards', async () => {
    const chat = rig('1 per 60s').limiter
    const images = rig('1 per 60s').limiter
    for (const limiter of [chat, images])
      for (const key of ['ann', 'bob', 5]) expect((await limiter.check(key)).allowed).toBe(true)
    expect((await chat.check('ann')).allowed).toBe(false)
    expect((await chat.check('5')).allowed).toBe(false)
  })
})

describe('with random requests', () => {
  // The same limit twice is refused.
  const limits = fc.uniqueArray(
    fc.record({ amount: fc.integer({ min: 1, max: 12 }), per: fc.integer({ min: 1, max: 5000 }) }),
    { minLength: 1, maxLength: 3, selector: ({ amount, per }) => `${amount} per ${per}` },
  )
  const arrivals = fc.array(
    fc.record({
      after: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 3000 })),
      who: fc.constantFrom('ann', 'bob', 'eve'),
      times: fc.integer({ min: 1, max: 20 }),
    }),
    { minLength: 1, maxLength: 40 },
  )

  test('no window exceeds a limit, and a client that waits as told is accepted, not a ms earlier', async () => {
    await fc.assert(
      fc.asyncProperty(limits, arrivals, async (all, visits) => {
        const clock = new VirtualClock()
        const named = all.map((limit, i) => ({ ...limit, name: `limit ${i}` }))
        const limiter = guard({ limit: named, clock })
        const passed: Record<string, number[]> = { ann: [], bob: [], eve: [] }
        for (const { after, who, times } of visits) {
          await clock.advance(after)
          for (let i = 0; i < times; i++) {
            const { allowed, limits, retryAfterMs } = await limiter.check(who)
            if (allowed) passed[who]!.push(clock.now())
            const counts = all.map(({ per }) => passed[who]!.filter((at) => at > clock.now() - per).length)
            expect(limits.map(({ amount, remaining }) => amount - remaining)).toEqual(counts)
            expect(allowed || retryAfterMs > 0).toBe(true)
          }
        }
        for (const { amount, per } of all)
          for (const times of Object.values(passed)) expect(most(times, per)).toBeLessThanOrEqual(amount)

        const { allowed, retryAfterMs } = await limiter.check('ann')
        if (allowed) return
        await clock.advance(retryAfterMs - 1)
        expect((await limiter.check('ann')).allowed).toBe(false)
        await clock.advance(1)
        expect((await limiter.check('ann')).allowed).toBe(true)
      }),
      { numRuns: 300 },
    )
  }, 30_000)
})

describe('a flood of keys', () => {
  test('locks no client out: clients far from the limit are forgotten, those at the limit are not; reported once', async () => {
    const { clock, limiter } = rig('2 per 60s', { maxKeys: 1000 })
    const full: GuardEvent<'full'>[] = []
    limiter.on('full', (event) => full.push(event))
    for (const key of ['ann', 'ann', 'eve', 'eve']) await limiter.check(key)
    for (let i = 0; i < 5000; i++) expect((await limiter.check(`made up ${i}`)).allowed).toBe(true)
    expect(full).toEqual([{ guard: 'guard', keys: 1000 }])
    expect((await limiter.check('bob')).allowed).toBe(true)
    for (const key of ['ann', 'eve'])
      expect(await limiter.check(key)).toMatchObject({ allowed: false, reason: 'limit' })

    await clock.advance(60_000)
    for (let i = 0; i < 5000; i++) await limiter.check(`another ${i}`)
    expect(full.length).toBe(2)
  })

  test('fills the table of the day for a day, and that of the minute for a minute', async () => {
    const { clock, limiter } = rig(['2 per 60s', '3 per day'], { maxKeys: 1000 })
    for (let i = 0; i < 3000; i++) await limiter.check(`made up ${i}`)
    await clock.advance(60_000)
    const story = []
    for (let i = 0; i < 4; i++) {
      const { allowed, limits } = await limiter.check('bob')
      story.push([allowed, ...limits.map(({ remaining }) => remaining)])
      await clock.advance(20_000)
    }
    expect(story).toEqual([
      [true, 1, 2],
      [true, 0, 1],
      [false, 0, 1],
      [true, 0, 0],
    ])
  })

  test('with all of their limits used up still lets a stranger in, and holds it to its limit', async () => {
    const { limiter } = rig('2 per 60s', { maxKeys: 5000 })
    for (let i = 0; i < 5000; i++) for (let k = 0; k < 2; k++) await limiter.check(`spent ${i}`)
    expect(await Promise.all([1, 2, 3].map(() => limiter.check('bob')))).toMatchObject([
      { allowed: true },
      { allowed: true },
      { allowed: false },
    ])
  })

  test('does not switch the limit off for those who come after it', async () => {
    const { limiter } = rig('10 per 60s', { maxKeys: 1000 })
    for (let i = 0; i < 1000; i++) for (let k = 0; k < 3; k++) await limiter.check(`known ${i}`)
    let passed = 0
    for (let i = 0; i < 300; i++) if ((await limiter.check(i % 2 ? 'odd' : 'even')).allowed) passed++
    expect(passed).toBe(20)
  })

  const node = (address: string) => ({ headers: {}, socket: { remoteAddress: address } })
  function asked(limiter: Guard<unknown>, address: string): Promise<boolean> {
    const response = { statusCode: 200, headersSent: false, getHeader() {}, setHeader() {}, end() {} }
    return limiter(node(address), response)
  }
  const address = (network: number, host: number) =>
    `2001:db8:${network.toString(16)}:${host.toString(16)}::1`

  test('from two /48s: exact until the table is full, and then they share by /56 and /48; others do not', async () => {
    const { limiter } = rig(['15/minute', '200 per day'], { maxKeys: 20_000 })
    for (let i = 0; i < 20_000; i++) expect(await asked(limiter, address(i % 2, i))).toBe(true)
    let passed = 0
    for (let i = 20_000; i < 60_000; i++) if (await asked(limiter, address(i % 2, i))) passed++
    // 16 blocks of each, and the rest of it.
    expect(passed).toBe(2 * 17 * 15)
    expect(await asked(limiter, address(7, 1))).toBe(true)
    expect(await asked(limiter, '203.0.113.9')).toBe(true)
    // Known from before: it is still counted by itself.
    expect(await asked(limiter, address(0, 10_000))).toBe(true)
  })

  test('is as wide as `ipv6Prefix` says', async () => {
    const { limiter } = rig('1 per 60s', { ipv6Prefix: 48 })
    const story = []
    for (const host of [1, 2]) story.push(await asked(limiter, address(1, host)))
    expect([...story, await asked(limiter, address(2, 1))]).toEqual([true, false, true])
  })

  test('never makes a table hold more than its bound; up to there every count is exact, and nobody who is new is refused', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20 }),
        fc.array(fc.tuple(fc.integer({ min: 0, max: 400 }), fc.integer({ min: 0, max: 40 })), {
          maxLength: 300,
        }),
        (maxKeys, visits) => {
          const table = new Table([{ amount: 2, windowMs: 1000 }], maxKeys)
          const passed = new Map<number, number[]>()
          let now = 0
          let wasFull = false
          for (const [after, who] of visits) {
            now += after
            const { allowed } = table.take(`${who}`, now)
            wasFull ||= table.full
            expect(table.size).toBeLessThanOrEqual(maxKeys)
            const lately = (passed.get(who) ?? []).filter((at) => at > now - 1000)
            if (!wasFull) expect(allowed).toBe(lately.length < 2)
            if (lately.length < 2) expect(allowed).toBe(true)
            if (allowed) passed.set(who, [...lately, now])
          }
        },
      ),
      { numRuns: 300 },
    )
  })

  test('of long keys is kept short, and they stay apart', async () => {
    const { limiter } = rig('1 per 60s', { hashKeys: false })
    const keys: string[] = []
    limiter.on('refuse', ({ key }) => keys.push(key))
    const long = 'x'.repeat(1_000_000)
    for (const end of ['a', 'b']) expect((await limiter.check(long + end)).allowed).toBe(true)
    expect((await limiter.check(`${long}a`)).allowed).toBe(false)
    expect(keys[0]).toMatch(/^key sha256 [0-9a-f]{64}$/)
  })
})

test('keys are told as hashes: the same for the same client, and nothing of a token can be read', async () => {
  const { limiter } = rig('1 per 60s')
  const keys: string[] = []
  limiter.on('refuse', ({ key }) => keys.push(key))
  for (const key of ['Bearer ann', 'Bearer bob']) for (let i = 0; i < 3; i++) await limiter.check(key)
  expect(keys).toHaveLength(4)
  expect(new Set(keys).size).toBe(2)
  for (const key of keys) expect(key).toMatch(/^sha256:[0-9a-f]{32}$/)
})

test('a listener that throws disturbs nobody', async () => {
  const { limiter } = rig('1 per 60s')
  const errors: unknown[] = []
  limiter.on('refuse', () => {
    throw new Error('mine')
  })
  limiter.on('error', ({ error, where }) => errors.push([(error as Error).message, where]))
  limiter.on('error', () => {
    throw new Error('even this one')
  })
  await limiter.check('ann')
  expect((await limiter.check('ann')).allowed).toBe(false)
  expect(errors).toEqual([['mine', `listener of 'refuse'`]])
})
