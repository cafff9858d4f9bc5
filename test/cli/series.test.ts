// What a graph shows of a log: whatever the zoom, no call is lost and no peak that matters is hidden.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { bucketsOf, causesIn, closures } from '../../src/cli/page/buckets.ts'
import type { Columns } from '../../src/cli/page/columns.ts'
import { RunSeries, seriesOf } from '../../src/cli/page/series.ts'
import { packColumns, unpackColumns } from '../../src/cli/page/pack.ts'
import { outcome, silence, summary } from '../../src/cli/page/totals.ts'
import { pick, together } from '../../src/cli/page/select-series.ts'
import { count, elapsed, isoTime, span } from '../../src/cli/page/labels.ts'
import { clippedTop, paceTop, ticks } from '../../src/cli/page/scale.ts'
import type { LogRecord } from '../../src/telemetry/log-record.ts'
import { record } from '../support/records.ts'

const at = (s: number, over: Partial<LogRecord> = {}) => record(s * 1000, over)
const columnsOf = (records: readonly LogRecord[]) => seriesOf(records).limiters.map(({ columns }) => columns)
const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0)

const some = fc.array(
  fc.record({
    s: fc.integer({ min: 1000, max: 5000 }),
    n: fc.integer({ min: 0, max: 500 }),
    refused: fc.integer({ min: 0, max: 9 }),
    waiting: fc.integer({ min: 0, max: 999 }),
  }),
  { minLength: 1, maxLength: 60 },
)

test('however many points there are, the calls add up, and the highest second is there', () => {
  fc.assert(
    fc.property(some, fc.integer({ min: 1, max: 2000 }), (seconds, most) => {
      const records = seconds.map(({ s, n, ...rest }) => at(s, { requests: n, issued: n, ...rest }))
      const [columns] = columnsOf(records)
      const { t, waiting } = columns!
      const buckets = bucketsOf(columns!, t[0]!, t.at(-1)! + 1, most)
      expect(buckets.x.length).toBeLessThanOrEqual(most + 1)
      expect(sum(buckets.issued) * buckets.size).toBeCloseTo(sum(seconds.map(({ n }) => n)))
      expect(sum(buckets.refused)).toBe(sum(seconds.map(({ refused }) => refused)))
      expect(Math.max(...buckets.waiting)).toBe(Math.max(...waiting))
      expect(buckets.x.every((x, i) => i === 0 || x === buckets.x[i - 1]! + buckets.size)).toBe(true)
    }),
  )
})

test('records of one second add up, since a flush cuts it in two; levels are the last', () => {
  const tokens = { asked: 10, used: 5, available: 90, limit: 100 }
  const [columns] = columnsOf([
    at(7, { requests: 2, waiting: 2, tokens }),
    at(7, { requests: 1, waiting: 0, tokens: { ...tokens, available: 80 } }),
  ])
  expect(columns).toMatchObject({
    t: [7],
    requests: [3],
    waiting: [0],
    asked: [20],
    used: [10],
    available: [80],
  })
})

test('a clock that was set back does not disorder the points', () => {
  const [columns] = columnsOf([at(9, { issued: 1 }), at(3, { issued: 2 }), at(10, { issued: 3 })])
  expect(columns).toMatchObject({ t: [3, 9, 10], issued: [2, 1, 3] })
})

test('seconds in any order make the same points, and limits that come and go keep their places', () => {
  const limits = (of: string) => [{ of, perMs: 60_000, amount: 600, available: 3, asked: 7 }]
  const each = (s: number) =>
    at(s, { issued: s % 7, waiting: s % 5, limits: limits(s % 3 ? 'requests' : 'tokens') })
  const seconds = Array.from({ length: 3000 }, (_, s) => s)
  const shuffled = seconds.map((s) => (s * 1009) % 3000)
  const points = (order: readonly number[], most: number) => {
    const series = new RunSeries(most)
    for (const s of order) series.add(each(s))
    return series.limiters[0]!.columns
  }
  const whole = points(seconds, 10_000)
  expect(points(shuffled, 10_000)).toEqual(whole)
  for (const most of [700, 3]) {
    const { t, size, issued, waiting, limits } = points(shuffled, most)
    expect(t).toEqual(Array.from({ length: Math.ceil(3000 / size) }, (_, i) => i * size))
    expect([sum(issued), Math.max(...waiting)]).toEqual([sum(whole.issued), 4])
    expect(limits.map(({ asked }) => sum(asked))).toEqual([7000, 14_000])
  }
})

