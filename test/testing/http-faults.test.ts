/** The provider over HTTP: how it refuses, fails and breaks, as the real SDK of OpenAI sees it. */
import { connect } from 'node:net'
import { APIConnectionError, APIError, InternalServerError } from 'openai'
import { describe, expect, test } from 'vitest'
import { TokenBucketProvider, VirtualClock } from '../../src/testing/index.ts'
import { collect } from '../helpers.ts'
import { caught, chat, prompt, refusal, start, until } from './http-harness.ts'

describe('refusals', () => {
  test('too many requests', async () => {
    const clock = new VirtualClock()
    const { provider, openai } = await start({
      model: new TokenBucketProvider({ requestsPerMinute: 40, capacityMs: 1000 }),
      clock,
    })
    await openai.chat.completions.create(chat)
    const error = await refusal(openai.chat.completions.create(chat))
    expect(error).toMatchObject({ status: 429, code: 'rate_limit_exceeded', type: 'requests' })
    expect(error.message).toContain(
      'Rate limit reached for gpt-5 in organization org-llmiter on requests per min (RPM): ' +
        'Limit 40, Used 40, Requested 1. Please try again in 1.5s.',
    )
    expect(error.headers.get('retry-after')).toBe('2')
    expect(error.headers.get('retry-after-ms')).toBe('1500')
    expect(error.headers.get('x-ratelimit-remaining-requests')).toBe('0')
    expect(error.requestID).toMatch(/^req_/)
    expect(provider.requests).toMatchObject({ admitted: 1, refused: 1, byStatus: { 200: 1, 429: 1 } })
    await clock.advance(1500)
    await openai.chat.completions.create(chat)
  })

  test('too many tokens, and a request that is too large for ever', async () => {
    const model = new TokenBucketProvider({ tokensPerMinute: 100, retryAfter: 'seconds' })
    const { openai } = await start({ model, clock: new VirtualClock() })
    await openai.chat.completions.create({ ...chat, max_tokens: 80 })
    const rate = await refusal(openai.chat.completions.create({ ...chat, max_tokens: 90 }))
    expect(rate).toMatchObject({ type: 'tokens', code: 'rate_limit_exceeded' })
    expect(rate.message).toContain('(TPM): Limit 100, Used 80, Requested 90. Please try again in 42s.')
    expect(rate.headers.get('retry-after')).toBe('42')
    expect(rate.headers.get('retry-after-ms')).toBe(null)
    const oversize = await refusal(openai.chat.completions.create({ ...chat, max_tokens: 101 }))
    expect(oversize).toMatchObject({ code: 'rate_limit_exceeded', type: 'tokens' })
    expect(oversize.message).toMatch(/Request too large .* Limit 100, Requested 101\./)
    expect(oversize.headers.get('retry-after')).toBe(null)
  })

  test('what waiting does not cure, and what has nothing to do with the limits', async () => {
    const { provider, openai } = await start({
      chaos: ({ index }) =>
        (
          [
            { kind: 'refused', why: 'quota', status: 429 },
            { kind: 'refused', why: 'overload', status: 503, retryAfterMs: 3000 },
            { kind: 'refused', why: 'overload', status: 503, slowDown: true },
            { kind: 'refused', why: 'overload', status: 529 },
            { kind: 'fails', status: 500 },
          ] as const
        )[index],
    })
    const next = () => caught(openai.chat.completions.create(chat)) as Promise<APIError>
    expect(await next()).toMatchObject({
      status: 429,
      code: 'insufficient_quota',
      type: 'insufficient_quota',
    })
    const busy = await next()
    expect(busy).toBeInstanceOf(InternalServerError)
    expect(busy.headers!.get('retry-after')).toBe('3')
    expect(await next()).toMatchObject({ status: 503, code: 'slow_down' })
    expect(await next()).toMatchObject({ status: 529, type: 'overloaded_error' })
    expect(await next()).toMatchObject({ status: 500 })
    await openai.chat.completions.create(chat)
    expect(provider.requests).toMatchObject({
      admitted: 2,
      refused: 4,
      byStatus: { 429: 1, 503: 2, 529: 1, 500: 1, 200: 1 },
    })
  })

  test('a rate limit in the middle of a stream has a code but no status', async () => {
    const { openai } = await start({ chaos: () => ({ kind: 'refuses-midway', afterTokens: 2 }) })
    for (const stream of [
      await openai.chat.completions.create({ ...chat, stream: true }),
      await openai.responses.create({ model: 'gpt-5', input: prompt, stream: true }),
    ]) {
      const error = await caught(collect<unknown>(stream))
      expect(error).toBeInstanceOf(APIError)
      expect(error).toMatchObject({ status: undefined, code: 'rate_limit_exceeded' })
    }
  })

  test('bad requests are answered as OpenAI does', async () => {
    const { provider } = await start()
    const post = async (path: string, body: string) => {
      const answer = await fetch(`${provider.url}${path}`, { method: 'POST', body })
      return [answer.status, ((await answer.json()) as { error: { message: string } }).error.message]
    }
    expect(await post('/chat/completions', '{"model":')).toEqual([
      400,
      expect.stringContaining('parse the JSON'),
    ])
    expect(await post('/chat/completions', '[]')).toEqual([400, expect.stringContaining('parse the JSON')])
    expect(await post('/chat/completions', '{}')).toEqual([400, 'you must provide a model parameter'])
    expect(await post('/responses', '{"model":"x"}')).toEqual([400, "Missing required parameter: 'input'."])
    expect(await post('/nothing', '{}')).toEqual([404, 'Invalid URL (POST /v1/nothing)'])
    expect(provider.requests).toMatchObject({ admitted: 0, log: [], byStatus: { 400: 4, 404: 1 } })
  })

  test('what a model of your own throws becomes a 500 that says so', async () => {
    const { openai } = await start({
      chaos: () => {
        throw new Error('boom')
      },
    })
    expect(await caught(openai.chat.completions.create(chat))).toMatchObject({ status: 500, message: /boom/ })
  })
})

