import { expect, test } from 'vitest'
import { TokenEstimator } from '../../src/call/token-estimator.ts'
import { parseLimits } from '../../src/core/limit/parse-limits.ts'

const limits = parseLimits({ inputTokensPerMinute: 1_000_000, outputTokensPerMinute: 1_000_000 })
const ask = (estimator: TokenEstimator, text: string) =>
  estimator.cost([{ messages: [{ content: text }] }], limits)
const PROMPT = 'word '.repeat(800)

test('a single unusual call does not change the estimates for others', () => {
  const estimator = new TokenEstimator()
  const plain = ask(estimator, PROMPT).inputTokens!
  // A file in a form that was taken for text, so its estimate is a hundred times too large.
  estimator.learn(ask(estimator, PROMPT.repeat(100)), { inputTokens: plain, outputTokens: 100 })
  expect(ask(estimator, PROMPT).inputTokens).toBe(plain)
  for (let i = 0; i < 20; i++) {
    estimator.learn(ask(estimator, PROMPT), { inputTokens: plain, outputTokens: 100 })
    if (i % 5 === 0) estimator.learn(ask(estimator, PROMPT), { inputTokens: 20 * plain, outputTokens: 100 })
    expect(ask(estimator, PROMPT).inputTokens).toBe(plain)
  }
})

test('a change of usage is learned from two calls, and unlearned again', () => {
  const estimator = new TokenEstimator()
  const plain = ask(estimator, PROMPT).inputTokens!
  const use = (share: number, calls: number) => {
    for (let i = 0; i < calls; i++)
      estimator.learn(ask(estimator, PROMPT), { inputTokens: share * plain, outputTokens: 10 })
  }
  // Only the text is estimated, so the ratio is of the total usage to that estimate.
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

test('calls without arguments: one outlier in input or output changes nothing for the others', () => {
  const estimator = new TokenEstimator()
  const next = () => estimator.cost(undefined, limits)
  for (let i = 0; i < 30; i++) estimator.learn(next(), { inputTokens: 1000, outputTokens: 100 })
  estimator.learn(next(), { inputTokens: 300_000, outputTokens: 90_000 })
  expect(next()).toMatchObject({ inputTokens: 1000, outputTokens: 100 })
})

test('each model learns from its own calls, and a new one begins with what all have used', () => {
  const estimator = new TokenEstimator()
  const of = (model: string) => estimator.cost([{ model, messages: [{ content: PROMPT }] }], limits)
  const plain = of('a').inputTokens!
  for (let i = 0; i < 10; i++) estimator.learn(of('a'), { inputTokens: 2 * plain, outputTokens: 10 })
  expect(of('c').inputTokens).toBe(2 * plain)
  for (let i = 0; i < 10; i++) estimator.learn(of('b'), { inputTokens: plain, outputTokens: 500 })
  expect([of('a').inputTokens, of('b').inputTokens]).toEqual([2 * plain, plain])
  expect([of('a').outputTokens, of('b').outputTokens]).toEqual([10, 500])
})

test('calls with media do not affect the estimates for text', () => {
  const estimator = new TokenEstimator()
  const text = [{ model: 'm', messages: [{ content: PROMPT }] }]
  const picture = [{ model: 'm', messages: [{ content: 'data:image/png;base64,R0lGODlhAQABAAAAACw=' }] }]
  const plain = estimator.cost(text, limits).inputTokens!
  for (let i = 0; i < 5; i++) estimator.learn(estimator.cost(text, limits), { inputTokens: plain })
  for (let i = 0; i < 15; i++) estimator.learn(estimator.cost(picture, limits), { inputTokens: 90 })
  expect(estimator.cost(text, limits).inputTokens).toBe(plain)
  expect(estimator.cost(picture, limits).inputTokens).toBeLessThan(110)
})
