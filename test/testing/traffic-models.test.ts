/** Providers that look back, or count calls in flight: tests of what each accepts. */
import { describe, expect, test } from 'vitest'
import {
  AccelerationProvider,
  ConcurrencyProvider,
  lognormal,
  pareto,
  SlidingLogProvider,
} from '../../src/testing/index.ts'
import { admitted, limitOf, transcript } from './transcript.ts'

const MINUTE = 60_000

describe('SlidingLogProvider', () => {
  test('lets a call in when one has left the last minute, and tells nobody when that is', () => {
    const provider = new SlidingLogProvider({ requestsPerMinute: 2, failuresCount: false })
    expect(
      transcript(provider, [[0], [20_000], [20_001], [59_999], [60_000], [60_001], [79_999], [80_000]]),
    ).toEqual(['ok', 'ok', 'requests', 'requests', 'ok', 'requests', 'requests', 'ok'])
    expect(limitOf(provider, 90_000)).toEqual({
      of: 'requests',
      amount: 2,
      perMs: MINUTE,
      remaining: 0,
      resetMs: 50_000,
    })
  })

  test('who hammers is never let in again, until he is quiet for a minute', () => {
    const provider = new SlidingLogProvider({ requestsPerMinute: 60 })
    const answers = Array.from({ length: 6000 }, (_, i) => provider.ask(i * 100).kind)
    expect(answers.filter((kind) => kind === 'admitted')).toHaveLength(60)
    expect(answers.lastIndexOf('admitted')).toBe(59)
    expect(provider.waitMs(600_000)).toBe(59_900 - 59 * 100)
    expect(provider.limits(600_000)[0]!.remaining).toBe(0)
    expect(transcript(provider, [[660_000]])).toEqual(['ok'])
  })

  test('tokens are those that were reserved, and stay for a minute', () => {
    const provider = new SlidingLogProvider({ tokensPerMinute: 1000, retryAfter: 'exact' })
    admitted(provider, 0, { inputTokens: 100, maxOutputTokens: 500 }).finish(1, { inputTokens: 100 })
    admitted(provider, 1000, { inputTokens: 300 })
    expect(
      transcript(provider, [
        [2000, { inputTokens: 101 }],
        [2000, { inputTokens: 701 }],
        [2000, { inputTokens: 1001 }],
      ]),
    ).toEqual(['tokens +58000', 'tokens +59000', 'tokens'])
  })
})

describe('AccelerationProvider', () => {
  test('doubles from minute to minute as long as it is used, up to the limit', () => {
    const provider = new AccelerationProvider({ requestsPerMinute: 50, floorPerMinute: 10 })
    const minutes = [0, 1, 2, 3, 4, 5, 7, 8].map((minute) => {
      let count = 0
      while (provider.ask(minute * MINUTE).kind === 'admitted') count++
      return count
    })
    expect(minutes).toEqual([10, 20, 40, 50, 50, 50, 10, 20])
  })

  test('a refusal tells when a call leaves the last minute; headers tell only the limit of the account', () => {
    const provider = new AccelerationProvider({ requestsPerMinute: 50, floorPerMinute: 2 })
    expect(transcript(provider, [[0], [10_000], [20_000], [60_000], [60_000], [70_000]])).toEqual([
      'ok',
      'ok',
      'requests +40000',
      'ok',
      'requests +10000',
      'ok',
    ])
    expect(limitOf(provider, 70_000)).toMatchObject({ amount: 50, remaining: 48, resetMs: MINUTE })
    expect(provider.ask(70_000)).toMatchObject({ kind: 'admitted' })
  })

  test('a client that spreads its calls is never refused if it begins to grow late; that costs two minutes once', () => {
    const provider = new AccelerationProvider({ requestsPerMinute: 600, floorPerMinute: 60 })
    const lateness = [100, 1000, 10_000].map((calls) => {
      const fresh = provider.unused()
      let now = 0
      for (let done = 0; done < calls; done++) {
        admitted(fresh, now)
        const perMinute = Math.min(600, 60 * 2 ** Math.max(0, (now - 92_000) / 66_000))
        now += MINUTE / perMinute
      }
      return (now - provider.optimumMs(0, calls)) / MINUTE
    })
    for (const minutes of lateness) expect(minutes).toBeLessThan(2.5)
  })

  test('a client that spreads its calls and doubles after a minute is refused', () => {
    const provider = new AccelerationProvider({ requestsPerMinute: 600, floorPerMinute: 60 })
    for (let i = 0; i < 60; i++) admitted(provider, i * 1000)
    expect(transcript(provider, [[60_000], [60_500], [61_000], [61_500]])).toEqual([
      'ok',
      'requests +500',
      'ok',
      'requests +500',
    ])
  })

  test('names the option that is wrong', () => {
    const options = { requestsPerMinute: 10, floorPerMinute: 1 }
    expect(() => new AccelerationProvider({ ...options, growth: 0.5 })).toThrow(
      'growth must be a number of at least 1, got 0.5',
    )
    expect(() => new AccelerationProvider({ ...options, floorPerMinute: 0 })).toThrow(
      'floorPerMinute must be',
    )
    expect(new AccelerationProvider({ ...options, growth: 1 }).optimumMs(0, 3)).toBe(2 * MINUTE)
  })
})

