// A limited client takes the client first, then its limits. Every entry reports swapped arguments.

import Anthropic from '@anthropic-ai/sdk'
import { GoogleGenAI } from '@google/genai'
import { GoogleGenerativeAI } from '@google/generative-ai'
import { Mistral } from '@mistralai/mistralai'
import Groq from 'groq-sdk'
import OpenAI from 'openai'
import { expect, test } from 'vitest'
import { limiterMiddleware } from 'llmiter/ai-sdk'
import { limitAnthropic } from 'llmiter/anthropic'
import { limitFetch } from 'llmiter/fetch'
import { limitGoogle } from 'llmiter/google'
import { limitGoogleGenerativeAI } from 'llmiter/google-generative-ai'
import { limitGroq } from 'llmiter/groq'
import { limitMistral } from 'llmiter/mistral'
import { limitOpenAI } from 'llmiter/openai'

type Limit = (client: unknown, limits: unknown, options?: unknown) => unknown

const apiKey = 'none'
const CLIENTS: [name: string, limit: unknown, client: object][] = [
  ['limitOpenAI', limitOpenAI, new OpenAI({ apiKey })],
  ['limitAnthropic', limitAnthropic, new Anthropic({ apiKey })],
  ['limitGroq', limitGroq, new Groq({ apiKey })],
  ['limitGoogle', limitGoogle, new GoogleGenAI({ apiKey })],
  ['limitGoogleGenerativeAI', limitGoogleGenerativeAI, new GoogleGenerativeAI(apiKey)],
  ['limitMistral', limitMistral, new Mistral({ apiKey })],
  ['limitFetch', limitFetch, fetch],
]
const limits = { models: { a: { requestsPerMinute: 5 } } }

test.each(CLIENTS)('%s: swapped arguments', (_, limit, client) => {
  expect(() => (limit as Limit)(limits, client)).toThrow(/\(are the arguments swapped\?\)$/)
})

test('the middleware takes no client', () => {
  expect(() => limiterMiddleware(new OpenAI({ apiKey }) as never)).toThrow('got an instance of OpenAI')
})

test.each(CLIENTS)('%s: option names of other libraries', (name, limit, client) => {
  const said = (options: object) => () => (limit as Limit)(client, { requestsPerMinute: 5 }, options)
  expect(said({ maxWait: 5 })).toThrow(`${name} has no option 'maxWait' (did you mean 'maxWaitMs'?); known:`)
  expect(said({ user: () => 'a' })).toThrow("(did you mean 'tenant'?)")
  expect(() => (limit as Limit)(client, { rpm: 5 })).toThrow("(did you mean 'requestsPerMinute'?)")
  expect(() => (limit as Limit)(client, { 'gpt-5': { requestsPerMinute: 5 } })).toThrow(/{ models: { 'gpt-5'/)
})
