// What a graph shows of a log: whatever the zoom, no call is lost and no peak that matters is hidden.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { bucketsOf, closures, type Columns, columnsOf, together } from '../../src/cli/page/series.ts'
import { pick } from '../../src/cli/page/select-series.ts'
import { count, elapsed, span, summary, totalsOf } from '../../src/cli/page/labels.ts'
import { paceTop, ticks } from '../../src/cli/page/scale.ts'
import type { LogRecord } from '../../src/telemetry/log-record.ts'
import { record } from '../support/records.ts'

const at = (s: number, over: Partial<LogRecord> = {}) => record(s * 1000, over)
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
      expect(sum(buckets.refusals)).toBe(sum(seconds.map(({ refused }) => refused)))
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

test('a clock that was set back makes no knot', () => {
  const [columns] = columnsOf([at(9, { issued: 1 }), at(3, { issued: 2 }), at(10, { issued: 3 })])
  expect(columns).toMatchObject({ t: [3, 9, 10], issued: [2, 1, 3] })
})

test('what holds while nothing happens is drawn on; calls are not', () => {
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

test('what is said of a run', () => {
  const [columns] = columnsOf([
    at(0, { requests: 1500, finished: 1, waiting: 1499, gate: 'closed' }),
    at(80, { finished: 1, failed: 1, rejected: 2, refused: 1 }),
  ])
  expect(summary(totalsOf(columns!))).toBe(
    '1,500 calls in 1 min 21 s: 2 answered, 1 failed, 2 turned away. 1 refusal, at most 1,499 in line; the gate was shut for 1 s.',
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
