import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import Anthropic from '@anthropic-ai/sdk'
import { GoogleGenAI } from '@google/genai'
import { Mistral } from '@mistralai/mistralai'
import Groq from 'groq-sdk'
import OpenAI from 'openai'
import OpenAI6 from 'openai-6'
import { BucketRateLimiter, withLimiter } from 'llmiter'
import { VirtualClock } from 'llmiter/testing'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { classify } from '../../src/responses/index.ts'
import { type Answer, answers } from './answers.ts'
import { thrown, wall } from './bodies.ts'

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
    expectVerdict(thrown({ headers, ...(body as object), status }), answer)
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
  const sdks: Record<string, () => Promise<unknown>> = {
    'openai 7': () =>
      new OpenAI({ apiKey: 'none', baseURL: url(), maxRetries: 0 }).chat.completions.create({
        model: 'm',
        messages,
      }),
    'openai 6': () =>
      new OpenAI6({ apiKey: 'none', baseURL: url(), maxRetries: 0 }).chat.completions.create({
        model: 'm',
        messages,
      }),
    anthropic: () =>
      new Anthropic({ apiKey: 'none', baseURL: url(), maxRetries: 0 }).messages.create({
        ...{ model: 'm', max_tokens: 5, messages },
      }),
    groq: () =>
      new Groq({ apiKey: 'none', baseURL: url(), maxRetries: 0 }).chat.completions.create({
        model: 'm',
        messages,
      }),
    mistral: () => new Mistral({ apiKey: 'none', serverURL: url() }).chat.complete({ model: 'm', messages }),
    '@google/genai': () =>
      new GoogleGenAI({ apiKey: 'none', httpOptions: { baseUrl: url() } }).models.generateContent({
        ...{ model: 'm', contents: 'hello' },
      }),
  }
  /** These keep `error` of a body and drop what stands beside it, or all of a body that has none. */
  const seen = (sdk: string, { body }: Answer) =>
    !sdk.startsWith('openai') || ('error' in (body as object) && !('estimated_time' in (body as object)))
  /** This one has no headers on its errors: a wait that only they tell is lost with them. */
  const headless = (sdk: string, { headers }: Answer) => sdk === '@google/genai' && headers !== undefined

  describe.each(Object.keys(sdks))('%s', (sdk) => {
    const rows = named.filter(([, answer]) => seen(sdk, answer) && !headless(sdk, answer))
    test.each(rows)('%s', async (_name, answer) => {
      next = answer
      const error = await sdks[sdk]!().catch((error: unknown) => error)
      expectVerdict({ error }, answer)
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
      typeof word === 'number' ||
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
      yield { type: 'error', ...(answer.body as object) }
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

describe('what a message echoes of the request is not told further', () => {
  test.each([
    ['Invalid content: "my secret plan" is too long', 'secret'],
    ['Request too large. prompt: my secret plan', 'secret'],
    ["Blocked since 'my secret plan' was sent", 'secret'],
    ['Blocked: “my secret plan', 'secret'],
    ['content: "my secret per diem"', 'secret'],
    ['Request "alpha secret per beta" refused', 'secret'],
  ])('%s', (message, word) => {
    const verdict = classify(thrown({ status: 429, error: { message } }), wall)
    expect(verdict?.reason).toMatch(/^429: ./)
    expect(verdict?.reason).not.toContain(word)
  })
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
  const cost = (text: string) => {
    const times = [0, 1, 2, 3, 4].map(() => {
      const start = performance.now()
      for (const status of [400, 429, undefined]) classify(thrown({ status }, text), wall)
      return performance.now() - start
    })
    return Math.min(...times)
  }
  // As much as a text of 20,000 characters costs, within the noise of a busy machine: the rest is never read.
  for (const text of big) expect(cost(text)).toBeLessThan(10 * (cost(text.slice(0, 20_000)) + 1))
})
