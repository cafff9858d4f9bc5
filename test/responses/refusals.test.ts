import { describe, expect, test } from 'vitest'
import { classify } from '../../src/responses/index.ts'
import {
  anthropicOverloaded,
  anthropicRate,
  anthropicSpend,
  azureDay,
  gemini,
  geminiInputPerMinute,
  geminiRequestsPerDay,
  mistralRate,
  openaiNoMoney,
  openaiRequests,
  openaiSlowDown,
  openaiTokens,
  openaiTooLarge,
  thrown,
  wall,
} from './bodies.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR

describe('every refusal that a provider is known for has its kind', () => {
  const answers: [name: string, status: number, body: unknown, expected: object, headers?: object][] = [
    [
      'OpenAI, tokens',
      429,
      openaiTokens,
      { kind: 'rate', of: 'tokens', limit: 200_000, perMs: 60_000, waitMs: 1574 },
    ],
    [
      'OpenAI, requests',
      429,
      openaiRequests,
      { kind: 'rate', of: 'requests', limit: 3, perMs: 60_000, waitMs: 20_000 },
    ],
    [
      'OpenAI, requests per day',
      429,
      {
        error: {
          message: 'on requests per day (RPD): Limit 200, Used 200, Requested 1. Please try again in 7m12s.',
        },
      },
      { kind: 'rate', of: 'requests', limit: 200, perMs: DAY, waitMs: 432_000 },
    ],
    ['OpenAI, out of money', 429, openaiNoMoney, { kind: 'quota' }],
    ['OpenAI, spend limit', 429, { error: { code: 'project_spend_limit_exceeded' } }, { kind: 'quota' }],
    ['OpenAI, ramped too fast', 503, openaiSlowDown, { kind: 'overload', slowDown: true }],
    ['OpenAI, ramped too fast, as 429', 429, openaiSlowDown, { kind: 'overload', slowDown: true }],
    ['OpenAI, busy', 503, { error: { message: 'The engine is currently overloaded' } }, { kind: 'overload' }],
    [
      'OpenAI, too large',
      429,
      openaiTooLarge,
      { kind: 'oversize', of: 'tokens', limit: 30_000, perMs: 60_000 },
    ],
    [
      'more requested than the limit, in other words',
      429,
      { error: { message: 'Limit 6,000, Used 0, Requested 9,000', code: 'rate_limit_exceeded' } },
      { kind: 'oversize', limit: 6000 },
    ],
    ['Anthropic', 429, anthropicRate, { kind: 'rate', of: 'inputTokens', limit: 50_000, perMs: 60_000 }],
    ['Anthropic, overloaded', 529, anthropicOverloaded, { kind: 'overload' }],
    ['Anthropic, spend limit', 429, anthropicSpend, { kind: 'quota' }],
    [
      'Anthropic, no credit',
      400,
      {
        type: 'error',
        error: {
          type: 'invalid_request_error',
          message: 'Your credit balance is too low to access the Anthropic API.',
        },
      },
      { kind: 'quota' },
    ],
    ['Anthropic, too large', 413, { error: { type: 'request_too_large' } }, { kind: 'oversize' }],
    [
      'Anthropic, ramped too fast',
      429,
      {
        error: {
          type: 'rate_limit_error',
          message:
            "This would exceed your organization's maximum usage increase rate for input tokens per minute.",
        },
      },
      { kind: 'rate', slowDown: true, of: 'inputTokens' },
    ],
    [
      'Gemini, by the minute',
      429,
      geminiInputPerMinute,
      { kind: 'rate', of: 'inputTokens', limit: 250_000, perMs: 60_000, waitMs: 26_000 },
    ],
    [
      'Gemini, by the day',
      429,
      geminiRequestsPerDay,
      { kind: 'quota', of: 'requests', limit: 20, perMs: DAY, waitMs: 12 * HOUR },
    ],
    [
      'Gemini, the day hidden behind the minute',
      429,
      gemini(
        ['GenerateContentInputTokensPerModelPerMinute-FreeTier', '250000'],
        ['GenerateRequestsPerDayPerProjectPerModel-FreeTier', '20'],
      ),
      { kind: 'quota', of: 'requests', limit: 20, perMs: DAY },
    ],
    ['Gemini, busy', 503, { error: { code: 503, status: 'UNAVAILABLE' } }, { kind: 'overload' }],
    [
      'Gemini, too large',
      400,
      {
        error: {
          message: 'The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).',
        },
      },
      { kind: 'oversize' },
    ],
    ['Azure, by the day', 429, azureDay, { kind: 'quota', of: 'tokens', waitMs: DAY }],
    [
      'Azure',
      429,
      {
        error: {
          code: '429',
          message: 'exceeded call rate limit of your tier. Please retry after 6 seconds.',
        },
      },
      { kind: 'rate', of: 'requests', waitMs: 6000 },
    ],
    ['Mistral', 429, mistralRate, { kind: 'rate' }],
    [
      'Mistral, busy',
      429,
      { message: 'Service tier capacity exceeded for this model.', type: 'invalid_request_error' },
      { kind: 'overload' },
    ],
    ['Groq', 429, openaiTokens, { kind: 'rate', of: 'tokens', waitMs: 2000 }, { 'retry-after': '2' }],
    ['Groq, busy', 498, {}, { kind: 'overload' }],
    ['Groq, too large', 413, openaiTooLarge, { kind: 'oversize' }],
    ['Together', 429, {}, { kind: 'rate' }],
    ['Bedrock', 429, { name: 'ThrottlingException', message: 'Too many requests' }, { kind: 'rate' }],
    [
      'OpenRouter, its headers within the body',
      429,
      {
        error: {
          code: 429,
          message: 'Rate limit exceeded: free-models-per-min',
          metadata: {
            headers: {
              'X-RateLimit-Limit': '20',
              'X-RateLimit-Remaining': '0',
              'X-RateLimit-Reset': String(wall + 9000),
            },
          },
        },
      },
      { kind: 'rate', waitMs: 9000, perMs: 60_000 },
    ],
    [
      'OpenRouter, its day',
      429,
      {
        error: {
          message: 'Rate limit exceeded: free-models-per-day. Add 10 credits',
          metadata: {
            headers: { 'X-RateLimit-Remaining': '0', 'X-RateLimit-Reset': String(wall + 5 * HOUR) },
          },
        },
      },
      { kind: 'quota', waitMs: 5 * HOUR, perMs: DAY },
    ],
    [
      'OpenRouter, no money',
      402,
      { error: { code: 402, message: 'Insufficient credits' } },
      { kind: 'quota' },
    ],
    [
      'OpenRouter, the provider behind it failed',
      502,
      { error: { code: 502, message: 'Provider returned error', metadata: { provider_name: 'X' } } },
      { kind: 'overload' },
    ],
    [
      'too many at once',
      429,
      {
        error: {
          type: 'rate_limit_error',
          message: 'Number of concurrent connections has exceeded your rate limit.',
        },
      },
      { kind: 'rate', of: 'concurrency' },
    ],
    [
      'too many at once, in other words',
      429,
      {
        error: {
          message: 'request reached max organization concurrency: 1, please try again after 1 seconds',
        },
      },
      { kind: 'rate', of: 'concurrency', waitMs: 1000 },
    ],
    [
      'hours to wait for a daily limit',
      429,
      { message: 'The daily limit is used up' },
      { kind: 'quota', waitMs: 2 * HOUR },
      { 'retry-after': '7200' },
    ],
    [
      'hours to wait, nobody says why',
      429,
      { message: 'Slow' },
      { kind: 'rate', waitMs: 2 * HOUR },
      { 'retry-after': '7200' },
    ],
  ]

  test.each(answers)('%s', (_name, status, body, expected, headers = {}) => {
    const verdict = classify(thrown({ status, headers, error: body }), wall)
    expect(verdict).toMatchObject({ status, ...expected })
  })

  test.each(answers)(
    '%s, the same from a returned Response',
    (_name, status, body, expected, headers = {}) => {
      const value = new Response('', { status, headers: headers as Record<string, string> })
      const withBodyHeaders = { ...value, status, headers: value.headers }
      const verdict = classify({ value: withBodyHeaders, body }, wall)
      expect(verdict).toMatchObject({ status, kind: (expected as { kind: string }).kind })
    },
  )
})
