// Every wrong option is a TypeError that names the option, the value and what is allowed.

import { describe, expect, test } from 'vitest'
import { BucketRateLimiter, configureDefaultLimiter, perModel, shared, withLimiter } from 'llmiter'
import { rig } from '../helpers.ts'

type Row = [options: Record<string, unknown>, ...words: string[]]

const LIMITER: Row[] = [
  [{ requestsPerMinut: 5 }, 'requestsPerMinut', 'requestsPerMinute'],
  [
    { requestsPerMinute: NaN },
    'requestsPerMinute',
    'a number above 0',
    'NaN (is an environment variable unset?)',
  ],
  [{ requestsPerMinute: 0 }, 'requestsPerMinute', 'a number above 0', 'got 0'],
  [{ requestsPerMinute: -1 }, 'requestsPerMinute', '-1'],
  [{ requestsPerMinute: Infinity }, 'requestsPerMinute', 'Infinity'],
  [{ requestsPerMinute: '60' }, 'requestsPerMinute', `'60'`],
  [{ requestsPerMinute: null }, 'requestsPerMinute', 'null'],
  [{ tokensPerMinute: 0 }, 'tokensPerMinute', '0'],
  [{ inputTokensPerMinute: NaN }, 'inputTokensPerMinute', 'NaN'],
  [{ outputTokensPerMinute: -5 }, 'outputTokensPerMinute', '-5'],
  [{ requestsPerDay: '1' }, 'requestsPerDay', `'1'`],
  [{ tokensPerDay: {} }, 'tokensPerDay', '{}'],
  [{ limits: 5 }, 'limits', '5', 'array'],
  [{ limits: [null] }, 'limits[0]', 'null'],
  [{ limits: [{ of: 'images', amount: 5, per: '1m', ofs: 1 }] }, 'limits[0]', 'ofs'],
  [{ limits: [{ of: '', amount: 5, per: '1m' }] }, 'limits[0].of', `''`],
  [{ limits: [{ of: 'images', amount: 0, per: '1m' }] }, 'limits[0].amount', '0'],
  [{ limits: [{ of: 'images', amount: 5 }] }, 'limits[0].per', 'undefined'],
  [{ limits: [{ of: 'images', amount: 5, per: 'a minute' }] }, 'limits[0].per', `'a minute'`],
  [{ limits: [{ of: 'images', amount: 5, per: '1y' }] }, 'limits[0].per', `'1y'`],
  [{ limits: [{ of: 'images', amount: 5, per: -1 }] }, 'limits[0].per', '-1'],
  [{ limits: [{ of: 'images', amount: 5, per: { calendar: 'month' } }] }, 'calendar', `'month'`, `'day'`],
  [
    { limits: [{ of: 'images', amount: 5, per: { calendar: 'day', timeZone: 'Mars' } }] },
    'timeZone',
    `'Mars'`,
  ],
  [{ limits: [{ of: 'images', amount: 5, per: '1m', window: '2m' }] }, 'limits[0].window', `'2m'`],
  [{ limits: [{ of: 'images', amount: 5, per: '1m', burst: 0 }] }, 'limits[0].burst', '0'],
  [{ limits: [{ of: 'images', amount: 5, per: '1m', pace: 'yes' }] }, 'limits[0].pace', `'yes'`],
  [{ limits: [{ of: 'images', amount: 5, per: '1m', settle: 'never' }] }, 'limits[0].settle', `'never'`],
  [{ maxConcurrent: 0 }, 'maxConcurrent', '0', 'at least 1'],
  [{ maxConcurrent: NaN }, 'maxConcurrent', 'NaN'],
  [{ maxConcurrent: 1.5 }, 'maxConcurrent', '1.5', 'whole'],
  [{ burst: 0 }, 'burst', '0'],
  [{ pacing: 'fast' }, 'pacing', `'fast'`, `'smooth'`, `'eager'`],
  [{ ramp: true }, 'ramp', 'true'],
  [{ ramp: { ms: -1 } }, 'ramp.ms', '-1'],
  [{ ramp: { from: 0 } }, 'ramp.from', '0'],
  [{ ramp: { from: 2 } }, 'ramp.from', '2', 'at most 1'],
  [{ ramp: { form: 0.5 } }, 'ramp', 'form', 'from'],
  [{ probe: true }, 'probe', 'true', 'function'],
  [{ classify: {} }, 'classify', '{}', 'function'],
  [{ parent: {} }, 'parent', '{}', 'BucketRateLimiter'],
  [{ queue: 5 }, 'queue', '5'],
  [{ queue: { max: -1 } }, 'queue.max', '-1'],
  [{ queue: { onFull: 'drop' } }, 'queue.onFull', `'drop'`, `'reject'`],
  [{ queue: { size: 5 } }, 'queue', 'size', 'max'],
  [{ maxWaitMs: -1 }, 'maxWaitMs', '-1'],
  [{ maxWaitMs: NaN }, 'maxWaitMs', 'NaN'],
  [{ maxWaitMs: 'soon' }, 'maxWaitMs', `'soon'`],
  [{ timeoutMs: 0 }, 'timeoutMs', '0'],
  [{ learn: 1 }, 'learn', '1'],
  [{ discover: 'no' }, 'discover', `'no'`],
  [{ retry: true }, 'retry', 'true'],
  [{ retry: { attempts: 0 } }, 'retry.attempts', '0'],
  [{ retry: { minMs: -1 } }, 'retry.minMs', '-1'],
  [{ retry: { maxMs: 'x' } }, 'retry.maxMs', `'x'`],
  [{ retry: { factor: 0.5 } }, 'retry.factor', '0.5'],
  [{ retry: { jitter: -1 } }, 'retry.jitter', '-1'],
  [{ retry: { on: 'all' } }, 'retry.on', `'all'`],
  [{ retry: { times: 3 } }, 'retry', 'times', 'attempts'],
  [{ clock: {} }, 'clock', '{}'],
  [{ name: '' }, 'name', `''`],
]

