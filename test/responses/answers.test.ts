import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import Anthropic from '@anthropic-ai/sdk'
import { GoogleGenAI } from '@google/genai'
import { GoogleGenerativeAI } from '@google/generative-ai'
import { Mistral } from '@mistralai/mistralai'
import { CohereClient } from 'cohere-ai'
import Groq from 'groq-sdk'
import OpenAI from 'openai'
import OpenAI6 from 'openai-6'
import { BucketRateLimiter, withLimiter } from 'llmiter'
import { limitAnthropic } from 'llmiter/anthropic'
import { limitFetch } from 'llmiter/fetch'
import { limitGoogle } from 'llmiter/google'
import { limitGoogleGenerativeAI } from 'llmiter/google-generative-ai'
import { limitGroq } from 'llmiter/groq'
import { limitMistral } from 'llmiter/mistral'
import { limitOpenAI } from 'llmiter/openai'
import { VirtualClock } from 'llmiter/testing'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { classify } from '../../src/responses/index.ts'
import { systemClock } from '../../src/scheduler/clock.ts'
import { type Answer, answers as firstAnswers } from './answers.ts'
import { moreAnswers } from './more-answers.ts'
import { thrown, wall } from './bodies.ts'

const answers = [...firstAnswers, ...moreAnswers]
const named = answers.map((answer) => [answer.name, answer] as const)

function expectVerdict(outcome: Parameters<typeof classify>[0], { kind, waitMs, perMs, of }: Answer): void {
  const verdict = classify(outcome, wall)
  expect(verdict?.kind).toBe(kind)
  if (waitMs !== undefined) expect(verdict?.waitMs).toBe(waitMs ?? undefined)
  expect(verdict).toMatchObject({ ...(perMs && { perMs }), ...(of && { of }) })
}

describe('as a returned Response', () => {
  test.each(named)('%s', (_name, answer) => {
    const { status, headers = {}, body } = answer
    expectVerdict({ value: new Response('', { status, headers }), body: JSON.stringify(body) }, answer)
  })
})

describe('as a thrown error', () => {
  test.each(named)('%s', (_name, answer) => {
    const { status, headers = {}, body } = answer
    // The body as the error's own fields, as its `error`, and as JSON text in its message.
    const fields = Array.isArray(body) ? { errors: body } : (body as object)
    expectVerdict(thrown({ headers, ...fields, status }), answer)
    expectVerdict(thrown({ status, headers, error: body }), answer)
    expectVerdict(thrown({ status, headers }, `${status} ${JSON.stringify(body)}`), answer)
  })
})

