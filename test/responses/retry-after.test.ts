import { describe, expect, test } from 'vitest'
import { classify } from '../../src/responses/index.ts'
import { thrown, wall } from './bodies.ts'

function waitMs(headers: object, message = 'no'): number | undefined {
  return classify(thrown({ status: 503, headers }, message), wall)?.waitMs
}

describe('a header says how long', () => {
  test.each<[string, object, number | undefined]>([
    ['in ms', { 'retry-after-ms': '1234', 'retry-after': '2' }, 1234],
    ['in ms, Azure', { 'x-ms-retry-after-ms': '900' }, 900],
    ['in seconds', { 'retry-after': '7' }, 7000],
    ['in parts of a second', { 'retry-after': '0.5' }, 500],
    ['at once', { 'retry-after': '0' }, 0],
    ['as a date', { 'retry-after': 'Sat, 21 Nov 2026 20:00:30 GMT' }, 30_000],
    [
      'as a date, by another clock',
      { 'retry-after': 'Sat, 21 Nov 2026 23:00:30 GMT', date: 'Sat, 21 Nov 2026 23:00:00 GMT' },
      30_000,
    ],
    ['a date that is past', { 'retry-after': 'Sat, 21 Nov 2026 19:00:00 GMT' }, 0],
    ['less than nothing', { 'retry-after': '-5' }, 0],
    ['longer than a month', { 'retry-after': '2592001' }, undefined],
    ['for ever', { 'retry-after': 'Infinity' }, undefined],
    ['in words that are none', { 'retry-after': 'later' }, undefined],
    ['nothing', { 'retry-after': '' }, undefined],
    ['nonsense in ms, sense in seconds', { 'retry-after-ms': 'x', 'retry-after': '4' }, 4000],
  ])('%s', (_name, headers, expected) => {
    expect(waitMs(headers)).toBe(expected)
  })
})

describe('prose says how long', () => {
  test.each([
    ['Please try again in 1.574s. Visit us.', 1574],
    ['Please try again in 6m0s.', 360_000],
    ['Please try again in 20ms.', 20],
    ['Please try again in 1h2m3s', 3_723_000],
    ['Please retry after 86400 seconds. Please go here', 86_400_000],
    ['Please retry in 26.123456789s.', 26_123],
    ['Try again in 2 minutes', 120_000],
    ['try again after 500 milliseconds', 500],
    ['Please try again in a moment', undefined],
    ['We will retry 3 more times', undefined],
    ['try again in 3 lives', undefined],
    ['Try again in 90 days', undefined],
  ])('%s', (message, expected) => {
    expect(waitMs({}, message)).toBe(expected)
  })
})

test('a header is believed before prose', () => {
  expect(waitMs({ 'retry-after': '3' }, 'try again in 20s')).toBe(3000)
})

test('the reset of a window that is used up is the last resort, and only for a rate', () => {
  const headers = { 'ratelimit-limit': '10', 'ratelimit-remaining': '0', 'ratelimit-reset': '42' }
  expect(classify(thrown({ status: 429, headers }), wall)?.waitMs).toBe(42_000)
  expect(classify(thrown({ status: 503, headers }), wall)?.waitMs).toBeUndefined()
})

test('the reset of a bucket is the time until it is full, which no call has to wait for', () => {
  const headers = {
    'x-ratelimit-limit-tokens': '1000',
    'x-ratelimit-remaining-tokens': '0',
    'x-ratelimit-reset-tokens': '42s',
  }
  expect(classify(thrown({ status: 429, headers }), wall)?.waitMs).toBeUndefined()
})
