// The uses of the OpenAI client that must give what they gave without a limiter.

import type OpenAI from 'openai'
import { expect } from 'vitest'
import { each } from '../helpers.ts'
import * as replies from './fixtures/openai.ts'
import type { Reply } from './server.ts'

const model = 'gpt-5'
const messages = [{ role: 'user' as const, content: 'What is the capital of France?' }]
const json = '{"city":"Paris"}'
const schema = { name: 'answer', schema: { type: 'object', properties: { city: { type: 'string' } } } }
export const question = { model, messages }

async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  await each(stream, (one) => all.push(one))
  return all
}

const page = (after: string | null): Reply => ({
  body: {
    object: 'list',
    data: [{ id: after ? 'file-2' : 'file-1', object: 'file', bytes: 1, filename: 'a', purpose: 'batch' }],
    has_more: !after,
  },
})

/** The name, what the server says, what is done; how many of its requests generate something. */
export const uses: [string, Reply[], (client: OpenAI) => Promise<unknown>, number][] = [
  [
    'withResponse, and the promise itself: one request',
    [replies.chat()],
    async (client) => {
      const promise = client.chat.completions.create(question)
      const { data, response, request_id } = await promise.withResponse()
      expect(await promise).toEqual(data)
      return [data, request_id, response.status, response.url, response.headers.get('openai-version')]
    },
    1,
  ],
  [
    'asResponse',
    [replies.chat()],
    async (client) => (await client.chat.completions.create(question).asResponse()).json(),
    1,
  ],
  [
    'withResponse of a stream',
    [replies.chatStream()],
    async (client) => {
      const { data, request_id } = await client.chat.completions
        .create({ ...question, stream: true })
        .withResponse()
      return [request_id, await collect(data)]
    },
    1,
  ],
  [
    'chat.completions.parse',
    [replies.chat(json)],
    (client) =>
      client.chat.completions.parse({
        ...question,
        response_format: { type: 'json_schema', json_schema: schema },
      }),
    1,
  ],
  [
    'responses.parse',
    [replies.responses(json)],
    (client) =>
      client.responses.parse({ model, input: 'x', text: { format: { type: 'json_schema', ...schema } } }),
    1,
  ],
  [
    'responses.create',
    [replies.responses()],
    async (client) => (await client.responses.create({ model, input: 'x' })).output_text,
    1,
  ],
  [
    'responses.create, streamed',
    [replies.responsesStream()],
    async (client) => collect(await client.responses.create({ model, input: 'x', stream: true })),
    1,
  ],
  [
    'chat.completions.stream',
    [replies.chatStream()],
    async (client) => {
      const stream = client.chat.completions.stream(question)
      const chunks = await collect(stream)
      return [chunks.length, await stream.finalContent(), await stream.totalUsage()]
    },
    1,
  ],
  [
    'responses.stream',
    [replies.responsesStream()],
    async (client) => (await client.responses.stream({ model, input: 'x' }).finalResponse()).usage,
    1,
  ],
  [
    'chat.completions.runTools: each turn is a call',
    [
      {
        ...replies.chat(),
        body: {
          ...(replies.chat().body as object),
          choices: [
            {
              index: 0,
              finish_reason: 'tool_calls',
              message: {
                ...{ role: 'assistant', content: null, refusal: null },
                tool_calls: [{ id: 'call_1', type: 'function', function: { name: 'look', arguments: '{}' } }],
              },
            },
          ],
        },
      },
      replies.chat(),
    ],
    (client) =>
      client.chat.completions
        .runTools({
          ...question,
          tools: [
            {
              type: 'function',
              function: {
                name: 'look',
                description: '',
                parameters: {},
                parse: JSON.parse,
                function: () => 'seen',
              },
            },
          ],
        })
        .finalContent(),
    2,
  ],
  [
    'tee',
    [replies.chatStream()],
    async (client) => {
      const [left, right] = (await client.chat.completions.create({ ...question, stream: true })).tee()
      return Promise.all([collect(left), collect(right)])
    },
    1,
  ],
  [
    'toReadableStream',
    [replies.chatStream()],
    async (client) =>
      new Response(
        (await client.chat.completions.create({ ...question, stream: true })).toReadableStream(),
      ).text(),
    1,
  ],
  ['embeddings', [replies.embeddings()], (client) => client.embeddings.create({ model: 'e', input: 'x' }), 1],
  [
    'a transcription, whose request is a form',
    [{ body: { text: 'Paris' } }],
    (client) => client.audio.transcriptions.create({ model: 'whisper-1', file: new File(['x'], 'x.mp3') }),
    1,
  ],
  [
    'speech, whose answer is bytes',
    [{ body: 'RIFF', headers: { 'content-type': 'audio/mpeg' } }],
    async (client) => (await client.audio.speech.create({ model: 't', voice: 'alloy', input: 'x' })).text(),
    1,
  ],
  ['models', [replies.models()], (client) => collect(client.models.list()), 0],
  ['files, page by page', [page(null), page('file-1')], (client) => collect(client.files.list()), 0],
  [
    'files.create',
    [{ body: { id: 'file-1', object: 'file' } }],
    (client) => client.files.create({ purpose: 'batch', file: new File(['{}'], 'a.jsonl') }),
    0,
  ],
  [
    'batches.create',
    [{ body: { id: 'batch-1', object: 'batch' } }],
    (client) =>
      client.batches.create({ input_file_id: 'f', endpoint: '/v1/responses', completion_window: '24h' }),
    0,
  ],
  [
    'a request by its path',
    [replies.chat()],
    (client) => client.post('/chat/completions', { body: question }),
    1,
  ],
]
