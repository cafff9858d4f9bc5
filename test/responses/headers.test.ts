import { describe, expect, test } from 'vitest'
import { headersOf, readLimits } from '../../src/responses/index.ts'
import { thrown, wall } from './bodies.ts'

const DAY = 86_400_000

describe('every format in which providers tell their limits', () => {
  const formats: [name: string, headers: Record<string, string>, hints: object[]][] = [
    [
      'OpenAI',
      {
        'x-ratelimit-limit-requests': '500',
        'x-ratelimit-remaining-requests': '499',
        'x-ratelimit-reset-requests': '120ms',
        'x-ratelimit-limit-tokens': '200000',
        'x-ratelimit-remaining-tokens': '0',
        'x-ratelimit-reset-tokens': '6m0s',
        'x-ratelimit-limit-project-tokens': '90000',
      },
      [
        { of: 'requests', perMs: 60_000, limit: 500, remaining: 499, resetMs: 120 },
        { of: 'tokens', perMs: 60_000, limit: 200_000, remaining: 0, resetMs: 360_000 },
        { of: 'tokens', perMs: 60_000, limit: 90_000 },
      ],
    ],
    [
      'two policies, each told by its name',
      {
        'ratelimit-policy': '"burst";q=10;w=1, "day";q=1000;w=86400',
        ratelimit: '"burst";r=0;t=1, "day";r=900;t=3600',
      },
      [
        { of: 'requests', perMs: 1000, limit: 10, remaining: 0, resetMs: 1000 },
        { of: 'requests', perMs: DAY, limit: 1000, remaining: 900, resetMs: 3_600_000 },
      ],
    ],
    [
      'two policies, one of them told',
      {
        'ratelimit-policy': '10;w=1, 1000;w=3600',
        'ratelimit-limit': '1000',
        'ratelimit-remaining': '3',
        'ratelimit-reset': '900',
      },
      [{ of: 'requests', perMs: 3_600_000, limit: 1000, remaining: 3, resetMs: 900_000 }],
    ],
    [
      'a policy that counts bytes',
      { 'ratelimit-policy': '"size";q=1000;w=60;qu="content-bytes"', ratelimit: '"other";r=1' },
      [{ of: 'requests', remaining: 1 }],
    ],
    [
      'OpenAI, requests counted by the day',
      {
        'x-ratelimit-limit-requests': '10000',
        'x-ratelimit-remaining-requests': '9999',
        'x-ratelimit-reset-requests': '8.64s',
      },
      [{ of: 'requests', perMs: DAY, limit: 10_000, remaining: 9999, resetMs: 8640 }],
    ],
    [
      'Groq',
      {
        'x-ratelimit-limit-requests': '14400',
        'x-ratelimit-remaining-requests': '14370',
        'x-ratelimit-reset-requests': '2m59.56s',
        'x-ratelimit-limit-tokens': '18000',
        'x-ratelimit-remaining-tokens': '17997',
        'x-ratelimit-reset-tokens': '10ms',
      },
      [
        { of: 'requests', perMs: DAY, limit: 14_400, remaining: 14_370, resetMs: 179_560 },
        { of: 'tokens', perMs: 60_000, limit: 18_000, remaining: 17_997, resetMs: 10 },
      ],
    ],
    [
      'Azure',
      {
        'x-ratelimit-limit-requests': '60',
        'x-ratelimit-remaining-requests': '59',
        'x-ratelimit-reset-requests': '10',
      },
      [{ of: 'requests', perMs: 60_000, limit: 60, remaining: 59, resetMs: 10_000 }],
    ],
    [
      'Azure, which does not know',
      {
        'x-ratelimit-limit-requests': '-1',
        'x-ratelimit-remaining-requests': '-1',
        'x-ratelimit-limit-tokens': '0',
        'x-ratelimit-remaining-tokens': '0',
      },
      [],
    ],
    [
      'Anthropic, by a clock an hour ahead of ours',
      {
        date: 'Sat, 21 Nov 2026 21:00:00 GMT',
        'anthropic-ratelimit-requests-limit': '50',
        'anthropic-ratelimit-requests-remaining': '49',
        'anthropic-ratelimit-requests-reset': '2026-11-21T21:00:01Z',
        'anthropic-ratelimit-input-tokens-limit': '30000',
        'anthropic-ratelimit-input-tokens-remaining': '29000',
        'anthropic-ratelimit-input-tokens-reset': '2026-11-21T21:00:02Z',
        'anthropic-ratelimit-output-tokens-remaining': '8000',
      },
      [
        { of: 'requests', perMs: 60_000, limit: 50, remaining: 49, resetMs: 1000 },
        { of: 'inputTokens', perMs: 60_000, limit: 30_000, remaining: 29_000, resetMs: 2000 },
        { of: 'outputTokens', perMs: 60_000, remaining: 8000 },
      ],
    ],
    [
      'Mistral',
      {
        'x-ratelimit-limit-tokens-minute': '500000',
        'x-ratelimit-remaining-tokens-minute': '499000',
        'x-ratelimit-limit-req-minute': '60',
        'x-ratelimit-remaining-req-minute': '59',
        'x-ratelimit-tokens-query-cost': '1000',
      },
      [
        { of: 'tokens', perMs: 60_000, limit: 500_000, remaining: 499_000 },
        { of: 'requests', perMs: 60_000, limit: 60, remaining: 59 },
      ],
    ],
    [
      'Fireworks',
      { 'x-ratelimit-limit-tokens-prompt': '60000', 'x-ratelimit-limit-tokens-generated': '200' },
      [
        { of: 'inputTokens', perMs: 1000, limit: 60_000 },
        { of: 'outputTokens', perMs: 1000, limit: 200 },
      ],
    ],
    ['Cohere', { 'X-RateLimit-Reset': String(wall / 1000 + 5) }, [{ of: 'requests', resetMs: 5000 }]],
    [
      'OpenRouter',
      { 'X-RateLimit-Limit': '20', 'X-RateLimit-Remaining': '0', 'X-RateLimit-Reset': String(wall + 1500) },
      [{ of: 'requests', limit: 20, remaining: 0, resetMs: 1500 }],
    ],
    [
      'the older draft of the IETF',
      { 'RateLimit-Limit': '100', 'RateLimit-Remaining': '40', 'RateLimit-Reset': '30' },
      [{ of: 'requests', limit: 100, remaining: 40, resetMs: 30_000 }],
    ],
    [
      'the newer draft of the IETF',
      { RateLimit: '"default";r=50;t=30', 'RateLimit-Policy': '"default";q=100;w=60' },
      [{ of: 'requests', perMs: 60_000, limit: 100, remaining: 50, resetMs: 30_000 }],
    ],
    [
      'garbage',
      {
        'x-ratelimit-limit-requests': 'many',
        'x-ratelimit-remaining-requests': 'some 3',
        'x-ratelimit-reset-requests': 'soon 12',
        ratelimit: ';;=',
      },
      [],
    ],
    [
      'a moment that is past',
      { 'x-ratelimit-reset': '2026-11-21T19:00:00Z' },
      [{ of: 'requests', resetMs: 0 }],
    ],
    ['a moment that nobody means', { 'x-ratelimit-reset': '2036-11-21T19:00:00Z' }, []],
  ]

  test.each(formats)('%s', (_name, headers, hints) => {
    expect(readLimits(new Headers(headers), wall)).toEqual(hints)
    expect(readLimits(headers, wall)).toEqual(hints)
  })
})