describe('ConcurrencyProvider', () => {
  test('makes room only when a call is over', () => {
    const provider = new ConcurrencyProvider({ concurrency: 2 })
    const first = admitted(provider, 0)
    admitted(provider, 0)
    expect(provider.ask(1e9)).toEqual({
      kind: 'refused',
      why: 'rate',
      status: 429,
      of: 'concurrency',
      limit: 2,
      used: 2,
      requested: 1,
    })
    expect(provider.limits(1e9)).toEqual([
      { of: 'concurrency', amount: 2, perMs: 0, remaining: 0, resetMs: Infinity },
    ])
    first.finish(1e9)
    first.finish(1e9)
    expect(transcript(provider, [[1e9], [1e9]])).toEqual(['ok', 'concurrency'])
  })

  test('the optimum starts each call in the first slot that comes free', () => {
    const provider = new ConcurrencyProvider({ concurrency: 2 })
    const times = [100, 10, 20, 30, 50, 1]
    const optimumMs = (calls: number) =>
      provider.optimumMs(0, calls, (index) => ({ serviceMs: times[index]! }))
    expect([1, 2, 3, 4, 5, 6].map(optimumMs)).toEqual([0, 0, 10, 30, 60, 100])
    expect(provider.optimumMs(0, 9, { serviceMs: 100 })).toBe(400)
    expect(provider.optimumMs(0, 9)).toBe(0)
  })
})

describe('heavy tails', () => {
  const share = (numbers: number[], isIn: (x: number) => boolean) =>
    numbers.filter(isIn).length / numbers.length

  test('lognormal: half below the median, and as many far above as the formula says', () => {
    const numbers = Array.from({ length: 50_000 }, lognormal({ median: 800, seed: 3 }))
    expect(share(numbers, (x) => x < 800)).toBeCloseTo(0.5, 2)
    expect(share(numbers, (x) => x > 800 * Math.E)).toBeCloseTo(0.159, 2)
    expect(Math.max(...numbers)).toBeLessThan(Infinity)
  })

  test('pareto: none below the least, and a tail by the power of its shape', () => {
    const numbers = Array.from({ length: 50_000 }, pareto({ min: 400, shape: 1.5, seed: 3 }))
    expect(Math.min(...numbers)).toBeGreaterThanOrEqual(400)
    expect(share(numbers, (x) => x > 1600)).toBeCloseTo(0.125, 2)
  })

  test('the same seed, the same numbers', () => {
    const three = (seed: number) => Array.from({ length: 3 }, lognormal({ median: 1, seed }))
    expect(three(5)).toEqual(three(5))
    expect(three(5)).not.toEqual(three(6))
    expect(() => pareto({ min: 1, shape: 0 })).toThrow('shape must be a number above 0, got 0')
  })
})