describe('through the real SDKs', () => {
  let server: Server
  let next: Answer
  beforeAll(async () => {
    server = createServer((_request, response) => {
      response.writeHead(next.status, {
        date: new Date(wall).toUTCString(),
        'content-type': 'application/json',
        ...next.headers,
      })
      response.end(JSON.stringify(next.body))
    })
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  })
  afterAll(() => server.close())

  const url = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const messages = [{ role: 'user' as const, content: 'hello' }]
  const openai = () => new OpenAI({ apiKey: 'none', baseURL: url(), maxRetries: 0 })
  const openai6 = () => new OpenAI6({ apiKey: 'none', baseURL: url(), maxRetries: 0 })
  const anthropic = () => new Anthropic({ apiKey: 'none', baseURL: url(), maxRetries: 0 })
  const groq = () => new Groq({ apiKey: 'none', baseURL: url(), maxRetries: 0 })
  const mistral = () => new Mistral({ apiKey: 'none', serverURL: url() })
  const google = () => new GoogleGenAI({ apiKey: 'none', httpOptions: { baseUrl: url() } })
  const gemini = () => new GoogleGenerativeAI('none')
  const ask = {
    openai: (client: OpenAI, signal?: AbortSignal) =>
      client.chat.completions.create({ model: 'm', messages }, { signal }),
    openai6: (client: OpenAI6, signal?: AbortSignal) =>
      client.chat.completions.create({ model: 'm', messages }, { signal }),
    anthropic: (client: Anthropic, signal?: AbortSignal) =>
      client.messages.create({ ...{ model: 'm', max_tokens: 5, messages } }, { signal }),
    groq: (client: Groq, signal?: AbortSignal) =>
      client.chat.completions.create({ model: 'm', messages }, signal && { signal }),
    mistral: (client: Mistral, signal?: AbortSignal) =>
      client.chat.complete({ model: 'm', messages }, signal && { fetchOptions: { signal } }),
    google: (client: GoogleGenAI, signal?: AbortSignal) =>
      client.models.generateContent({
        ...{ model: 'm', contents: 'hello', ...(signal && { config: { abortSignal: signal } }) },
      }),
    gemini: (client: GoogleGenerativeAI, signal?: AbortSignal) =>
      client
        .getGenerativeModel({ model: 'm' }, { baseUrl: url() })
        .generateContent('hello', signal && { signal }),
    fetch: (send: typeof fetch, signal?: AbortSignal) =>
      send(`${url()}/v1/chat/completions`, {
        ...{ method: 'POST', body: JSON.stringify({ model: 'm', messages }), ...(signal && { signal }) },
      }),
  }

  const bare: Record<string, () => Promise<unknown>> = {
    'openai 7': () => ask.openai(openai()),
    'openai 6': () => ask.openai6(openai6()),
    anthropic: () => ask.anthropic(anthropic()),
    groq: () => ask.groq(groq()),
    mistral: () => ask.mistral(mistral()),
    '@google/genai': () => ask.google(google()),
    '@google/generative-ai': () => ask.gemini(gemini()),
    cohere: () =>
      new CohereClient({ token: 'none', environment: url() }).chat({ message: 'hello' }, { maxRetries: 0 }),
  }
  /** The parts of the answer that this SDK's error omits, so that they cannot be read there. */
  const lost = (sdk: string, { body, headers }: Answer): boolean => {
    const { error } = body as { error?: unknown }
    // Of a body, these keep what is in `error` alone.
    if (sdk.startsWith('openai')) return error === undefined || 'estimated_time' in (body as object)
    // No headers, and of the body `error.message` and `error.details` alone.
    if (sdk === '@google/generative-ai')
      return headers !== undefined || typeof Object(error).message !== 'string' || codes(error as object)
    return sdk === '@google/genai' && headers !== undefined
  }
  const codes = (error: object) => Object.keys(error).some((key) => !/^(message|details|status)$/.test(key))

  describe.each(Object.keys(bare))('%s', (sdk) => {
    test.each(named.filter(([, answer]) => !lost(sdk, answer)))('%s', async (_name, answer) => {
      next = answer
      expectVerdict({ error: await bare[sdk]!().catch((error: unknown) => error) }, answer)
    })
  })

  const limited: Record<string, (limiter: BucketRateLimiter, signal: AbortSignal) => Promise<unknown>> = {
    'openai 7': (limiter, signal) => ask.openai(limitOpenAI(openai(), limiter), signal),
    'openai 6': (limiter, signal) =>
      ask.openai6(limitOpenAI(openai6() as unknown as OpenAI, limiter) as unknown as OpenAI6, signal),
    anthropic: (limiter, signal) => ask.anthropic(limitAnthropic(anthropic(), limiter), signal),
    groq: (limiter, signal) => ask.groq(limitGroq(groq(), limiter), signal),
    mistral: (limiter, signal) => ask.mistral(limitMistral(mistral(), limiter), signal),
    '@google/genai': (limiter, signal) => ask.google(limitGoogle(google(), limiter), signal),
    '@google/generative-ai': (limiter, signal) =>
      ask.gemini(limitGoogleGenerativeAI(gemini(), limiter), signal),
    fetch: (limiter, signal) => ask.fetch(limitFetch(fetch, limiter), signal),
  }
  describe.each(Object.keys(limited))('%s, limited', (sdk) => {
    // Limited, the SDKs that send by a fetch of ours lose nothing: it has seen the whole answer.
    const refusals = named.filter(
      ([, answer]) => answer.kind && !(sdk === '@google/generative-ai' && lost(sdk, answer)),
    )
    test.each(refusals)('%s', async (_name, answer) => {
      next = answer
      // One SDK loses the Date header too; "midnight" is not always hours away from now.
      const clock = { ...systemClock, wall: () => wall }
      const limiter = new BucketRateLimiter({
        ...{ name: 'm', requestsPerMinute: 60_000, maxRetryAfterMs: '60d', clock },
      })
      const told = new AbortController()
      const kinds: (string | undefined)[] = []
      limiter.on('refuse', ({ verdict }) => {
        kinds.push(verdict.kind)
        told.abort()
      })
      await limited[sdk]!(limiter, told.signal).catch(() => {})
      expect(kinds[0]).toBe(answer.kind)
      limiter.stop()
    })
  })
})