describe('headers are found wherever they are kept', () => {
  const pairs: [string, string][] = [['X-RateLimit-Limit-Tokens', '5']]
  const hints = [{ of: 'tokens', perMs: 60_000, limit: 5 }]

  test.each([
    ['Headers', new Headers(pairs)],
    ['a plain object', Object.fromEntries(pairs)],
    ['a Map', new Map(pairs)],
    ['pairs', pairs],
    ['something with a get', { get: (name: string) => (name === 'x-ratelimit-limit-tokens' ? '5' : null) }],
    ['numbers and lists', { 'x-ratelimit-limit-tokens': ['5'] }],
  ])('as %s', (_name, headers) => {
    expect(readLimits(headers, wall)).toEqual(hints)
    for (const answer of [
      { headers },
      { response: { headers } },
      { rawResponse: { headers } },
      { responseHeaders: headers },
      thrown({ cause: thrown({ headers }).error }).error,
      { lastError: { responseHeaders: headers } },
      { error: { metadata: { headers } } },
    ])
      expect(readLimits(headersOf(answer), wall)).toEqual(hints)
  })

  test('nothing is found where nothing is', () => {
    expect(headersOf({ choices: [] })).toBeUndefined()
    expect(headersOf('text')).toBeUndefined()
    expect(headersOf(undefined)).toBeUndefined()
    expect(readLimits(undefined, wall)).toEqual([])
  })
})
