import { describe, expect, test } from 'vitest'
import { classify, needsBody } from '../../src/responses/index.ts'
import {
  anthropicOverloaded,
  anthropicRate,
  geminiRequestsPerDay,
  openaiNoMoney,
  openaiTokens,
  thrown,
  wall,
} from './bodies.ts'

const HOUR = 3_600_000

describe('what is no refusal', () => {
  test.each([
    ['401', thrown({ status: 401, error: { type: 'invalid_request_error', code: 'invalid_api_key' } })],
    ['400', thrown({ status: 400, error: { message: 'max_tokens: too many tokens per request' } })],
    ['403', thrown({ status: 403 })],
    ['404', thrown({ status: 404 })],
    ['a value', { value: { choices: [] } }],
    ['a response that went well', { value: new Response('{}') }],
    ['a redirect', { value: { status: 302, headers: {} } }],
    ["a user's own object that speaks of 429", { value: { status: 429, message: 'rate limit' } }],
    ["a user's own codes", thrown({ code: 'LIMIT_FILE_SIZE', type: 'tokens' }, 'rate limit of my own')],
    ["a user's own data", thrown({ code: 503, data: { status: 429 }, details: { code: 429 } })],
    ['a full storage', { error: new DOMException('full', 'QuotaExceededError') }],
    ['an abort', { error: new DOMException('stop', 'AbortError') }],
    ['an abort for a good reason', thrown({ name: 'AbortError', cause: { status: 429, headers: {} } })],
    [
      'an abort wrapped by a client',
      thrown({ cause: new DOMException('stop', 'AbortError') }, 'Connection error.'),
    ],
    ['a missing file', thrown({ code: 'ENOENT' })],
    ['a bad request over a broken line', thrown({ status: 400, cause: { code: 'ECONNRESET' } })],
    ['a thrown string', { error: '429' }],
    ['nothing', { error: undefined }],
  ])('%s', (_name, outcome) => {
    expect(classify(outcome, wall)).toBeUndefined()
  })
})

describe('what is worth another try', () => {
  test.each([
    ['500', thrown({ status: 500 }), 500],
    ['502', thrown({ status: 502, error: '<html>Bad gateway</html>' }), 502],
    ['408', thrown({ status: 408 }), 408],
    ['409', thrown({ status: 409 }), 409],
    ['504 returned', { value: new Response('', { status: 504 }) }, 504],
    ['a connection that was reset', thrown({ code: 'ECONNRESET' })],
    ['the same, two causes deep', thrown({ cause: thrown({ cause: { code: 'ECONNRESET' } }).error })],
    ['undici', { error: new TypeError('terminated', { cause: { code: 'UND_ERR_SOCKET' } }) }],
    ['Chrome', { error: new TypeError('Failed to fetch') }],
    ['Safari', { error: new TypeError('Load failed') }],
    ['Firefox', { error: new TypeError('NetworkError when attempting to fetch resource.') }],
    ['a timeout', { error: new DOMException('The operation timed out', 'TimeoutError') }],
    ['the timeout of an SDK', thrown({}, 'Request timed out.')],
    ['Mistral around it', thrown({ name: 'UnexpectedClientError', cause: new TypeError('fetch failed') })],
    ['broken in the middle of a stream', thrown({ error: { type: 'server_error', message: 'Sorry' } })],
  ])('%s', (_name, outcome, status?: number) => {
    expect(classify(outcome, wall)).toMatchObject({ kind: 'transient', ...(status && { status }) })
  })

  test('its Retry-After is told', () => {
    expect(classify(thrown({ status: 500, headers: { 'Retry-After': '3' } }), wall)).toMatchObject({
      waitMs: 3000,
    })
  })
})

describe('in the middle of a stream there is no status', () => {
  test.each([
    ['OpenAI', { code: 'rate_limit_exceeded', status: undefined }, 'rate'],
    ['OpenAI, out of money', { code: 'insufficient_quota', status: undefined }, 'quota'],
    ['Anthropic', { error: anthropicOverloaded }, 'overload'],
    ['Anthropic, rate', { error: anthropicRate }, 'rate'],
    ['OpenRouter', { code: 429, error: { code: 429, message: 'Provider returned error' } }, 'rate'],
    ['Azure', { code: '429' }, 'rate'],
    ['Bedrock', { name: 'ThrottlingException' }, 'rate'],
  ])('%s', (_name, fields, kind) => {
    expect(classify(thrown(fields), wall)).toMatchObject({ kind })
  })
})

describe('the reason is for people', () => {
  test.each([
    [thrown({ status: 429, ...openaiTokens }), '429 rate_limit_exceeded: tokens per min'],
    [thrown({ status: 429, error: anthropicRate }), '429 rate_limit_error: input tokens per minute'],
    [thrown({ status: 529, error: anthropicOverloaded }), '529 overloaded_error: Overloaded'],
    [thrown({ code: 'ECONNRESET' }, 'socket hang up'), 'ECONNRESET: socket hang up'],
    [{ value: new Response('', { status: 503 }) }, '503'],
  ])('%o', (outcome, reason) => {
    expect(classify(outcome, wall)?.reason).toBe(reason)
  })
})

describe('midnight in California', () => {
  const day = thrown({ status: 429, error: geminiRequestsPerDay.error })
  test.each([
    ['2026-07-01T06:59:59Z', 1000],
    ['2026-07-01T07:30:00Z', 23.5 * HOUR],
    ['2026-12-01T08:30:00Z', 23.5 * HOUR],
    ['2026-03-08T08:30:00Z', 22.5 * HOUR],
    ['2026-11-01T07:30:00Z', 24.5 * HOUR],
  ])('from %s', (moment, waitMs) => {
    expect(classify(day, Date.parse(moment))).toMatchObject({ kind: 'quota', waitMs })
  })
})

test('only a failed Response whose body can still be read needs its body', async () => {
  const read = new Response('x', { status: 429 })
  await read.text()
  expect(needsBody(new Response('x', { status: 429 }))).toBe(true)
  expect(needsBody(read)).toBe(false)
  expect(needsBody(new Response('x'))).toBe(false)
  expect(needsBody({ status: 429, headers: {} })).toBe(false)
  expect(needsBody(undefined)).toBe(false)
})

test('a body that came as text is read like one that was parsed', () => {
  const value = new Response('', { status: 429 })
  expect(classify({ value, body: JSON.stringify(openaiNoMoney) }, wall)?.kind).toBe('quota')
  expect(classify({ value, body: openaiNoMoney }, wall)?.kind).toBe('quota')
  expect(classify({ value, body: 'Too Many Requests' }, wall)?.kind).toBe('rate')
})