test('levels are continued while nothing happens; calls are not', () => {
  const [columns] = columnsOf([
    at(0, { issued: 1, waiting: 3, rate: 60, limit: 60 }),
    at(4, { rate: 30, limit: 60 }),
  ])
  const { issued, waiting, rate } = bucketsOf(columns!, 0, 6, 100)
  expect([issued, waiting, rate]).toEqual([
    [1, 0, 0, 0, 0, 0],
    [3, 0, 0, 0, 0, 0],
    [60, 60, 60, 60, 30, 30],
  ])
  expect(bucketsOf(columns!, 2, 3, 100).rate).toEqual([60])
})

test('the gate is shaded from where it closed to where it opened', () => {
  const gate = (s: number, state: LogRecord['gate']) => at(s, { gate: state, waiting: 1 })
  const [columns] = columnsOf([
    gate(0, 'open'),
    gate(1, 'closed'),
    gate(2, 'closed'),
    gate(3, 'probing'),
    gate(5, 'closed'),
  ])
  expect(closures(bucketsOf(columns!, 0, 8, 100))).toEqual([
    { from: 1, to: 3, closed: true },
    { from: 3, to: 4, closed: false },
    { from: 5, to: 6, closed: true },
  ])
  // In a wider bucket the worst holds.
  expect(closures(bucketsOf(columns!, 0, 8, 4))).toEqual([{ from: 0, to: 6, closed: true }])
})

test('limiters together: calls and limits add up, also while one of them rests', () => {
  const limit = { rate: 60, limit: 60 }
  const all = columnsOf([
    at(0, { name: 'a', issued: 1, ...limit }),
    at(0, { name: 'b', issued: 2, ...limit, gate: 'closed' }),
    at(1, { name: 'b', issued: 3, ...limit }),
    at(2, { name: 'c', issued: 4 }),
  ])
  expect(together(all, 'all')).toMatchObject({
    t: [0, 1, 2],
    issued: [3, 3, 4],
    rate: [120, 120, 120],
    gate: [2, 0, 0],
  })
  expect(pick(all, 'b').issued).toEqual([2, 3])
  expect(pick(all).issued).toEqual([3, 3, 4])
  expect(pick(all, 'nobody').t).toEqual([])
  expect(together([], 'none').t).toEqual([])
})

test('a burst of requests does not flatten the rest', () => {
  const columns = columnsOf([at(0, { requests: 1000, issued: 5 }), at(1, { issued: 5 })])[0] as Columns
  const buckets = bucketsOf(columns, 0, 2, 100)
  expect(paceTop(buckets, ['requests', 'issued'])).toBe(7)
  expect(paceTop(buckets, ['requests'])).toBe(1060)
  expect(paceTop(buckets, [])).toBe(1)
})

test.each([[1], [7], [0.3], [1234], [1e6]])('an axis to %d has a few round marks', (top) => {
  const marks = ticks(top)
  expect(marks.length).toBeGreaterThanOrEqual(2)
  expect(marks.length).toBeLessThanOrEqual(6)
  expect(Math.max(...marks)).toBeLessThanOrEqual(top * 1.000001)
})

test('nothing is cut off if all points are similarly high; a single burst is', () => {
  expect(clippedTop([[1, 2, null, 3]])).toBeCloseTo(3.18)
  expect(clippedTop([[...new Array<number>(200).fill(100), 6000]], 110)).toBe(140)
  expect(clippedTop([[5]], 110)).toBe(110)
  expect(clippedTop([[]])).toBe(1)
})

const outputTokens = {
  ...{ kind: 'limit', of: 'outputTokens', perMs: 60_000, amount: 10_000 },
  text: 'output tokens (10,000 a minute)',
}
const shut = (left: number) => ({
  ...{ kind: 'gate', refused: 'rate' },
  text: `the provider, which refused calls as too many, for ${left} s more ("429")`,
})
const said = (records: readonly LogRecord[]) => {
  const { totals, causes } = seriesOf(records)
  return summary(totals, causes)
}

