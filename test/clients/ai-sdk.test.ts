// The `ai` SDK of three majors, with a limiter as its middleware.

import { createOpenAI } from '@ai-sdk/openai'
import { APICallError, generateText, type LanguageModel, streamText, wrapLanguageModel } from 'ai'
import * as ai5 from 'ai-5'
import * as ai6 from 'ai-6'
import { createOpenAI as createOpenAI2 } from 'ai-sdk-openai-2'
import { createOpenAI as createOpenAI3 } from 'ai-sdk-openai-3'
import { limiterMiddleware } from 'llmiter/ai-sdk'
import * as replies from './fixtures/openai.ts'
import type { Cast } from './stage.ts'
import { stories } from './stories.ts'

const prompt = 'What is the capital of France?'

type Model = Parameters<typeof wrapLanguageModel>[0]['model']

/** It may come from another copy of the package that npm has put beside: the SDK's own way to tell is `isInstance`. */
class AnyAPICallError extends Error {
  static override [Symbol.hasInstance](error: unknown): boolean {
    return [APICallError, ai6.APICallError, ai5.APICallError].some((kind) => kind.isInstance(error))
  }
}

type Ai = {
  generateText: typeof generateText
  streamText: typeof streamText
  wrapLanguageModel: typeof wrapLanguageModel
}

/** Of the older ones only the types are the newest one's: their surface is the same as far as these tests go. */
const versions = [
  {
    name: 'ai 7',
    ai: { generateText, streamText, wrapLanguageModel },
    create: createOpenAI,
    refusedError: AnyAPICallError,
  },
  {
    name: 'ai 6',
    ai: ai6 as unknown as Ai,
    create: createOpenAI3 as unknown as typeof createOpenAI,
    refusedError: AnyAPICallError,
  },
  {
    name: 'ai 5',
    ai: ai5 as unknown as Ai,
    create: createOpenAI2 as unknown as typeof createOpenAI,
    refusedError: AnyAPICallError,
  },
]

/** What comes in the middle of a stream is no Error in every version. */
const asError = (error: unknown) =>
  error instanceof Error ? error : Object.assign(new Error('in the stream'), error)

/** The SDK's timeout is that of the whole call, its line included: one of a try is its fetch's. */
const within =
  (ms: number): typeof fetch =>
  (input, init) =>
    fetch(input, {
      ...init,
      signal: AbortSignal.any([AbortSignal.timeout(ms), ...(init?.signal ? [init.signal] : [])]),
    })

interface Actor {
  model: Model
  maxRetries: number
}

for (const { name, ai, create, refusedError } of versions) {
  const cast: Cast<Actor> = {
    name,
    client: (url, { maxRetries = 0, timeout = 60_000 } = {}) => ({
      model: create({ apiKey: 'any', baseURL: `${url}/v1`, fetch: within(timeout) }).chat('gpt-5') as Model,
      maxRetries,
    }),
    limit: (actor, limits, options) => ({
      ...actor,
      model: ai.wrapLanguageModel({ model: actor.model, middleware: limiterMiddleware(limits, options) }),
    }),
    plain: async ({ model, maxRetries }, { signal, headers } = {}) =>
      (
        await ai.generateText({
          ...{ model: model as LanguageModel, prompt, maxRetries },
          ...(signal && { abortSignal: signal }),
          ...(headers && { headers }),
        })
      ).text,
    stream: async ({ model, maxRetries }, { signal } = {}) => {
      const { fullStream } = ai.streamText({
        ...{ model: model as LanguageModel, prompt, maxRetries, onError: () => {} },
        ...(signal && { abortSignal: signal }),
      })
      return (async function* () {
        for await (const part of fullStream) {
          if (part.type === 'error') throw asError(part.error)
          if (part.type === 'abort') throw new DOMException('aborted', 'AbortError')
          if (part.type === 'text-delta') yield part.text
        }
      })()
    },
    abortError: DOMException as unknown as new () => Error,
    refusedError,
    replies: { ...replies, plain: replies.chat, stream: replies.chatStream },
    // Streams that are left are read on by the SDK: below, its models are left themselves.
    lacks: ['retries', 'twice', 'leaving'],
    isFetch: true,
    status: 'statusCode',
    used: { inputTokens: 9, outputTokens: 12 },
  }
  stories(cast)
}