describe('connections', () => {
  test('a client that leaves a stream ends it, and is charged for what was produced', async () => {
    const model = new TokenBucketProvider({ outputTokensPerMinute: 1000 })
    const { provider, openai } = await start({ model, answerTokens: 500, tokensPerSecond: 200 })
    for await (const chunk of await openai.chat.completions.create({ ...chat, stream: true })) {
      if (chunk.choices[0]?.delta.content) break
    }
    await until(() => provider.requests.log[0]?.left === true)
    expect(provider.requests.log[0]!.outputTokens).toBeLessThan(100)
    expect(model.limits(provider.requests.log[0]!.atMs)[0]!.remaining).toBeGreaterThan(800)
  })

  test('a dropped connection, before an answer and within one', async () => {
    const { provider, openai } = await start({ chaos: () => ({ kind: 'drops', afterTokens: 3 }) })
    expect(await caught(openai.chat.completions.create(chat))).toBeInstanceOf(APIConnectionError)
    const texts: string[] = []
    await caught(
      (async () => {
        for await (const chunk of await openai.chat.completions.create({ ...chat, stream: true })) {
          texts.push(chunk.choices[0]?.delta.content ?? '')
        }
      })(),
    )
    expect(provider.requests.log.map(({ status, left }) => [status, left])).toEqual([
      [0, false],
      [200, false],
    ])
  })

  test('a request that hangs is held until the client gives up', async () => {
    const { provider, openai } = await start({ chaos: () => ({ kind: 'hangs' }) })
    await caught(openai.chat.completions.create(chat, { timeout: 20 }))
    await until(() => provider.requests.log[0]?.left === true)
    expect(provider.requests.log[0]!.status).toBe(0)
  })

  test('latency and pace go by the clock that was given', async () => {
    const clock = new VirtualClock()
    const { openai } = await start({ clock, latencyMs: () => 100, tokensPerSecond: 10, answerTokens: 5 })
    const answers = [1, 2].map((n) =>
      n === 1
        ? openai.chat.completions.create(chat)
        : openai.chat.completions.create({ ...chat, stream: true }).then((stream) => collect(stream)),
    )
    await until(() => clock.pendingTimers === 2)
    // The tokens of the stream are timers of their own, armed as the socket takes them.
    await clock.runAll()
    await Promise.all(answers)
    expect(clock.now()).toBeCloseTo(600)
  })

  test('closing cuts what is open, leaves no timer, and may be done twice', async () => {
    const clock = new VirtualClock()
    const { provider, openai } = await start({
      clock,
      latencyMs: 1000,
      chaos: ({ stream }) => (stream ? { kind: 'hangs' } : undefined),
    })
    const calls = [
      caught(openai.chat.completions.create(chat)),
      caught(openai.chat.completions.create({ ...chat, stream: true })),
    ]
    await until(() => clock.pendingTimers === 1 && provider.requests.log.length === 2)
    await Promise.all([provider.close(), provider.close()])
    for (const call of calls) expect(await call).toBeInstanceOf(APIConnectionError)
    await until(() => clock.pendingTimers === 0)
    const refused = await new Promise((resolve) => connect(provider.port, '127.0.0.1').on('error', resolve))
    expect(refused).toMatchObject({ code: 'ECONNREFUSED' })
  })
})