test('the summary of a run adds up, and names what held it back', () => {
  expect(
    said([
      at(0, { requests: 1500, finished: 1, waiting: 1499, gate: 'closed', why: outputTokens }),
      at(1, { waiting: 1499, why: outputTokens }),
      at(2, { waiting: 1499, why: outputTokens, refused: 1, refusal: 'rate: 429' }),
      at(80, { finished: 1, failed: 1, rejected: 2, waiting: 1490, inFlight: 5, why: shut(3) }),
    ]),
  ).toBe(
    '1,500 calls in 1 min 21 s: 2 answered, 1 failed, 2 turned away, 1,490 still waiting, 5 still in flight when the log ends. ' +
      'In 75 % of the 4 s in which calls waited, they waited for output tokens (10,000 a minute); in 25 % for the provider, which refused calls as too many ("429"). ' +
      '1 refusal (the last: rate: 429), at most 1,499 waiting; the gate was closed for 1 s.',
  )
  expect([span(0), span(59.6), span(3600), span(90_061), span(3661)]).toEqual([
    '0 s',
    '1 min',
    '1 h',
    '1 d 1 h',
    '1 h 1 min',
  ])
  expect([elapsed(5), elapsed(65), elapsed(3723)]).toEqual(['0:05', '1:05', '1:02:03'])
  expect([count(12345), count(12.345), count(0.123)]).toEqual(['12,345', '12.3', '0.12'])
})

test.each([
  ['QUOTA_EXHAUSTED', 'the quota is used up'],
  ['AbortError', 'their callers aborted them'],
  ['MyAbort', 'MyAbort'],
  ['constructor', 'constructor'],
])('why calls were turned away is said: %s', (rejection, words) => {
  const records = [at(0, { requests: 3, finished: 1, rejected: 1 }), at(1, { rejected: 1, rejection })]
  expect(said(records)).toMatch(`3 calls in 2 s: 1 answered, 2 turned away (${words}).`)
})

test('a log that begins in the middle, or lost calls, still adds up', () => {
  expect(said([at(0, { requests: 2, finished: 5, inFlight: 1 })])).toMatch(
    /^6 calls in 1 s \(4 of them asked before it begins\): 5 answered, 1 still in flight when the log ends\. /,
  )
  expect(said([at(0, { requests: 7, finished: 5 })])).toMatch(
    /^7 calls in 1 s: 5 answered, and 2 that the log does not account for\. Nothing held them back/,
  )
})

test('calls that a pool still holds when the log ends were asked for after it began', () => {
  expect(said([at(0, { requests: 5, finished: 5, waiting: 3, inPools: 3 })])).toMatch(
    /^8 calls in 1 s: 5 answered, 3 still waiting when the log ends\. /,
  )
})

test('whatever is logged, answered, failed, turned away and still waiting are all the calls', () => {
  const second = fc.record({
    requests: fc.nat(50),
    finished: fc.nat(50),
    failed: fc.nat(9),
    rejected: fc.nat(9),
    waiting: fc.nat(99),
    inFlight: fc.nat(9),
    name: fc.constantFrom('a', 'b'),
  })
  fc.assert(
    fc.property(fc.array(second, { minLength: 1, maxLength: 30 }), (seconds) => {
      const words = outcome(seriesOf(seconds.map((each, i) => at(i, each))).totals)
      const [, all, ends] = /^([\d,]+) calls? in [^:]*: (.*)\.$/.exec(words)!
      const numbers = ends!.match(/\d[\d,]*/g)!.map((n) => Number(n.replaceAll(',', '')))
      expect(sum(numbers)).toBe(Number(all!.replaceAll(',', '')))
    }),
  )
})

test('a key that fails every call is reported first', () => {
  const failing = at(0, { requests: 9, failed: 9, failure: '401 AuthenticationError' })
  expect(said([failing])).toMatch(/: 0 answered, 9 failed\. Every call failed \(401 AuthenticationError\)\. /)
  expect(said([failing, at(1, { requests: 1, finished: 1 })])).toContain('90 % of the calls failed (401')
})

test('a program that ended with waiting calls is reported, unless it is still writing', () => {
  const { totals } = seriesOf([at(100, { requests: 80, waiting: 80, etaMs: 90_000 })])
  const zone = (t: number) => isoTime(t, 'UTC')
  expect(silence(totals, zone, 105_000)).toBe('')
  expect(silence(totals, zone, 200_000)).toBe(
    'The log ends at 1970-01-01 00:01:41 with 80 calls unfinished: its program ended or was killed. They would have waited about 1 min 30 s more.',
  )
  expect(silence(seriesOf([at(100)]).totals, zone, 200_000)).toBe('')
})

