// A rate, whatever happens to it; a measure; the end of a window.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { WindowPhase } from '../../../src/core/gate/window-phase.ts'
import { Throughput } from '../../../src/core/rate/throughput.ts'
import { RateEstimator } from '../../../src/core/rate/rate-estimator.ts'

const CONFIGURED = 0.01

describe('a rate', () => {
  const anyEvent = fc.oneof(
    fc.constantFrom('press', 'rest', 'send', 'send', 'send', 'refuse', 'close', 'open', 'reopen', 'ease'),
    fc.record({ told: fc.double({ min: 1e-6, max: 1, noNaN: true }) }),
  )
  const anyStory = fc.array(fc.tuple(fc.oneof(fc.nat(200), fc.nat(90_000), fc.nat(10_000_000)), anyEvent), {
    maxLength: 300,
    size: 'max',
  })
  const closure = { edge: false, told: false, refusedMs: 0 }

  test('property: stays between a twentieth (a hundredth while it grows) and all of what was configured, in any order of events', () => {
    fc.assert(
      fc.property(anyStory, fc.boolean(), fc.boolean(), (story, grows, discover) => {
        const rate = new RateEstimator(CONFIGURED, discover)
        let now = 0
        let least = CONFIGURED
        for (const [gap, event] of story) {
          now += gap
          if (typeof event === 'object') {
            rate.told(event.told)
            least = Math.min(least, event.told)
          } else if (event === 'press' || event === 'rest') rate.press(event === 'press', now)
          else if (event === 'send') rate.sent(1, now)
          else if (event === 'refuse') rate.refused(1)
          else if (event === 'close') rate.closed(now)
          else if (event === 'ease') rate.ease(grows ? 'growing' : 'eased', now)
          else rate.reopened(event === 'open' ? undefined : closure, now)
          const at = rate.at(now)
          // A rate that was found dips by a tenth, one that was trimmed is a twentieth lower.
          const floor = rate.share(now)?.of === 'growing' ? 0.01 : 0.05
          expect(at).toBeGreaterThanOrEqual(0.9 * floor * (1 - 1e-9) * Math.min(CONFIGURED, least))
          if (!discover) expect(at).toBeLessThanOrEqual(CONFIGURED * (1 + 1e-9))
          expect(rate.at(now)).toBe(at)
        }
      }),
      { numRuns: 300, endOnFailure: true },
    )
  })

  test('what is shared of a rate that is refused and climbs, again and again, stays as long, and says all that is followed', () => {
    const [rate, other] = [new RateEstimator(CONFIGURED), new RateEstimator(CONFIGURED)]
    rate.press(true, 0)
    other.press(true, 0)
    let now = 0
    let longest = 0
    for (let round = 0; round < 40; round++) {
      for (let i = 0; i < 300; i++) rate.sent(1, (now += Math.max(101, 200 * 0.9 ** (round % 20))))
      rate.refused(1)
      rate.closed(now)
      rate.reopened(closure, (now += 500))
      const shared = rate.share(now)
      longest = Math.max(longest, JSON.stringify(shared ?? {}).length)
      other.adopt(shared, now)
      expect(other.at(now)).toBeCloseTo(rate.at(now), 9)
      expect(other.tried(now)).toBe(rate.tried(now))
    }
    expect(longest).toBeGreaterThan(100)
    expect(longest).toBeLessThan(400)
  })

  test('a closed gate and an empty line stop the time in which a climb proves itself', () => {
    const rate = new RateEstimator(CONFIGURED)
    rate.adopt({ rate: CONFIGURED / 2, ageMs: 0, confirmed: 1 }, 0)
    rate.press(true, 0)
    const later = (ms: number) => rate.at(ms) / CONFIGURED
    expect(later(30_000)).toBe(0.5)
    expect(later(60_000)).toBeGreaterThan(0.55)
    rate.closed(60_000)
    const reached = later(60_000)
    expect(later(600_000)).toBe(reached)
    rate.reopened(undefined, 600_000)
    rate.press(false, 600_000)
    expect(later(6_000_000)).toBe(reached)
    rate.press(true, 6_000_000)
    expect(later(6_030_000)).toBeGreaterThan(1.1 * reached)
  })
})

describe('a measure', () => {
  test('from one reopening to another it is exact, although a bucket had saved up a stock', () => {
    const measure = new Throughput()
    measure.press(true, 0)
    // 100 at once, then ten a second in clumps of ten.
    for (let i = 0; i < 100; i++) measure.sent(1, i, 1)
    measure.reopened(0, 1000)
    for (let second = 1; second < 5; second++) {
      for (let i = 0; i < 10; i++) measure.sent(1, second * 1000 + i, 1)
      measure.reopened(0, (second + 1) * 1000)
    }
    expect(measure.cycle(4500, 1000, undefined, 5000)).toBeCloseTo(10 / 1000, 12)
    expect(measure.over(5000, 0, 5000)).toBeCloseTo(140 / 5000, 12)
  })

  test('quiet time does not count', () => {
    const measure = new Throughput()
    measure.press(true, 0)
    for (let i = 0; i < 20; i++) measure.sent(1, i * 100, 1)
    measure.press(false, 2000)
    measure.press(true, 3_602_000)
    for (let i = 0; i < 20; i++) measure.sent(1, 3_602_000 + i * 100, 1)
    expect(measure.over(4000, 0, 3_604_000)).toBeCloseTo(0.01, 12)
  })

  test('too little is no measure', () => {
    const measure = new Throughput()
    measure.press(true, 0)
    measure.sent(1, 0, 1)
    measure.sent(1, 10, 1)
    expect(measure.over(5000, 0, 5000)).toBeUndefined()
  })
})

describe('the end of a window', () => {
  const found = (...times: [closedAt: number, from: number, to: number][]) => {
    const edge = new WindowPhase()
    for (const time of times) edge.found(...time)
    return edge
  }

  test('is known when the gate could open at the same second twice', () => {
    const edge = found([30_000, 58_000, 61_000], [100_000, 119_500, 120_500])
    expect(edge.known).toBe(true)
    // Between 119.5 and 120.5, so at second 0.5 of each minute at the latest; J on top.
    expect(edge.waitMs(130_000)).toBe(50_550)
    expect(edge.waitMs(179_000)).toBe(1550)
  })

  test('not by other seconds, not by a bucket that opens at once, and not any more when it was wrong', () => {
    expect(found([30_000, 58_000, 61_000], [70_000, 88_000, 90_000]).known).toBe(false)
    expect(found([59_500, 60_000, 60_500], [119_600, 119_900, 120_400]).known).toBe(false)
    const edge = found([30_000, 58_000, 61_000], [100_000, 119_500, 120_500])
    edge.missed()
    expect(edge.known).toBe(false)
  })

  test('is believed more with each time it was right', () => {
    const edge = found([30_000, 58_000, 61_000], [100_000, 119_500, 120_500])
    expect(edge.doubt).toBe(0.5)
    edge.found(170_000, 179_000, 180_200)
    expect(edge.doubt).toBeCloseTo(1 / 3)
  })
})
