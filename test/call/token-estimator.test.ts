import { expect, test } from 'vitest'
import { TokenEstimator } from '../../src/call/token-estimator.ts'
import { parseLimits } from '../../src/core/limit/parse-limits.ts'

const limits = parseLimits({ inputTokensPerMinute: 1_000_000, outputTokensPerMinute: 1_000_000 })
const ask = (estimator: TokenEstimator, text: string) =>
  estimator.cost([{ messages: [{ content: text }] }], limits)
const PROMPT = 'word '.repeat(800)

test('one call that is unlike the others changes nothing for them', () => {
  const estimator = new TokenEstimator()
  const plain = ask(estimator, PROMPT).inputTokens!
  // A file in a form that was taken for text: estimated a hundred times too large.
  estimator.learn(ask(estimator, PROMPT.repeat(100)), { inputTokens: plain, outputTokens: 100 })
  expect(ask(estimator, PROMPT).inputTokens).toBe(plain)
  for (let i = 0; i < 20; i++) {
    estimator.learn(ask(estimator, PROMPT), { inputTokens: plain, outputTokens: 100 })
    if (i % 5 === 0) estimator.learn(ask(estimator, PROMPT), { inputTokens: 20 * plain, outputTokens: 100 })
    expect(ask(estimator, PROMPT).inputTokens).toBe(plain)
  }
})

test('what all calls use is learned from two of them, and unlearned', () => {
  const estimator = new TokenEstimator()
  const plain = ask(estimator, PROMPT).inputTokens!
  const use = (share: number, calls: number) => {
    for (let i = 0; i < calls; i++)
      estimator.learn(ask(estimator, PROMPT), { inputTokens: share * plain, outputTokens: 10 })
  }
  // What is estimated is the text alone, so the ratio is of what was used to that.
  estimator.learn(ask(estimator, PROMPT), { inputTokens: plain / 2, outputTokens: 10 })
  estimator.learn(ask(estimator, PROMPT), { inputTokens: plain / 2, outputTokens: 10 })
  expect(ask(estimator, PROMPT).inputTokens).toBeCloseTo(plain / 2, -1)
  use(1, 15)
  expect(ask(estimator, PROMPT).inputTokens).toBeCloseTo(plain, -1)
})

test('an embedding has no output to reserve', () => {
  const cost = new TokenEstimator().cost([{ model: 'text-embedding-3-small', input: 'two words' }], limits)
  expect(cost).toMatchObject({ outputTokens: 0 })
})
