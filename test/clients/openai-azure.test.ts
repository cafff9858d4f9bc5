// Azure's client: its deployments, its tokens, its headers.

import type { AzureOpenAI } from 'openai'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { perModel } from 'llmiter'
import { limitOpenAI } from 'llmiter/openai'
import * as replies from './fixtures/openai.ts'
import { versions } from './openai-versions.ts'
import { type Reply, type Server, startServer } from './server.ts'
import { quickLimiter, soon, usedOf } from './stage.ts'

const quick = { requestsPerMinute: 60_000, ramp: false as const, recovery: { minMs: 20, maxMs: 60 } }
const ask = (client: AzureOpenAI, more: object = {}) =>
  client.chat.completions.create({ model: 'gpt-5', messages, ...more })

const messages = [{ role: 'user' as const, content: 'What is the capital of France?' }]

let server: Server
beforeEach(async () => {
  server = await startServer()
  server.replies(replies.chat())
})
afterEach(() => server.close())

describe.each(versions)('Azure, $name', ({ Azure }) => {
  const azure = (more: object = {}) =>
    new Azure({ apiKey: 'any', endpoint: server.url, apiVersion: '2024-10-21', logLevel: 'off', ...more })
  const rate: Reply = {
    status: 429,
    headers: {
      'retry-after': '1',
      'retry-after-ms': '30',
      'x-ms-retry-after-ms': '30',
      'x-ratelimit-limit-requests': '-1',
    },
    body: {
      error: {
        code: '429',
        message:
          'Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2024-10-21 have exceeded ' +
          'call rate limit of your current OpenAI S0 pricing tier. Please retry after 1 second.',
      },
    },
  }

  test('keeps its deployment, its version and its limiter, through refusals and withOptions', async () => {
    const models = perModel({ mine: quick })
    const bare = azure({ deployment: 'mine' })
    const client = limitOpenAI(bare, models)
    expect(client).toBeInstanceOf(Azure)
    expect(client).toMatchObject({ apiVersion: '2024-10-21', deploymentName: 'mine' })
    server.replies(rate, replies.chat())
    await ask(client)
    await ask(client.withOptions({ maxRetries: 0 }))
    const path = '/openai/deployments/mine/chat/completions?api-version=2024-10-21'
    expect(server.seen.map((seen) => seen.path)).toEqual([path, path, path])
    expect(server.seen[0]!.headers['api-key']).toBe('any')
    expect(models.limiterFor('mine').stats()).toMatchObject({ issued: 3, refused: 1 })
    expect(models.limiterFor('mine').stats().limits[0]!.learned).toBeUndefined()
  })

  test('takes its token from its provider at each try, after the wait', async () => {
    const tokens = ['first', 'second']
    const given: string[] = []
    const azureADTokenProvider = () => {
      given.push(tokens[given.length]!)
      return Promise.resolve(given.at(-1)!)
    }
    const client = limitOpenAI(azure({ apiKey: undefined, azureADTokenProvider }), quickLimiter())
    server.replies(rate, replies.chat())
    await ask(client)
    expect(server.seen.map(({ headers }) => headers.authorization)).toEqual(['Bearer first', 'Bearer second'])
  })

  test('charges as Azure does, of itself', async () => {
    const limiter = quickLimiter()
    await ask(limitOpenAI(azure(), limiter, { countTokens: () => 10 }), { max_tokens: 100 })
    await soon(() => limiter.stats().inFlight === 0)
    expect(usedOf(limiter, 'tokens')).toBe(110)
  })
})
