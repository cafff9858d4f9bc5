/** Providers that change or fail for a while: stories of what each lets in. */
import { describe, expect, test } from 'vitest'
import {
  FixedWindowProvider,
  OutageProvider,
  SlidingLogProvider,
  StepChangeProvider,
  TokenBucketProvider,
  type OutageOptions,
} from '../../src/testing/index.ts'
import { limitOf, transcript } from './transcript.ts'

const MINUTE = 60_000

describe('StepChangeProvider', () => {
  const steps = [
    { atMs: 10_000, factor: 0.5 },
    { atMs: 20_000, factor: 1 },
  ]
  const second = () => new TokenBucketProvider({ requestsPerMinute: 60, capacityMs: 1000 })

  test('a bucket refills at half the rate from one moment to another', () => {
    const provider = new StepChangeProvider(second(), { steps })
    expect(
      transcript(provider, [
        [9000],
        [9000],
        [10_000],
        [10_001],
        [11_999],
        [12_000],
        [19_000],
        [20_000],
        [21_000],
      ]),
    ).toEqual([
      'ok',
      'requests +1000',
      'ok',
      'requests +1999',
      'requests +1',
      'ok',
      'ok',
      'requests +1000',
      'ok',
    ])
    expect(provider.optimumMs(0, 30)).toBeCloseTo(34_500)
  })

  test('what a window has let in stays let in, also above the new limit', () => {
    const provider = new StepChangeProvider(new FixedWindowProvider({ requestsPerMinute: 5 }), {
      steps: [
        { atMs: 20_000, factor: 1 },
        { atMs: 10_000, factor: 0.5 },
      ],
    })
    expect(transcript(provider, [[0], [0], [0], [0], [10_000], [19_999], [20_000], [20_000]])).toEqual([
      'ok',
      'ok',
      'ok',
      'ok',
      'requests +50000',
      'requests +40001',
      'ok',
      'requests +40000',
    ])
  })

  test('headers and refusals tell the limit of the moment, or go on telling the first', () => {
    const [told, notTold] = [true, false].map((told) => {
      const minute = new TokenBucketProvider({ requestsPerMinute: 60 })
      return new StepChangeProvider(minute, { steps: [{ atMs: 1000, factor: 0.5 }], told })
    }) as [StepChangeProvider, StepChangeProvider]
    expect(limitOf(told, 1000)).toMatchObject({ amount: 30, remaining: 30 })
    expect(limitOf(notTold, 1000)).toMatchObject({ amount: 60, remaining: 60 })
    for (const provider of [told, notTold]) {
      for (let i = 0; i < 30; i++) expect(provider.ask(1000).kind).toBe('admitted')
    }
    expect(told.ask(1000)).toMatchObject({ limit: 30, used: 30, retryAfterMs: 2000 })
    expect(notTold.ask(1000)).toMatchObject({ limit: 60, used: 60, retryAfterMs: 2000 })
  })

  test('a call above the limit of the moment is oversize, and the optimum waits for a better one', () => {
    const steps = [
      { atMs: 0, factor: 0.5 },
      { atMs: 30_000, factor: 1 },
    ]
    const provider = new StepChangeProvider(new SlidingLogProvider({ tokensPerMinute: 100 }), { steps })
    expect(provider.ask(0, { inputTokens: 60 })).toMatchObject({ why: 'oversize', limit: 50 })
    expect(provider.optimumMs(0, 1, { inputTokens: 60 })).toBe(30_000)
    expect(provider.optimumMs(0, 1, { inputTokens: 101 })).toBe(Infinity)
  })

  test('names itself, and the option that is wrong', () => {
    expect(new StepChangeProvider(second(), { steps, told: false }).name).toBe(
      'token bucket of 1 s, exact Retry-After, × 0.5 from 10 s, × 1 from 20 s, not told',
    )
    expect(() => new StepChangeProvider(second(), { steps: [{ atMs: 0, factor: 0 }] })).toThrow(
      'factor of a step must be a number above 0, got 0',
    )
    expect(() => new StepChangeProvider(second(), { steps: [{ atMs: NaN, factor: 1 }] })).toThrow(
      'atMs of a step',
    )
  })
})

describe('OutageProvider', () => {
  const during = { fromMs: 1000, toMs: 3000 }
  const outOf = (options: Partial<OutageOptions> = {}) =>
    new OutageProvider(new TokenBucketProvider({ requestsPerMinute: 60, capacityMs: 2000 }), {
      ...during,
      ...options,
    })

  test('refuses all for a while, and that costs the limits nothing', () => {
    const provider = outOf()
    expect(transcript(provider, [[0], [0], [0], [1000], [2999], [3000], [3000], [3000]])).toEqual([
      'ok',
      'ok',
      'requests +1000',
      'overload 529',
      'overload 529',
      'ok',
      'ok',
      'requests +1000',
    ])
    expect(provider.limits(0)).toHaveLength(1)
    expect(outOf().limits(2000)).toEqual([])
    expect([1, 2, 3, 4, 5].map((calls) => provider.optimumMs(0, calls))).toEqual([0, 0, 3000, 3000, 4000])
  })

  test('says it in each of the ways', () => {
    expect(transcript(outOf({ says: 'unavailable', retryAfterMs: 500 }), [[1000]])).toEqual([
      'overload 503 +500',
    ])
    expect(outOf({ says: 'slow down' }).ask(1000)).toEqual({
      kind: 'refused',
      why: 'overload',
      status: 503,
      slowDown: true,
    })
    expect(transcript(outOf({ says: 'nothing' }), [[999], [1000], [3000]])).toEqual(['ok', 'silent', 'ok'])
  })

  test('a partial one strikes its share, the same calls for the same seed', () => {
    const struck = (seed: number) => {
      const ample = new TokenBucketProvider({ requestsPerMinute: 100_000 })
      const provider = new OutageProvider(ample, { fromMs: 0, toMs: MINUTE, share: 0.3, seed })
      return Array.from({ length: 10_000 }, (_, i) => provider.ask(i).kind === 'refused')
    }
    expect(struck(1).filter(Boolean).length / 10_000).toBeCloseTo(0.3, 1)
    expect(struck(1)).toEqual(struck(1))
    expect(struck(1)).not.toEqual(struck(2))
    expect(outOf({ share: 0.3 }).optimumMs(0, 5)).toBe(3000)
    expect(outOf({ share: 0.3 }).limits(2000)).toHaveLength(1)
  })

  test('outages may follow each other, and strike a provider that changes', () => {
    const twice = new OutageProvider(outOf(), { fromMs: 5000, toMs: 6000, says: 'slow down' })
    expect(transcript(twice, [[0], [2000], [4000], [5000], [6000]])).toEqual([
      'ok',
      'overload 529',
      'ok',
      'overload 503',
      'ok',
    ])
    expect(twice.name).toBe(
      'token bucket of 2 s, exact Retry-After, overloaded from 1 s to 3 s, slow down from 5 s to 6 s',
    )
  })

  test('names the option that is wrong', () => {
    expect(() => outOf({ toMs: 0 })).toThrow('toMs must not be before fromMs (1000), got 0')
    expect(() => outOf({ share: 0 })).toThrow('share must be above 0 and at most 1, got 0')
    // @ts-expect-error a word that is not known
    expect(() => outOf({ says: 'sorry' })).toThrow(
      "says must be 'overloaded' or 'unavailable' or 'slow down' or 'limited' or 'nothing'",
    )
  })
})