const CALL: Row[] = [
  [{ cost: { requests: -1 } }, 'cost.requests', '-1'],
  [{ cost: { tokens: NaN } }, 'cost.tokens', 'NaN'],
  [{ cost: { tokens: '5' } }, 'cost.tokens', `'5'`],
  [{ cost: 5 }, 'cost', '5'],
  [{ cost: null }, 'cost', 'null'],
  [{ priority: '1' }, 'priority', `'1'`],
  [{ priority: Infinity }, 'priority', 'Infinity'],
  [{ signal: {} }, 'signal', '{}', 'AbortSignal'],
  [{ signal: null }, 'signal', 'null'],
  [{ maxWaitMs: -5 }, 'maxWaitMs', '-5'],
  [{ timeoutMs: NaN }, 'timeoutMs', 'NaN'],
  [{ retry: { attempts: 'two' } }, 'retry.attempts', `'two'`],
  [{ prio: 1 }, 'prio', 'priority'],
]

function named(act: () => unknown, words: string[]): void {
  let error: unknown
  try {
    act()
  } catch (thrown) {
    error = thrown
  }
  expect(error).toBeInstanceOf(TypeError)
  for (const word of words) expect((error as Error).message).toContain(word)
}

describe('options of a limiter', () => {
  test.each(LIMITER)('%j', (options, ...words) => {
    named(() => new BucketRateLimiter({ name: 'test', limits: [], ...options }), words)
  })

  test.each(LIMITER.filter(([options]) => !('name' in options || 'parent' in options || 'clock' in options)))(
    'update: %j changes nothing',
    (options, ...words) => {
      const { limiter } = rig({ requestsPerMinute: 60 })
      const before = limiter.stats()
      named(() => limiter.update(options), words)
      expect(limiter.stats()).toEqual(before)
    },
  )
})

describe('options of a call', () => {
  test.each(CALL)('%j', async (call, ...words) => {
    const { clock, limiter } = rig({ requestsPerMinute: 60 })
    for (const act of [() => limiter.run(() => 1, call), () => limiter.acquire(call)]) {
      const error = await act().catch((thrown: unknown) => thrown)
      named(() => {
        throw error
      }, words)
    }
    // It handles `maxWaitMs` differently.
    if (!('maxWaitMs' in call)) named(() => limiter.tryAcquire(call), words)
    expect([limiter.stats().issued, clock.pendingTimers]).toEqual([0, 0])
  })
})

