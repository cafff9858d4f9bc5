// A provider may refuse inside a successful answer: in a stream, or as an error in a body.

import { BucketRateLimiter, withLimiter } from 'llmiter'
import { VirtualClock } from 'llmiter/testing'
import { expect, test } from 'vitest'
import { collect } from '../../helpers.ts'

const limited = () => {
  const clock = new VirtualClock()
  const limiter = new BucketRateLimiter({ name: 'm', requestsPerMinute: 600, clock })
  return { clock, limiter }
}

async function* events(...chunks: unknown[]) {
  yield* chunks
}

test.each([
  ['OpenAI, Responses', { type: 'response.failed', response: { error: { code: 'rate_limit_exceeded' } } }],
  ['an event of an error', { type: 'error', error: { type: 'rate_limit_error', message: 'no' } }],
  ['a chunk with an error', { error: { code: 429, message: 'Provider returned error' } }],
  ['Bedrock', { throttlingException: { message: 'Too many requests' } }],
])('%s: the reader sees the event, and the limiter hears the refusal', async (_name, failure) => {
  const { clock, limiter } = limited()
  const ask = withLimiter(async () => events({ text: 'a' }, failure), limiter)
  expect(await collect(await ask())).toEqual([{ text: 'a' }, failure])
  expect(limiter.stats()).toMatchObject({ refused: 1, inFlight: 0, gate: 'closed' })
  await clock.advance(60_000)
})

test('a body that holds a refusal is one, and the call goes again', async () => {
  const { clock, limiter } = limited()
  const answers = [{ error: { code: 429, message: 'slow down' } }, { text: 'hello' }]
  const answer = withLimiter(async () => answers.shift(), limiter)()
  await clock.advance(60_000)
  expect(await answer).toEqual({ text: 'hello' })
  expect(limiter.stats()).toMatchObject({ refused: 1, inFlight: 0 })
})

test('an error of the caller’s own in a result is handed on', async () => {
  const { clock, limiter } = limited()
  const result = { error: { message: 'no such user' }, data: null }
  const answer = withLimiter(async () => result, limiter)()
  await clock.advance(1000)
  expect(await answer).toBe(result)
})

test('a revoked Proxy, thrown or returned, leaves no ticket out', async () => {
  const { clock, limiter } = limited()
  const revoked = () => {
    const { proxy, revoke } = Proxy.revocable({}, {})
    revoke()
    return proxy
  }
  const thrown = limiter.run(() => {
    throw revoked()
  })
  const rejected = limiter.run(() => Promise.reject(revoked()))
  const ends = Promise.allSettled([thrown, rejected])
  await clock.advance(60_000)
  expect((await ends).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  expect(limiter.stats().inFlight).toBe(0)
})
