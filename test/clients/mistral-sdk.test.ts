// What is particular to the Mistral client: one limiter for the account, its timeouts, its HTTP client, its retries.

import { readFileSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { HTTPClient, Mistral } from '@mistralai/mistralai'
import { RequestAbortedError, RequestTimeoutError } from '@mistralai/mistralai/models/errors'
import { afterEach, beforeEach, expect, expectTypeOf, test } from 'vitest'
import { limitMistral, mistralService } from 'llmiter/mistral'
import * as replies from './fixtures/mistral.ts'
import { type Server, startServer } from './server.ts'
import { outcome, quickLimiter, soon, usedOf } from './stage.ts'

const ask = {
  model: 'mistral-small-latest',
  messages: [{ role: 'user' as const, content: 'What is the capital of France?' }],
}

let server: Server
beforeEach(async () => {
  server = await startServer()
  server.replies(replies.plain())
})
afterEach(() => server.close())

type Options = ConstructorParameters<typeof Mistral>[0]
const bareClient = (options: Options = {}) =>
  new Mistral({ apiKey: 'any', serverURL: server.url, ...options })

test('its class, its type; the bare one stays bare', async () => {
  const limiter = quickLimiter()
  const bare = bareClient()
  const client = limitMistral(bare, limiter)
  expect(client).toBeInstanceOf(Mistral)
  expectTypeOf(client).toExtend<Mistral>()
  await bare.chat.complete(ask)
  expect(limiter.stats().issued).toBe(0)
  expectTypeOf(client.chat.complete).toEqualTypeOf(bare.chat.complete)
  const { choices } = await client.chat.complete(ask)
  expect(choices[0]?.message?.content).toBe('Paris.')
  expect(limiter.stats().issued).toBe(1)
})

test('one limiter for all models and all kinds of calls; what generates nothing is free', async () => {
  const service = mistralService({ requestsPerMinute: 600, tokensPerMinute: 1_000_000 })
  const client = limitMistral(bareClient(), service)
  const [limiter] = service.limiters()
  await client.chat.complete(ask)
  await client.chat.complete({ ...ask, model: 'mistral-large-latest' })
  server.replies({
    headers: replies.headers(),
    body: {
      ...{
        id: 'emb-1',
        object: 'list',
        model: 'mistral-embed',
        usage: { ...replies.usage, completion_tokens: 0 },
      },
      data: [{ object: 'embedding', embedding: [0.1], index: 0 }],
    },
  })
  await client.embeddings.create({ model: 'mistral-embed', inputs: ['Hello'] })
  expect(limiter!.stats()).toMatchObject({ name: 'mistral', issued: 3 })
  expect(limiter!.stats().told?.map(({ of, perMs, limit }) => [of, perMs, limit])).toEqual([
    ['tokens', 60_000, 50_000_000],
    ['requests', 60_000, 60_000],
  ])
  server.replies({ body: { object: 'list', data: [] } })
  await client.models.list()
  expect(limiter!.stats().issued).toBe(3)
})

test('a file is not read on its way up; a recording is no text', async () => {
  const limiter = quickLimiter()
  const client = limitMistral(bareClient(), limiter, { otherCalls: 'requests' })
  const file = new File(['word '.repeat(50_000)], 'words.txt')
  const read: string[] = []
  file.text = () => Promise.reject(new Error((read.push('text'), 'read')))
  server.replies(
    replies.rateSilent(),
    {
      body: {
        id: '0190a0b0-0000-7000-8000-000000000000',
        object: 'file',
        bytes: 1,
        created_at: 1,
        filename: 'words.txt',
        purpose: 'batch',
        sample_type: 'pretrain',
        source: 'upload',
      },
    },
    {
      body: {
        model: 'voxtral-mini-latest',
        text: 'Hello',
        language: 'en',
        segments: [],
        usage: replies.usage,
      },
    },
  )
  await client.files.upload({ file, purpose: 'batch' })
  expect([read.length, usedOf(limiter, 'requests'), usedOf(limiter, 'tokens')]).toEqual([0, 2, 0])
  const estimates: number[] = []
  const counting = limitMistral(bareClient(), limiter, {
    countTokens: (request) => (estimates.push(request instanceof FormData ? 1 : 0), 10),
  })
  await counting.audio.transcriptions.complete({ model: 'voxtral-mini-latest', file })
  expect(estimates).toEqual([1])
})

test('its timeout is noted on the request, and goes no further', async () => {
  const client = limitMistral(bareClient(), quickLimiter())
  await client.chat.complete(ask)
  expect(Object.keys(server.seen[0]!.headers).filter((name) => name.includes('llmiter'))).toEqual([])
})

test('with a signal of the caller the SDK has no timeout: so it stays', async () => {
  const client = limitMistral(bareClient({ timeoutMs: 50 }), quickLimiter())
  server.replies({ ...replies.plain(), delayMs: 150 })
  const { signal } = new AbortController()
  expect((await client.chat.complete(ask, { signal })).usage.totalTokens).toBe(21)
  await expect(client.chat.complete(ask)).rejects.toMatchObject({ name: 'RequestTimeoutError' })
})

test('the wait is part of a timeout that is given with the call: give it a long one', async () => {
  const slow = () => limitMistral(bareClient(), { requestsPerMinute: 200, burst: 1, ramp: false })
  const both = async (timeoutMs: number) => {
    const client = slow()
    const call = () => outcome(client.chat.complete(ask, { timeoutMs }))
    return Promise.all([call(), call()])
  }
  expect((await both(100))[1]).toMatchObject({ message: expect.stringMatching('timed out') as string })
  expect((await both(3_600_000))[1]).toHaveProperty('value')
})

test('its own retries: each try with a ticket, refusals not among them', async () => {
  const limiter = quickLimiter()
  const backoff = { initialInterval: 1, maxInterval: 5, exponent: 1, maxElapsedTime: 2000 }
  const client = limitMistral(
    bareClient({ retryConfig: { strategy: 'backoff', backoff, retryConnectionErrors: true } }),
    limiter,
  )
  server.replies(replies.broken(), replies.rate(), { then: 'cut' }, replies.plain())
  expect((await client.chat.complete(ask)).usage.totalTokens).toBe(21)
  expect(server.seen).toHaveLength(4)
  expect(limiter.stats()).toMatchObject({ issued: 4, refused: 1, inFlight: 0 })
})

test('an HTTP client of the user’s own, its hooks included', async () => {
  const seen: string[] = []
  const httpClient = new HTTPClient({
    fetcher: (input, init) => {
      seen.push('fetch')
      return fetch(input, init)
    },
  })
  httpClient.addHook('beforeRequest', (request) => {
    seen.push([...request.headers.keys()].some((name) => name.includes('llmiter')) ? 'noted' : 'before')
  })
  httpClient.addHook('response', (response) => void seen.push(String(response.status)))
  server.replies(replies.rateSilent(), replies.plain())
  await limitMistral(bareClient({ httpClient }), quickLimiter()).chat.complete(ask)
  expect(seen).toEqual(['before', 'fetch', '429', 'before', 'fetch', '200'])
})

test('too busy for the tier closes the gate, and teaches nothing of the rate', async () => {
  const limiter = quickLimiter()
  const kinds: string[] = []
  limiter.on('refuse', ({ verdict }) => kinds.push(verdict.kind))
  server.replies(replies.overload(), replies.rate(), replies.plain())
  await limitMistral(bareClient(), limiter).chat.complete(ask)
  expect(kinds).toEqual(['overload', 'rate'])
})

test('tokens are settled by usage; a wrong usage is no usage', async () => {
  const limiter = quickLimiter()
  const client = limitMistral(bareClient(), limiter)
  await client.chat.complete({ ...ask, maxTokens: 4000 })
  await soon(() => limiter.stats().inFlight === 0)
  expect(usedOf(limiter, 'tokens')).toBe(21)
})

test('asks by a call of one token whether the account accepts again, when it is told to', async () => {
  const service = mistralService(
    { requestsPerMinute: 60_000 },
    { probeWith: bareClient(), model: 'ministral-3b-latest' },
  )
  server.replies(
    replies.rate({ 'retry-after-ms': '20' }),
    replies.rate({ 'retry-after-ms': '20' }),
    replies.plain(),
  )
  await limitMistral(bareClient(), service).chat.complete(ask)
  expect(server.seen.map(({ body }) => [body.model, body.max_tokens])).toEqual([
    ['mistral-small-latest', undefined],
    ['ministral-3b-latest', 1],
    ['ministral-3b-latest', 1],
    ['mistral-small-latest', undefined],
  ])
})

test('checks the private hooks of the SDK', () => {
  const { version } = JSON.parse(
    readFileSync(new URL('../../node_modules/@mistralai/mistralai/package.json', import.meta.url), 'utf8'),
  ) as { version: string }
  const { _options } = bareClient({ timeoutMs: 5 }) as unknown as {
    _options: { timeoutMs: number; hooks: { beforeCreateRequest: unknown } }
  }
  expect(
    [_options.timeoutMs, typeof _options.hooks.beforeCreateRequest],
    `@mistralai/mistralai ${version}`,
  ).toEqual([5, 'function'])
})

test('a client whose parts are unknown is refused', () => {
  expect(() => limitMistral({} as never, quickLimiter())).toThrow(
    'limitMistral needs a client of @mistralai/mistralai',
  )
})

test.each([
  ['the SDK’s own HTTP client', () => undefined],
  ['one of the user’s', () => new HTTPClient()],
])(
  'the timeout and the caller end a call through %s, whatever is garbage collected',
  async (_, httpClient) => {
    setFlagsFromString('--expose-gc')
    const gc = runInNewContext('gc') as () => void
    const collecting = setInterval(gc, 5)
    server.replies({ then: 'hang' })
    const http = httpClient()
    const client = limitMistral(
      bareClient({ timeoutMs: 150, ...(http && { httpClient: http }) }),
      quickLimiter(),
    )
    const leaves = new AbortController()
    const left = outcome(client.chat.complete(ask, { signal: leaves.signal }))
    const late = [{}, {}, { timeoutMs: 200 }, { timeoutMs: 200 }].map((own) =>
      outcome(client.chat.complete(ask, own)),
    )
    for (const each of await Promise.all(late)) expect(each).toHaveProperty('thrown', RequestTimeoutError)
    leaves.abort()
    expect(await left).toHaveProperty('thrown', RequestAbortedError)
    clearInterval(collecting)
  },
)
