// The real openai SDK against a provider over HTTP.

import OpenAI from 'openai'
import { afterEach, expect, test } from 'vitest'
import { BucketRateLimiter, withLimiter } from 'llmiter'
import {
  type HttpProvider,
  type HttpProviderOptions,
  startHttpProvider,
  TokenBucketProvider,
} from 'llmiter/testing'
import { each, leave } from '../../helpers.ts'

let provider: HttpProvider | undefined
afterEach(() => provider?.close())

async function start(
  options: Partial<HttpProviderOptions> = {},
  limits: Partial<ConstructorParameters<typeof BucketRateLimiter>[0]> = {},
) {
  provider = await startHttpProvider({
    model: new TokenBucketProvider({ requestsPerMinute: 60_000 }),
    answerTokens: 5,
    ...options,
  })
  const openai = new OpenAI({ apiKey: 'any', baseURL: provider.url, maxRetries: 0 })
  const limiter = new BucketRateLimiter({
    name: 'gpt-5',
    tokensPerMinute: 60_000_000,
    maxConcurrent: 2,
    ...limits,
  })
  const chat = withLimiter(
    (content: string) =>
      openai.chat.completions.create({
        model: 'gpt-5',
        messages: [{ role: 'user', content }],
        stream: true,
        stream_options: { include_usage: true },
      }),
    limiter,
  )
  return { openai, limiter, chat, requests: provider.requests }
}
const settled = async (limiter: BucketRateLimiter) => {
  for (let i = 0; i < 200 && limiter.stats().inFlight > 0; i++)
    await new Promise((resolve) => setImmediate(resolve))
  return limiter.stats().inFlight
}

test('a plain answer, typed, with its usage', async () => {
  const { openai, limiter } = await start()
  const ask = withLimiter((input: string) => openai.responses.create({ model: 'gpt-5', input }), limiter)
  const answer = await ask('What is the capital of France?')
  expect(answer.output_text.length).toBeGreaterThan(0)
  expect(limiter.stats()).toMatchObject({ issued: 1, finished: 1, inFlight: 0 })
})

test('429s of the provider are waited out, in the order of the callers', async () => {
  let requests = 0
  const { openai, limiter } = await start({
    chaos: () =>
      requests++ < 3
        ? {
            kind: 'refused',
            why: 'rate',
            status: 429,
            of: 'requests',
            limit: 60,
            used: 60,
            requested: 1,
            retryAfterMs: 20,
          }
        : undefined,
  })
  const ask = withLimiter((input: string) => openai.responses.create({ model: 'gpt-5', input }), limiter)
  const order: string[] = []
  await Promise.all(['a', 'b'].map((name) => ask(name).then(() => order.push(name))))
  expect(order).toEqual(['a', 'b'])
  expect(limiter.stats()).toMatchObject({ refused: requests - 2, finished: 2, inFlight: 0 })
})

test('insufficient_quota reaches the caller as the SDK threw it', async () => {
  const { openai, limiter } = await start({ chaos: () => ({ kind: 'refused', why: 'quota', status: 429 }) })
  const ask = withLimiter((input: string) => openai.responses.create({ model: 'gpt-5', input }), limiter)
  await expect(ask('a')).rejects.toThrow(OpenAI.RateLimitError)
  await expect(ask('b')).rejects.toMatchObject({ code: 'QUOTA_EXHAUSTED' })
})

test('a stream read to its end holds its ticket and settles its usage', async () => {
  const { limiter, chat } = await start()
  const stream = await chat('hello')
  expect(stream.controller).toBeInstanceOf(AbortController)
  let text = ''
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? ''
    expect(limiter.stats().inFlight).toBe(1)
  }
  expect(text.length).toBeGreaterThan(0)
  expect(await settled(limiter)).toBe(0)
})

test('tee(): both halves whole, one ticket', async () => {
  const { limiter, chat } = await start()
  const [left, right] = (await chat('hello')).tee()
  const read = async (half: typeof left) => {
    let text = ''
    for await (const chunk of half) text += chunk.choices[0]?.delta.content ?? ''
    return text
  }
  expect(limiter.stats().inFlight).toBe(1)
  const [a, b] = await Promise.all([read(left), read(right)])
  expect(a).toBe(b)
  expect(await settled(limiter)).toBe(0)
})

test('toReadableStream(): read whole, and cancelled', async () => {
  const { limiter, chat } = await start()
  const whole = (await chat('hello')).toReadableStream()
  expect(limiter.stats().inFlight).toBe(1)
  expect((await new Response(whole).text()).length).toBeGreaterThan(0)
  expect(await settled(limiter)).toBe(0)
  await (await chat('hello')).toReadableStream().cancel()
  expect(await settled(limiter)).toBe(0)
})

test('its controller aborted before anything is read: the ticket is back', async () => {
  const { limiter, chat } = await start()
  const stream = await chat('hello')
  stream.controller.abort()
  expect(await settled(limiter)).toBe(0)
})

test('left early: the ticket is returned, and the server has seen the disconnect', async () => {
  const { limiter, chat } = await start({ answerTokens: 1000, tokensPerSecond: 200 })
  await leave(await chat('hello'))
  expect(await settled(limiter)).toBe(0)
})

test('a stream that breaks, and one that is refused midway', async () => {
  const faults = ['drops', 'refuses-midway'] as const
  for (const kind of faults) {
    const { limiter, chat } = await start({ chaos: () => ({ kind, afterTokens: 2 }) })
    const reading = (async () => {
      await each(await chat('hello'))
    })()
    await expect(reading).rejects.toThrow()
    expect(await settled(limiter)).toBe(0)
    expect(limiter.stats().gate).toBe(kind === 'drops' ? 'open' : 'closed')
    await provider!.close()
  }
})

test('headers of the answer teach the limit', async () => {
  const { openai, limiter } = await start(
    { model: new TokenBucketProvider({ requestsPerMinute: 6000 }) },
    { requestsPerMinute: 60_000 },
  )
  const ask = withLimiter(
    (input: string) => openai.responses.create({ model: 'gpt-5', input }).withResponse(),
    limiter,
  )
  await ask('a')
  expect(limiter.stats().limits.find(({ of }) => of === 'requests')?.learned).toBeCloseTo(6000)
})
