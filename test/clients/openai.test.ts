// The official OpenAI client, of two majors, limited. What it does with `makeRequest` is private to it: when a version
// changes that, these tests are red.

import type OpenAI from 'openai'
import { limitOpenAI } from 'llmiter/openai'
import * as replies from './fixtures/openai.ts'
import { versions } from './openai-versions.ts'
import type { Cast } from './stage.ts'
import { stories } from './stories.ts'

const messages = [{ role: 'user' as const, content: 'What is the capital of France?' }]

async function* words(stream: AsyncIterable<OpenAI.ChatCompletionChunk>): AsyncGenerator<string> {
  for await (const { choices } of stream) yield choices[0]?.delta.content ?? ''
}

for (const { name, Client } of versions) {
  const cast: Cast<OpenAI> = {
    name: `${name}, chat`,
    client: (url, options) =>
      new Client({ apiKey: 'any', baseURL: `${url}/v1`, logLevel: 'off', ...options }),
    limit: limitOpenAI,
    plain: async (client, call) =>
      (await client.chat.completions.create({ model: 'gpt-5', messages }, call)).choices[0]?.message
        .content ?? '',
    stream: async (client, call) =>
      words(await client.chat.completions.create({ model: 'gpt-5', messages, stream: true }, call)),
    abortError: Client.APIUserAbortError,
    refusedError: Client.RateLimitError,
    replies: { ...replies, plain: replies.chat, stream: replies.chatStream },
    used: { inputTokens: 9, outputTokens: 12 },
  }
  stories(cast)
}
