/** Providers that charge a guess and correct it: stories of what each lets in. */
import { describe, expect, test } from 'vitest'
import { BurndownProvider, LeakyBucketProvider } from '../../src/testing/index.ts'
import { admitted, limitOf, transcript } from './transcript.ts'

describe('LeakyBucketProvider', () => {
  test('charges the estimate, tells the exact wait, and lets it in then', () => {
    const provider = new LeakyBucketProvider({ tokensPerMinute: 6000 })
    const call = { inputTokens: 1000, maxOutputTokens: 3000, outputTokens: 200 }
    expect(
      transcript(provider, [
        [0, call],
        [0, call],
        [19_999, call],
        [20_000, call],
        [20_001, { inputTokens: 1 }],
      ]),
    ).toEqual(['ok', 'tokens +20000', 'tokens +1', 'ok', 'tokens +9'])
  })

  test('gives back at the end what the estimate had too much, once', () => {
    const provider = new LeakyBucketProvider({ tokensPerMinute: 6000 })
    const call = admitted(provider, 0, { inputTokens: 1000, maxOutputTokens: 4000 })
    expect(limitOf(provider, 0, 'tokens').remaining).toBe(1000)
    call.finish(1000, { inputTokens: 1000, outputTokens: 300 })
    call.finish(1000, { inputTokens: 0, outputTokens: 0 })
    expect(limitOf(provider, 1000, 'tokens')).toMatchObject({ remaining: 4800, resetMs: 12_000 })
  })

  test('an estimate that was too low leaves a debt', () => {
    const provider = new LeakyBucketProvider({
      tokensPerMinute: 6000,
      capacityMs: 1000,
      estimate: ({ inputTokens = 0 }) => inputTokens,
    })
    admitted(provider, 0, { inputTokens: 10 }).finish(0, { inputTokens: 10, outputTokens: 290 })
    expect(limitOf(provider, 0, 'tokens').remaining).toBe(0)
    expect(transcript(provider, [[0, { inputTokens: 10 }]])).toEqual(['tokens +2100'])
  })

  test('names itself, and the option that is wrong', () => {
    expect(new LeakyBucketProvider({ tokensPerMinute: 1 }).name).toBe(
      'leaky bucket of 60 s, exact Retry-After',
    )
    expect(() => new LeakyBucketProvider({ tokensPerMinute: -1 })).toThrow(
      'tokensPerMinute must be a number above 0',
    )
  })
})

describe('BurndownProvider', () => {
  test('reserves the maximum, and settles output five times over', () => {
    const provider = new BurndownProvider({ tokensPerMinute: 10_000 })
    const large = { inputTokens: 1000, maxOutputTokens: 8000 }
    const call = admitted(provider, 0, large)
    expect(transcript(provider, [[0, { inputTokens: 1001 }]])).toEqual(['tokens'])
    call.finish(0, { inputTokens: 1000, outputTokens: 100 })
    expect(limitOf(provider, 0, 'tokens').remaining).toBe(8500)
    expect(transcript(provider, [[0, { inputTokens: 8500 }]])).toEqual(['ok'])
  })

  test('what was burnt above the reservation is owed', () => {
    const provider = new BurndownProvider({ tokensPerMinute: 6000 })
    admitted(provider, 0, { inputTokens: 0, maxOutputTokens: 2000 }).finish(0, { outputTokens: 2000 })
    expect(limitOf(provider, 0, 'tokens')).toMatchObject({ remaining: 0, resetMs: 100_000 })
    expect(provider.waitMs(0, { inputTokens: 1 })).toBeCloseTo(40_010)
  })

  test('counts requests beside the tokens; a reservation above the limit can never fit', () => {
    const provider = new BurndownProvider({ tokensPerMinute: 6000, requestsPerMinute: 1, burndown: 1 })
    expect(transcript(provider, [[0], [1], [60_000]])).toEqual(['ok', 'requests', 'ok'])
    const tooLarge = { inputTokens: 1, maxOutputTokens: 6000 }
    expect(provider.ask(60_000, tooLarge)).toMatchObject({ why: 'oversize', limit: 6000, requested: 6001 })
    expect(provider.waitMs(60_000, tooLarge)).toBe(Infinity)
    expect(provider.optimumMs(0, 1, tooLarge)).toBe(Infinity)
  })
})
