// Embeddings have no output: none is reserved for them, and their usage corrects the estimate.

import { BucketRateLimiter, withLimiter } from 'llmiter'
import { VirtualClock } from 'llmiter/testing'
import { expect, test } from 'vitest'

const embed = async (_request: { model: string; input: string | string[] }) => ({
  data: [{ embedding: [0.1] }],
  usage: { prompt_tokens: 2, total_tokens: 2 },
})

test('25 embeddings of two words go at the pace of requests, whatever the output limit', async () => {
  const clock = new VirtualClock()
  const limiter = new BucketRateLimiter({
    ...{ name: 'm', requestsPerMinute: 600, outputTokensPerMinute: 10_000, clock },
  })
  const call = withLimiter(embed, limiter)
  const outputLeft = () => limiter.stats().limits.find(({ of }) => of === 'outputTokens')!.available
  const before = outputLeft()
  const all = Promise.all(
    Array.from({ length: 25 }, () => call({ model: 'text-embedding-3-small', input: 'two words' })),
  )
  await clock.runAll()
  await all
  expect(clock.now()).toBeLessThan(4000)
  // None of them used output, so the whole limit is available to other calls.
  expect(outputLeft()).toBe(before)
})

test('with a limit of all tokens, the estimate comes down to what they use', async () => {
  const clock = new VirtualClock()
  const limiter = new BucketRateLimiter({
    ...{ name: 'm', requestsPerMinute: 6000, tokensPerMinute: 10_000, clock },
  })
  const call = withLimiter(embed, limiter)
  // 2 tokens each: the limit would let 5,000 pass in a minute.
  const all = Promise.all(
    Array.from({ length: 300 }, () => call({ model: 'text-embedding-3-small', input: 'two words' })),
  )
  await clock.runAll()
  await all
  expect(clock.now()).toBeLessThan(10_000)
})
