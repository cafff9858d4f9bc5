// A single unusual call must not distort the estimate for all: with 20,000 tokens per minute configured, no more
// may be sent.

import { BucketRateLimiter, withLimiter } from 'llmiter'
import { VirtualClock } from 'llmiter/testing'
import { expect, test } from 'vitest'

const ANSWER = (prompt_tokens: number) => ({
  usage: { prompt_tokens, completion_tokens: 0, total_tokens: prompt_tokens },
})

test.each([
  ['much too large', 1100, 'x '.repeat(40_000)],
  ['much too small', 19_000, 'x'],
])('a file that was estimated %s lets nobody pass the limit', async (_name, used, odd) => {
  const clock = new VirtualClock()
  const limiter = new BucketRateLimiter({ name: 'm', tokensPerMinute: 20_000, clock })
  const sent: { at: number; tokens: number }[] = []
  const prompt = 'word '.repeat(800)
  const ask = withLimiter(async (text: string) => {
    const tokens = text === prompt ? 1000 : used
    sent.push({ at: clock.now(), tokens })
    return ANSWER(tokens)
  }, limiter)
  void ask(odd)
  await clock.advance(1000)
  for (let i = 0; i < 100; i++) void ask(prompt)
  await clock.advance(2000)
  // A few calls go at once (a fifth of the minute), no more.
  expect(sent.filter(({ tokens }) => tokens === 1000).length).toBeLessThanOrEqual(6)
  await clock.runAll()
  expect(sent).toHaveLength(101)
  for (const { at } of sent) {
    const window = sent.filter((other) => other.at > at - 60_000 && other.at <= at)
    const total = window.reduce((sum, { tokens }) => sum + tokens, 0)
    // The excess is at most the error of one estimate, for the unusual call, which could not be known.
    expect(total).toBeLessThanOrEqual(20_000 + (window.some(({ tokens }) => tokens === used) ? used : 1000))
  }
})