describe('everything else', () => {
  const { limiter } = rig()
  const rows: [string, () => unknown, ...string[]][] = [
    ['no options', () => new BucketRateLimiter(undefined as never), 'undefined'],
    [
      'a clock beside a parent',
      () => new BucketRateLimiter({ name: 'a', parent: limiter, clock: rig().clock }),
      'clock',
    ],
    ['update of the name', () => limiter.update({ name: 'b' } as never), 'name'],
    ['update of the parent', () => limiter.update({ parent: limiter } as never), 'parent'],
    ['default limiter', () => configureDefaultLimiter({ requestsPerMinute: 0 }), 'requestsPerMinute', '0'],
    ['pause', () => limiter.pause(-1), '-1'],
    ['pause for a word', () => limiter.pause('soon' as never), `'soon'`],
    ['an event that is none', () => limiter.on('refused' as never, () => {}), 'refused', 'refuse'],
    ['a listener that is none', () => limiter.on('issue', 5 as never), 'listener', '5'],
    ['wrapping no function', () => withLimiter('x' as never, limiter), 'fn', `'x'`],
    ['wrapping with no limiter', () => withLimiter(() => 1, 5 as never), 'limiter', '5'],
    [
      'wrapping with wrong options',
      () => withLimiter(() => 1, { requestsPerMinute: 0 }),
      'requestsPerMinute',
      '0',
    ],
    [
      'an unknown option of withLimiter',
      () => withLimiter(() => 1, limiter, { costs: 1 } as never),
      'costs',
      'cost',
    ],
    ['a cost that is no function', () => withLimiter(() => 1, limiter, { cost: 5 } as never), 'cost', '5'],
    ['a usage that is no function', () => withLimiter(() => 1, limiter, { usage: 5 } as never), 'usage', '5'],
    ['an idle time', () => withLimiter(() => 1, limiter, { streamIdleMs: 0 }), 'streamIdleMs', '0'],
    [
      'a wrong limit of a model',
      () => perModel({ a: { requestsPerMinute: -1 } }),
      `'a'`,
      'requestsPerMinute',
      '-1',
    ],
    [
      'a wrong limit of the default model',
      () => perModel({ default: { requestsPerMinute: -1 } }),
      'requestsPerMinute',
    ],
    [
      'an unknown option of a service',
      () => perModel({ a: {} }, { isblocked: () => true } as never),
      'isblocked',
    ],
    ['shared', () => shared({ name: 'x', tokensPerMinute: 0 }), 'tokensPerMinute', '0'],
    ['restore of nothing', () => limiter.restore(null as never), 'null'],
    [
      'restore of something else',
      () => limiter.restore({ version: 1, wall: 1, limits: null } as never),
      'snapshot',
    ],
    [
      'restore of rubbish',
      () =>
        limiter.restore({
          version: 1,
          name: 'test',
          wall: 1,
          limits: { 'requests/60000': { taken: [[NaN, 5]] } },
        }),
      'snapshot',
    ],
    [
      'restore of what nobody can learn',
      () =>
        limiter.restore({
          ...limiter.snapshot(),
          limits: { 'requests/60000': { taken: [], learned: { rate: -1, of: 'slow' } } },
        }),
      'snapshot',
    ],
    [
      "restore of another limiter's",
      () => limiter.restore({ ...limiter.snapshot(), name: 'other' }),
      `one of 'test'`,
      `got one of 'other'`,
    ],
    [
      'update of nothing',
      () => limiter.update(undefined as never),
      'update',
      'undefined',
      'requestsPerMinute',
    ],
    ['update of a number', () => configureDefaultLimiter(5 as never), 'update', '5', 'requestsPerMinute'],
    [
      'no limit at all',
      () => new BucketRateLimiter({ name: 'free' }),
      `'free'`,
      'requestsPerMinute',
      'limits: []',
    ],
    [
      'models in the place of a limiter',
      () => withLimiter(() => 1, { models: {} } as never),
      'perModel',
      '{ models }',
    ],
    ['a wrapped function without a limit', () => withLimiter(() => 1, { retry: {} }), 'requestsPerMinute'],
    [
      'what only looks like a limit',
      () => new BucketRateLimiter({ name: 'free', burst: 5, discover: true }),
      `'free'`,
    ],
    ['shared without a limit', () => shared({ name: 'mistral' }), `'mistral'`, 'tokensPerMinute'],
    ['no models', () => perModel({}), 'models', `{ 'gpt-5': { requestsPerMinute: 500 }`, 'default', '{}'],
    ['models that are none', () => perModel(undefined as never), 'models', 'undefined'],
    [
      'limits in the place of models',
      () => perModel({ requestsPerMinute: 500 } as never),
      `limits of the model 'requestsPerMinute'`,
      '500',
    ],
    ['a model without a limit', () => perModel({ 'gpt-5': {} }), `'gpt-5'`, 'limits: []'],
    ['a cost of waitTime', () => limiter.waitTime({ tokens: -1 }), 'cost.tokens', '-1'],
  ]
  test.each(rows)('%s', (_, act, ...words) => named(act, words))

  test('a function that is none rejects', async () => {
    await expect(limiter.run(5 as never)).rejects.toThrow(/fn must be a function, got 5/)
  })
})

test('an error tells no secrets of what it was given', () => {
  const client = { apiKey: 'sk-secret', baseURL: 'https://api.example.com' }
  const act = () => new BucketRateLimiter({ name: 'test', parent: client as never })
  expect(act).toThrow('parent must be a BucketRateLimiter, got {apiKey, baseURL}')
})

test('what looks wrong and is fine', async () => {
  const { limiter } = rig({ maxWaitMs: 0, queue: { max: 0 }, requestsPerMinute: 0.001, ramp: { ms: 0 } })
  await expect(
    limiter.run(() => 'free', { cost: { requests: 0, tokens: 0 }, maxWaitMs: 0, priority: -3.5 }),
  ).resolves.toBe('free')
  for (const limit of [{ limits: [] }, { maxConcurrent: 5 }, { parent: limiter }])
    expect(new BucketRateLimiter({ name: 'no rate', ...limit }).waitTime()).toBe(0)
})
