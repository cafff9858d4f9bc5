// A line of a log becomes a record again, or nothing.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseRecord } from '../../src/telemetry/log-record.ts'
import { record } from '../support/records.ts'

const full = record(1000, {
  ...{ rate: 60, limit: 60, waitMs: { p50: 1, p95: 2 } },
  tokens: { asked: 1, used: 2, available: 3, limit: 4 },
  ...{ refusal: 'rate: 429', failure: '401 AuthenticationError', rejection: 'QUEUE_FULL' },
})

test('what was written is read', () => {
  expect(parseRecord(JSON.stringify(full))).toEqual(full)
  expect(parseRecord(`${JSON.stringify(record(5))}\r`)).toEqual(record(5))
})

test('what a later version adds is left out', () => {
  expect(parseRecord(JSON.stringify({ ...full, later: 1, tokens: { ...full.tokens, later: 1 } }))).toEqual(
    full,
  )
})

test.each([
  ['no JSON', 'hello'],
  ['half a line', JSON.stringify(full).slice(0, 100)],
  ['nothing', ''],
  ['null', 'null'],
  ['a list', '[1]'],
  ['another version', JSON.stringify({ ...full, v: 2 })],
  ['a count that is text', JSON.stringify({ ...full, issued: '3' })],
  ['a count below 0', JSON.stringify({ ...full, issued: -1 })],
  ['a level too many to be a number', JSON.stringify(full).replace('"waiting":0', '"waiting":1e999')],
  ['no time', JSON.stringify({ ...full, t: null })],
  ['no name', JSON.stringify({ ...full, name: 7 })],
  ['another gate', JSON.stringify({ ...full, gate: 'ajar' })],
])('%s is no record', (_, line) => {
  expect(parseRecord(line)).toBe(undefined)
})

test.each([
  ['rate', { rate: '60' }],
  ['tokens', { tokens: { asked: 1 } }],
  ['tokens', { tokens: null }],
  ['waitMs', { waitMs: { p50: 1, p95: 'x' } }],
  ['rejection', { rejection: 7 }],
])('a wrong %s is left out, and the rest stands', (key, wrong) => {
  const found = parseRecord(JSON.stringify({ ...full, ...wrong }))
  expect(found).toMatchObject(record(1000))
  expect(found).not.toHaveProperty(key)
})

test('whatever stands in a file, it does not throw', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (line) => {
      parseRecord(line)
    }),
  )
})