describe('in the middle of a stream', () => {
  // There is no status there: the body alone must tell, so those count that bring a code of their own.
  const coded = answers.filter(({ body }) => {
    const { error, code } = body as {
      error?: { code?: unknown; type?: unknown; status?: unknown }
      code?: unknown
    }
    const word = error?.code ?? error?.type ?? error?.status ?? code
    return (
      (typeof word === 'number' && word < 600) ||
      (typeof word === 'string' &&
        /rate_limit|RESOURCE_EXHAUSTED|insufficient|overloaded|UNAVAILABLE|Throttling|usage_limit|1113|quota/.test(
          word,
        ))
    )
  })
  test('most kinds are among them', () => expect(coded.length).toBeGreaterThan(9))

  test.each(coded.map((answer) => [answer.name, answer] as const))('%s', async (_name, answer) => {
    const clock = new VirtualClock({ wall })
    const limiter = new BucketRateLimiter({ name: 'm', requestsPerMinute: 600, clock })
    const kinds: string[] = []
    limiter.on('refuse', ({ verdict }) => kinds.push(verdict.kind))
    async function* events() {
      yield { text: 'a' }
      yield 'error' in (answer.body as object)
        ? { type: 'error', ...(answer.body as object) }
        : { type: 'error', error: answer.body }
    }
    for await (const event of await withLimiter(async () => events(), limiter)()) expect(event).toBeDefined()
    // A call in mid-stream was let in: what could never fit is not asked again, whatever it is called.
    expect(kinds).toEqual([answer.kind])
    expect(limiter.stats().inFlight).toBe(0)
  })
})

describe('errors are found by their shape', () => {
  test.each([
    ['status_code', { name: 'ResponseError', error: 'server busy', status_code: 503 }, 'overload'],
    [
      'a code without a status',
      { code: 'server_is_overloaded', type: 'service_unavailable_error' },
      'overload',
    ],
    ['Bedrock', { name: 'ServiceUnavailableException', $fault: 'server', $metadata: {} }, 'overload'],
    ['Bedrock, in a stream', { name: 'ModelNotReadyException' }, 'overload'],
    ['a status in text', { status: '429' }, 'rate'],
    ['the response under another name', { httpAnswer: new Response('', { status: 429 }) }, 'rate'],
    ['an error under another name', { inner: thrown({ status: 429 }).error }, 'rate'],
    ['causes of causes', { cause: { cause: { lastError: thrown({ status: 529 }).error } } }, 'overload'],
    ['what the caller sent', { request: { status: 429, headers: {} } }, undefined],
    ['options of the caller', { config: new Response('', { status: 429 }) }, undefined],
    ['a balance of the user’s own', { balance: 0, message: 'insufficient balance' }, undefined],
  ])('%s', (_name, fields, kind) => {
    expect(classify(thrown(fields), wall)?.kind).toBe(kind)
  })

  test('an AggregateError', () => {
    const error = new AggregateError([new Error('no'), thrown({ status: 429 }).error], 'all failed')
    expect(classify({ error }, wall)?.kind).toBe('rate')
  })
})

describe('text of the request echoed in a message is not passed on', () => {
  test.each([
    ['Invalid content: "my secret plan" is too long', 'secret'],
    ['Request too large. prompt: my secret plan', 'secret'],
    ["Blocked since 'my secret plan' was sent", 'secret'],
    ['Blocked: “my secret plan', 'secret'],
    ['content: "my secret per diem"', 'secret'],
    ['Request "alpha secret per beta" refused', 'secret'],
    ['Blocked: my secret plan of the world', 'secret'],
    ['Rate limit exceeded. You asked about my secret recipe.', 'secret'],
    ['Rejected by the filter; my secret recipe\nis long', 'secret'],
  ])('%s', (message, word) => {
    const verdict = classify(thrown({ status: 429, error: { message } }), wall)
    expect(verdict?.reason).toMatch(/^429/)
    expect(verdict?.reason).not.toContain(word)
  })
})

test('text about limits is kept', () => {
  const said = (message: string) => classify(thrown({ status: 429, error: { message } }), wall)?.reason
  expect(said('Rate limit exceeded, slow down. Hello!')).toBe('429: Rate limit exceeded, slow down')
  expect(said('Rate limit reached on tokens per min (TPM): Limit 10')).toBe('429: tokens per min')
  expect(said('余额不足，请充值。')).toBe('429: 余额不足，请充值')
})

test('a megabyte of anything is classified with bounded work', () => {
  const big = [
    'x'.repeat(1e6),
    'a '.repeat(5e5),
    '{"'.repeat(5e5),
    '['.repeat(1e6),
    'limit '.repeat(2e5),
    'credits '.repeat(1e5),
    'wait 5 '.repeat(1e5),
    `"${'a'.repeat(1e6)}`,
    'tokens per '.repeat(1e5),
    '日'.repeat(1e6),
  ]
  // The rest is never read, so its content changes nothing. A slow pattern would take forever.
  for (const text of big)
    for (const status of [400, 429, undefined]) {
      const read = (message: string) => classify(thrown({ status }, message), wall)
      const verdict = read(text.slice(0, 20_000))
      expect(read(text)).toEqual(verdict)
      expect(read(`${text}. insufficient_quota: 5 tokens per day, try again in 7 s`)).toEqual(verdict)
    }
})
