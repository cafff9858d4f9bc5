/** The model providers: stories of what each lets in. */
import { describe, expect, test } from 'vitest'
import {
  FixedWindowProvider,
  ShortQuantumProvider,
  TokenBucketProvider,
  type ModelProvider,
} from '../../src/testing/index.ts'
import { limitOf, transcript } from './transcript.ts'

const MINUTE = 60_000

describe('TokenBucketProvider', () => {
  test('lets its capacity in at once and then one call each time the bucket has refilled it', () => {
    const provider = new TokenBucketProvider({ requestsPerMinute: 120, capacityMs: 1000 })
    expect(
      transcript(provider, [[0], [0], [0], [400], [500], [501], [1000], [5000], [5000], [5000]]),
    ).toEqual([
      'ok',
      'ok',
      'requests +500',
      'requests +100',
      'ok',
      'requests +499',
      'ok',
      'ok',
      'ok',
      'requests +500',
    ])
  })

  test('the slowest of several budgets is the one to blame, and a refusal takes nothing', () => {
    const provider = new TokenBucketProvider({
      requestsPerMinute: 60,
      inputTokensPerMinute: 600,
      outputTokensPerMinute: 6000,
    })
    expect(provider.ask(0, { inputTokens: 500, outputTokens: 100 }).kind).toBe('admitted')
    expect(transcript(provider, [[0, { inputTokens: 200 }]])).toEqual(['inputTokens +10000'])
    expect(provider.limits(0).map(({ remaining }) => remaining)).toEqual([59, 100, 5900])
    expect(limitOf(provider, 0, 'inputTokens').resetMs).toBe(50_000)
  })

  test('corrects input and output when a call finishes, once, and never the common token budget', () => {
    const provider = new TokenBucketProvider({
      tokensPerMinute: 1000,
      inputTokensPerMinute: 1000,
      outputTokensPerMinute: 1000,
    })
    const answer = provider.ask(0, { inputTokens: 300, outputTokens: 200, maxOutputTokens: 600 })
    expect(provider.limits(0).map(({ remaining }) => remaining)).toEqual([400, 700, 800])
    if (answer.kind !== 'admitted') throw new Error('refused')
    answer.finish(0, { inputTokens: 100, outputTokens: 50 })
    answer.finish(0, { inputTokens: 0, outputTokens: 0 })
    expect(provider.limits(0).map(({ remaining }) => remaining)).toEqual([400, 900, 950])
  })

  test('a call above the capacity goes when the bucket is full, and leaves a debt; above the limit, never', () => {
    const provider = new TokenBucketProvider({ tokensPerMinute: 6000, capacityMs: 1000 })
    const big = { inputTokens: 500 }
    expect(
      transcript(provider, [
        [0, big],
        [0, big],
        [5000, { inputTokens: 1 }],
        [5000, big],
      ]),
    ).toEqual(['ok', 'tokens +5000', 'ok', 'tokens +10'])
    expect(provider.ask(0, { inputTokens: 6001 })).toMatchObject({
      why: 'oversize',
      limit: 6000,
      requested: 6001,
    })
  })

  test('where failures count, who hammers is starved', () => {
    const options = { requestsPerMinute: 60, capacityMs: 1000 }
    const hammer = (provider: ModelProvider) =>
      Array.from({ length: 1000 }, (_, i) => provider.ask(i * 100).kind).filter((kind) => kind === 'admitted')
        .length
    expect(hammer(new TokenBucketProvider(options))).toBe(100)
    expect(hammer(new TokenBucketProvider({ ...options, failuresCount: true }))).toBe(1)
  })

  test('tells the wait exactly, in whole seconds, or not at all', () => {
    const wait = (retryAfter: 'exact' | 'seconds' | 'none') => {
      const provider = new TokenBucketProvider({ requestsPerMinute: 40, capacityMs: 1, retryAfter })
      provider.ask(0)
      return provider.ask(0)
    }
    expect(wait('exact')).toMatchObject({ retryAfterMs: 1500, limit: 40, used: 40, requested: 1 })
    expect(wait('seconds')).toMatchObject({ retryAfterMs: 2000 })
    expect(wait('none')).not.toHaveProperty('retryAfterMs')
  })

  test('names itself, and the option that is wrong', () => {
    expect(new TokenBucketProvider({ requestsPerMinute: 1, retryAfter: 'none' }).name).toBe(
      'token bucket of 60 s, no Retry-After',
    )
    expect(() => new TokenBucketProvider({ requestsPerMinute: 0 })).toThrow(
      'requestsPerMinute must be a number above 0, got 0',
    )
    expect(() => new TokenBucketProvider({ tokensPerMinute: 1, capacityMs: NaN })).toThrow(
      /capacityMs .* got NaN/,
    )
    expect(() => new TokenBucketProvider({})).toThrow('at least one limit')
  })
})

describe('FixedWindowProvider', () => {
  test('starts from zero at each edge, wherever its phase has put it', () => {
    const provider = new FixedWindowProvider({ requestsPerMinute: 2, phaseMs: 50_000 })
    expect(transcript(provider, [[0], [1], [2], [9_999], [10_000], [10_001], [69_999], [70_000]])).toEqual([
      'ok',
      'ok',
      'requests +9998',
      'requests +1',
      'ok',
      'ok',
      'requests +1',
      'ok',
    ])
    expect(limitOf(provider, 80_000)).toMatchObject({
      amount: 2,
      perMs: MINUTE,
      remaining: 1,
      resetMs: 50_000,
    })
  })

  test('reserves max_tokens, and gives nothing back', () => {
    const provider = new FixedWindowProvider({ tokensPerMinute: 1000 })
    const answer = provider.ask(0, { inputTokens: 100, outputTokens: 10, maxOutputTokens: 500 })
    if (answer.kind === 'admitted') answer.finish(1, { inputTokens: 100, outputTokens: 10 })
    expect(limitOf(provider, 1, 'tokens').remaining).toBe(400)
    expect(transcript(provider, [[2, { inputTokens: 401 }]])).toEqual(['tokens +59998'])
  })
})

describe('ShortQuantumProvider', () => {
  test('counts seconds inside the minute', () => {
    const provider = new ShortQuantumProvider({ requestsPerMinute: 120 })
    expect(transcript(provider, [[0], [1], [2], [999], [1000], [1001], [1002]])).toEqual([
      'ok',
      'ok',
      'requests +998',
      'requests +1',
      'ok',
      'ok',
      'requests +998',
    ])
  })

  test('refused requests use up the minute, unless told not to', () => {
    const admitted = (failuresCount: boolean) => {
      const provider = new ShortQuantumProvider({ requestsPerMinute: 60, quantumMs: 10_000, failuresCount })
      return Array.from({ length: 600 }, (_, i) => provider.ask(i * 100).kind).filter(
        (kind) => kind === 'admitted',
      )
    }
    expect(admitted(true)).toHaveLength(10)
    expect(admitted(false)).toHaveLength(60)
  })

  test('the share of a quantum is rounded up, so that the whole minute can be had', () => {
    const provider = new ShortQuantumProvider({ requestsPerMinute: 119 })
    expect(provider.limits(0).map(({ amount, perMs }) => [amount, perMs])).toEqual([
      [2, 1000],
      [119, MINUTE],
    ])
    expect(provider.optimumMs(0, 119)).toBeCloseTo(59_000)
    expect(provider.optimumMs(0, 120)).toBeCloseTo(60_000)
  })
})
