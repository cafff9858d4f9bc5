/** The other models over HTTP, where they differ from a bucket, as the real SDK of OpenAI sees them. */
import { APIUserAbortError, type APIError } from 'openai'
import { describe, expect, test } from 'vitest'
import {
  AccelerationProvider,
  BurndownProvider,
  ConcurrencyProvider,
  LeakyBucketProvider,
  OutageProvider,
  SlidingLogProvider,
  StepChangeProvider,
  TokenBucketProvider,
  VirtualClock,
  type OutageOptions,
} from '../../src/testing/index.ts'
import { ample, caught, chat, refusal, start, until } from './http-harness.ts'

const stepped = (told: boolean) =>
  new StepChangeProvider(new TokenBucketProvider({ requestsPerMinute: 60 }), {
    steps: [{ atMs: 1000, factor: 0.5 }],
    told,
  })

describe('refusals', () => {
  test('those that tell no wait send no header for it', async () => {
    for (const model of [
      new SlidingLogProvider({ requestsPerMinute: 1 }),
      new BurndownProvider({ tokensPerMinute: 1000, requestsPerMinute: 1 }),
    ]) {
      const { provider, openai } = await start({ model, clock: new VirtualClock() })
      await openai.chat.completions.create(chat)
      const error = await refusal(openai.chat.completions.create(chat))
      expect(error).toMatchObject({ type: 'requests', code: 'rate_limit_exceeded' })
      expect(error.message).not.toContain('Please try again')
      expect([error.headers.get('retry-after'), error.headers.get('retry-after-ms')]).toEqual([null, null])
      expect(error.headers.get('x-ratelimit-remaining-requests')).toBe('0')
      await provider.close()
    }
  })

  test('a leaky bucket tells the exact wait, and takes back what was not used', async () => {
    const clock = new VirtualClock()
    const model = new LeakyBucketProvider({ tokensPerMinute: 600 })
    const { openai } = await start({ model, clock })
    await openai.chat.completions.create({ ...chat, max_tokens: 590 })
    // 10 of the prompt and 16 of the answer stay: the natural answer is shorter than what was reserved.
    expect(model.limits(0)[0]!.remaining).toBe(574)
    const error = await refusal(openai.chat.completions.create({ ...chat, max_tokens: 577 }))
    expect(error.headers.get('retry-after-ms')).toBe('1300')
  })

  test('growth: the headers tell a limit that is not the reason', async () => {
    const model = new AccelerationProvider({ requestsPerMinute: 600, floorPerMinute: 1 })
    const { openai } = await start({ model, clock: new VirtualClock() })
    await openai.chat.completions.create(chat)
    const error = await refusal(openai.chat.completions.create(chat))
    expect(error.headers.get('x-ratelimit-remaining-requests')).toBe('599')
    expect(error.headers.get('retry-after')).toBe('60')
  })

  test('a step that is told, and one that is not', async () => {
    for (const told of [true, false]) {
      const clock = new VirtualClock()
      const { provider, openai } = await start({ model: stepped(told), clock })
      await clock.advance(1000)
      const { response } = await openai.chat.completions.create(chat).withResponse()
      expect(response.headers.get('x-ratelimit-limit-requests')).toBe(told ? '30' : '60')
      await provider.close()
    }
  })

  test('too many at once: no wait is told, and the end of a call makes room', async () => {
    const clock = new VirtualClock()
    const model = new ConcurrencyProvider({ concurrency: 1 })
    const { provider, openai } = await start({ model, clock, latencyMs: 500 })
    const first = openai.chat.completions.create(chat).then(({ object }) => object)
    await until(() => clock.pendingTimers === 1)
    const error = await refusal(openai.chat.completions.create(chat))
    expect(error.message).toContain('on concurrent requests: Limit 1, Used 1, Requested 1.')
    expect(error.headers.get('retry-after')).toBe(null)
    await clock.advance(500)
    expect(await first).toBe('chat.completion')
    expect(model.limits(500)[0]!.remaining).toBe(1)
    expect(provider.requests).toMatchObject({ admitted: 1, refused: 1 })
  })
})

describe('outages', () => {
  const out = async (says: OutageOptions['says'], retryAfterMs?: number) => {
    const during = { fromMs: 0, toMs: 60_000, ...(says && { says }), ...(retryAfterMs && { retryAfterMs }) }
    const clock = new VirtualClock()
    return { clock, ...(await start({ model: new OutageProvider(ample(), during), clock })) }
  }

  test('529, without a word on limits, until it is over', async () => {
    const { clock, openai } = await out('overloaded', 1500)
    const error = (await caught(openai.chat.completions.create(chat))) as APIError
    expect(error).toMatchObject({ status: 529, type: 'overloaded_error' })
    expect(error.headers!.get('retry-after-ms')).toBe('1500')
    expect(error.headers!.get('x-ratelimit-limit-requests')).toBe(null)
    await clock.advance(60_000)
    const { response } = await openai.chat.completions.create(chat).withResponse()
    expect(response.headers.get('x-ratelimit-limit-requests')).toBe('6000')
  })

  test('503, and 503 that says slow_down', async () => {
    const busy = await out('unavailable')
    expect(await caught(busy.openai.chat.completions.create(chat))).toMatchObject({ status: 503, code: null })
    await busy.provider.close()
    const { openai } = await out('slow down')
    expect(await caught(openai.chat.completions.create(chat))).toMatchObject({
      status: 503,
      code: 'slow_down',
    })
  })

  test('a black hole holds the request until the client gives up, and charges nothing', async () => {
    const { provider, openai } = await out('nothing')
    const client = new AbortController()
    const error = caught(openai.chat.completions.create(chat, { signal: client.signal }))
    await until(() => provider.requests.log.length === 1)
    client.abort()
    expect(await error).toBeInstanceOf(APIUserAbortError)
    await until(() => provider.requests.log[0]!.left)
    expect(provider.requests).toMatchObject({
      refused: 0,
      byStatus: {},
      log: [{ status: 0, outputTokens: 0 }],
    })
  })
})
