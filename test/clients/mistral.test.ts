// The official Mistral client, limited.

import { Mistral } from '@mistralai/mistralai'
import { RequestAbortedError, SDKError } from '@mistralai/mistralai/models/errors'
import { limitMistral } from 'llmiter/mistral'
import * as replies from './fixtures/mistral.ts'
import type { Cast } from './stage.ts'
import { stories } from './stories.ts'

const request = {
  model: 'mistral-small-latest',
  messages: [{ role: 'user' as const, content: 'What is the capital of France?' }],
}

const cast: Cast<Mistral> = {
  name: '@mistralai/mistralai',
  client: (url, { timeout } = {}) =>
    new Mistral({ apiKey: 'any', serverURL: url, ...(timeout && { timeoutMs: timeout }) }),
  limit: limitMistral,
  plain: async (client, call) => {
    const { choices } = await client.chat.complete(request, call)
    return (choices[0]?.message?.content as string | undefined) ?? ''
  },
  stream: async (client, call) => {
    const events = await client.chat.stream(request, call)
    return (async function* () {
      for await (const { data } of events) yield (data.choices[0]?.delta.content as string | undefined) ?? ''
    })()
  },
  abortError: RequestAbortedError,
  refusedError: SDKError,
  replies,
  // It retries for a duration instead of a number of attempts, and only on request.
  lacks: ['retries'],
  status: 'statusCode',
  encloses: true,
  used: { inputTokens: 9, outputTokens: 12 },
}

stories(cast)