test('the cause of an interval is the one of most of its seconds, regardless of its wording', () => {
  const series = seriesOf([
    at(0, { waiting: 1, why: outputTokens }),
    at(1, { waiting: 1, why: shut(9) }),
    at(2, { waiting: 1, why: shut(8) }),
    at(3),
    at(4, { waiting: 1, why: { ...outputTokens, limiter: 'org' } }),
  ])
  const { columns } = series.limiters[0]!
  expect(series.causes.map(({ label }) => label)).toEqual([
    'output tokens a minute',
    'gate: too many requests',
    "output tokens a minute of 'org'",
  ])
  const seconds = causesIn(bucketsOf(columns, 0, 5, 100))
  expect(seconds.map(({ from, to, cause }) => [from, to, cause])).toEqual([
    [0, 1, 0],
    [1, 3, 1],
    [4, 5, 2],
  ])
  expect(causesIn(bucketsOf(columns, 0, 5, 1))).toEqual([{ from: 0, to: 5, cause: 1 }])
})

test('a limit in percent of itself: its pace over ten seconds; of a quota what is used up', () => {
  const limits = (asked: number, left: number) => [
    { of: 'requests', perMs: 60_000, amount: 600, available: 0, asked },
    { of: 'tokens', perMs: 86_400_000, amount: 1000, available: left, asked },
  ]
  const [columns] = columnsOf(
    Array.from({ length: 30 }, (_, i) => at(i, { limits: limits(i < 15 ? 10 : 5, 1000 - i) })),
  )
  const { limits: used } = bucketsOf(columns!, 0, 30, 100)
  expect(used.map(({ label }) => label)).toEqual(['requests a minute', 'tokens a day'])
  expect([0, 14, 19, 29].map((i) => used[0]!.percent[i])).toEqual([100, 100, 75, 50])
  expect(used[1]!.percent[20]).toBeCloseTo(2)
  // From the middle on it is the same.
  expect(bucketsOf(columns!, 19, 30, 100).limits[0]!.percent[0]).toBe(75)
})

test('a log of more seconds than a page can hold is put together, and nothing of it is lost', () => {
  fc.assert(
    fc.property(some, fc.integer({ min: 1, max: 40 }), (seconds, most) => {
      const series = new RunSeries(most)
      const whole = new RunSeries()
      for (const { s, n, ...rest } of seconds)
        for (const each of [series, whole]) each.add(at(s, { requests: n, issued: n, ...rest }))
      expect(series.points).toBeLessThanOrEqual(most)
      const [small, large] = [series, whole].map((each) => each.limiters[0]!.columns)
      for (const key of ['requests', 'refused'] as const) expect(sum(small![key])).toBe(sum(large![key]))
      const highest = [small, large].map((columns) => Math.max(...columns!.waiting))
      // The later record of a second sets the level, but a longer point already contains the earlier one.
      const once = new Set(seconds.map(({ s }) => s)).size === seconds.length
      if (once) expect(highest[0]).toBe(highest[1])
      expect(highest[0]).toBeGreaterThanOrEqual(highest[1]!)
      expect(highest[0]).toBeLessThanOrEqual(Math.max(...seconds.map(({ waiting }) => waiting)))
      expect(series.totals).toEqual(whole.totals)
    }),
  )
})

test('the data in a page equals the logged data', () => {
  const limits = [{ of: 'requests', perMs: 60_000, amount: 600, available: 3.5, asked: 7 }]
  const columns = columnsOf([
    at(7, { requests: 1, why: outputTokens, waiting: 1, limits }),
    at(8, { requests: 1, limits }),
    at(9, { requests: 1, rate: 30, waitMs: { p50: 1, p95: 2 } }),
    at(90, { gate: 'closed' }),
  ])[0]!
  const packed = JSON.parse(JSON.stringify(packColumns(columns))) as ReturnType<typeof packColumns>
  expect(unpackColumns(packed)).toEqual(columns)
})

test('hours are those of the zone, as ISO writes them', () => {
  const t = Date.UTC(2026, 0, 31, 23, 30) / 1000
  expect([isoTime(t, 'UTC'), isoTime(t, 'Europe/Berlin')]).toEqual([
    '2026-01-31 23:30:00',
    '2026-02-01 00:30:00',
  ])
})
