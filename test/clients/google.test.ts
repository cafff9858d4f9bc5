// The client of @google/genai, of two majors, limited.

import { GoogleGenAI, ApiError } from '@google/genai'
import { ApiError as ApiError2, GoogleGenAI as GoogleGenAI2 } from 'genai-2'
import { limitGoogle } from 'llmiter/google'
import * as replies from './fixtures/google.ts'
import type { Cast } from './stage.ts'
import { stories } from './stories.ts'

const model = 'gemini-2.5-flash'
const contents = 'What is the capital of France?'

const versions = [
  { name: '@google/genai 3', Client: GoogleGenAI, refusedError: ApiError },
  {
    name: '@google/genai 2',
    Client: GoogleGenAI2 as unknown as typeof GoogleGenAI,
    refusedError: ApiError2 as unknown as typeof ApiError,
  },
]

for (const { name, Client, refusedError } of versions) {
  const cast: Cast<GoogleGenAI> = {
    name,
    client: (url, { maxRetries = 2, timeout } = {}) =>
      new Client({
        apiKey: 'any',
        httpOptions: {
          baseUrl: url,
          ...(timeout && { timeout }),
          ...(maxRetries && { retryOptions: { attempts: maxRetries + 1, initialDelay: 0.4, jitter: 0 } }),
        },
      }),
    limit: limitGoogle,
    plain: async (client, { signal, headers } = {}) => {
      const config = { ...(signal && { abortSignal: signal }), ...(headers && { httpOptions: { headers } }) }
      return (await client.models.generateContent({ model, contents, config })).text ?? ''
    },
    stream: async (client, { signal } = {}) => {
      const config = signal && { abortSignal: signal }
      const chunks = await client.models.generateContentStream({ model, contents, ...(config && { config }) })
      return (async function* () {
        for await (const { text } of chunks) yield text ?? ''
      })()
    },
    abortError: DOMException as unknown as new () => Error,
    refusedError,
    replies,
    // Its retry takes Node's "fetch failed" for an error of the program.
    lacks: ['output', 'reconnects'],
    timedOut: /aborted/,
    used: { inputTokens: 9, outputTokens: 12 },
  }
  stories(cast)
}
