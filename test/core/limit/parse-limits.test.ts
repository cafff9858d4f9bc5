// What was said, made exact.

import { expect, test } from 'vitest'
import { type LimitsOptions, parseLimits } from '../../../src/core/limit/parse-limits.ts'
import { duration } from '../../../src/lib/duration.ts'

test.each([
  [500, 500],
  ['500ms', 500],
  ['10s', 10_000],
  ['1m', 60_000],
  ['1.5m', 90_000],
  ['.5s', 500],
  ['2h', 7_200_000],
  ['1d', 86_400_000],
])('duration %j', (said, ms) => expect(duration(said, 'x')).toBe(ms))

test.each([0, -1, NaN, Infinity, '', 'm', '1', '1 minute', '1e3s', '-1s', '0s', null, undefined, {}, true])(
  'no duration: %j',
  (said) => {
    expect(() => duration(said, 'maxWaitMs')).toThrow(
      /maxWaitMs must be a time above 0 \(ms or like '1m'\), got/,
    )
  },
)

const exact: [LimitsOptions, Record<string, unknown>][] = [
  [
    { requestsPerMinute: 60 },
    { of: 'requests', amount: 60, windowMs: 60_000, burst: 5, paced: true, settle: 'usage' },
  ],
  [{ requestsPerMinute: 119 }, { amount: 119, windowMs: 60_000 }],
  [{ requestsPerMinute: 10 }, { amount: 10, burst: 5 }],
  [{ requestsPerMinute: 4 }, { amount: 4, burst: 2 }],
  [{ requestsPerMinute: 1 }, { amount: 1, burst: 1 }],
  [
    { requestsPerMinute: 0.5 },
    { amount: 1, windowMs: 120_000, burst: 1, said: { amount: 0.5, perMs: 60_000 } },
  ],
  [{ requestsPerMinute: 2.5 }, { amount: 3, windowMs: 72_000 }],
  [{ requestsPerMinute: 600, burst: 50 }, { burst: 50 }],
  [{ requestsPerMinute: 3, burst: 50 }, { burst: 3 }],
  [
    { tokensPerMinute: 200_000, burst: 2 },
    { of: 'tokens', burst: 40_000 },
  ],
  [
    { requestsPerSecond: 10 },
    { of: 'requests', amount: 10, windowMs: 1000, burst: 5, paced: true, said: { amount: 10, perMs: 1000 } },
  ],
  [{ requestsPerHour: 100 }, { of: 'requests', amount: 100, windowMs: 3_600_000, paced: false }],
  [{ requestsPerDay: 250 }, { amount: 250, windowMs: 86_400_000, paced: false }],
  [{ tokensPerDay: 5 }, { of: 'tokens', paced: false }],
  [{ limits: [{ of: 'x', amount: 100, per: '59m' }] }, { paced: true }],
  [{ limits: [{ of: 'x', amount: 100, per: '1h' }] }, { paced: false }],
  [{ limits: [{ of: 'x', amount: 100, per: '1h', pace: true }] }, { paced: true }],
  [{ limits: [{ of: 'x', amount: 100, per: '1m', pace: false }] }, { paced: false }],
  [{ limits: [{ of: 'x', amount: 600, per: '1m', window: '10s' }] }, { amount: 100, windowMs: 10_000 }],
  [
    { limits: [{ of: 'x', amount: 119, per: '1m', window: '1s' }] },
    { amount: 2, windowMs: expect.closeTo(1008.4, 2) },
  ],
  [{ limits: [{ of: 'x', amount: 9, per: { calendar: 'day' } }] }, { timeZone: 'UTC', paced: false }],
]
test.each(exact)('%j', (options, limit) => expect(parseLimits(options)[0]).toMatchObject(limit))

test('the rate is what was asked for, whatever the window became', () => {
  for (const amount of [0.1, 0.5, 1, 1.5, 2.5, 7, 10, 59.9, 119, 500, 12_345.678]) {
    for (const window of [undefined, '1s', '10s', '30s'] as const) {
      const [limit] = parseLimits({
        limits: [{ of: 'requests', amount, per: '1m', ...(window && { window }) }],
      })
      expect(limit!.amount / limit!.windowMs).toBeCloseTo(amount / 60_000, 12)
      expect(Number.isInteger(limit!.amount)).toBe(true)
    }
  }
})
