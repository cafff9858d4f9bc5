// The smaller parts of the core, each by its own law: ramp, recovery, bucket.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Bucket } from '../../src/core/limit/gcra.ts'
import { parseLimits } from '../../src/core/limit/parse-limits.ts'
import { SlowStart } from '../../src/core/limit/slow-start.ts'
import { GateKeeper } from '../../src/core/gate/gate.ts'

describe('ramp', () => {
  test('stretches time by the share that is allowed, and never for longer than the ramp loses', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.05, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 10_000, noNaN: true }),
        fc.double({ min: 0, max: 9000, noNaN: true }),
        (from, ms, now) => {
          const ramp = new SlowStart({ ms: 5000, from })
          ramp.restart(0, from)
          const stretched = ramp.stretch(ms, now)
          expect(stretched).toBeGreaterThanOrEqual(ms)
          expect(stretched).toBeLessThanOrEqual(ms + (5000 * (1 - from)) / 2 + 1e-6)
          if (now >= 5000) expect(stretched).toBe(ms)
        },
      ),
    )
  })

  test('without a ramp nothing is stretched', () => {
    expect(new SlowStart(false).stretch(1000, 0)).toBe(1000)
  })
})

describe('recovery', () => {
  const gate = (luck = 0.5) =>
    new GateKeeper(
      () => luck,
      () => false,
      () => true,
      { offsetMs: 0 },
    )

  test('open, closed, probing, open', () => {
    const recovery = gate()
    expect(recovery.allows(0)).toBe(true)
    recovery.refused('rate', 1000, 0, 1, 40)
    expect([recovery.allows(1049), recovery.wakeAt(1049)]).toEqual([false, 1050])
    expect([recovery.allows(1050), recovery.gate.state]).toEqual([true, 'probing'])
    recovery.sent(1050)
    // SRTT 40 ms, RTTVAR 20 ms: quiet for 120 ms.
    expect([recovery.allows(1169), recovery.wakeAt(1169)]).toEqual([false, 1170])
    expect([recovery.allows(1170), recovery.gate.state]).toEqual([true, 'open'])
  })

  test('one closing for each epoch: refusals of calls sent before it are no news', () => {
    const recovery = gate()
    recovery.refused('rate', 1000, 0, 1, 100)
    expect([recovery.gate.state, recovery.wakeAt(0)]).toEqual(['closed', 1110])
    recovery.refused('rate', undefined, 50, 1, 150)
    expect([recovery.gate.state, recovery.wakeAt(0)]).toEqual(['closed', 1110])
    // But a longer wait that a late refusal names is heeded.
    recovery.refused('rate', 5000, 99, 1, 200)
    expect(recovery.wakeAt(0)).toBeGreaterThanOrEqual(5200)
  })

  test('backoff grows by half each time, capped by what the rate makes worth trying', () => {
    const waits = (rate: number) => {
      const recovery = gate()
      let now = 0
      return Array.from({ length: 14 }, () => {
        recovery.refused('rate', undefined, now, rate, now)
        const wait = recovery.wakeAt(now) - now
        now += wait
        recovery.allows(now)
        recovery.sent(now)
        return Math.round(wait)
      })
    }
    expect(waits(1)).toEqual([500, 750, 1125, 1688, 2531, 3797, ...Array(8).fill(5000)])
    expect(waits(1 / 6000).at(-1)).toBe(30_000)
    expect(waits(1 / 100).at(-1)).toBe(5000)
  })
})

describe('bucket', () => {
  const bucket = (options: Parameters<typeof parseLimits>[0], wall = { offsetMs: 0 }) =>
    new Bucket(parseLimits(options)[0]!, new SlowStart(false), wall)

  test('`at` is when it fits: taken there, it never breaks the cap', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            after: fc.integer({ min: 0, max: 20_000 }),
            cost: fc.integer({ min: 1, max: 100 }),
            crowded: fc.boolean(),
          }),
          { maxLength: 60 },
        ),
        fc.integer({ min: 1, max: 100 }),
        (steps, burst) => {
          const it = bucket({ limits: [{ of: 'x', amount: 100, per: '1m', burst }] })
          const log: [number, number][] = []
          let now = 0
          for (const { after, cost, crowded } of steps) {
            now += after
            it.crowd(crowded, now)
            now = Math.max(now, it.at(cost, now))
            it.take(cost, now)
            log.push([now, cost])
            const inWindow = log
              .filter(([at]) => at > now - 60_000)
              .reduce((sum, [, amount]) => sum + amount, 0)
            expect(inWindow).toBeLessThanOrEqual(100)
          }
        },
      ),
    )
  })

  test('what `available` says fits at once, and one more does not', () => {
    const it = bucket({ requestsPerMinute: 60, burst: 10 })
    for (const now of [0, 60_000, 61_500, 70_000, 200_000]) {
      const free = it.available(now)
      for (let i = 0; i < free; i++) {
        expect(it.at(1, now), `${i + 1} of ${free} at ${now}`).toBe(now)
        it.take(1, now)
      }
      expect(it.at(1, now)).toBeGreaterThan(now)
    }
  })

  test('a cost of 0 always fits and takes nothing', () => {
    const it = bucket({ requestsPerMinute: 1 })
    it.take(1, 0)
    it.take(0, 0)
    expect([it.at(0, 0), it.at(1, 0) > 59_000]).toEqual([0, true])
  })

  test('debt is bounded by one window, whatever is amended', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -1000, max: 100_000 }), { maxLength: 20 }), (differences) => {
        const it = bucket({ tokensPerMinute: 1000 })
        for (const difference of differences) {
          if (it.at(10, 0) === 0) it.take(10, 0)
          it.amend(difference, 0, 0)
        }
        expect(it.at(10, 0)).toBeLessThanOrEqual(60_050)
      }),
    )
  })
})
