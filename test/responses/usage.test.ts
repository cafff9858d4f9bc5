import { describe, expect, test } from 'vitest'
import { mergeUsage, readUsage, type Usage } from '../../src/responses/index.ts'

const used = { inputTokens: 5, outputTokens: 7, tokens: 12 }

describe('the usage of known results and events', () => {
  const openai = {
    prompt_tokens: 5,
    completion_tokens: 7,
    total_tokens: 12,
    prompt_tokens_details: { cached_tokens: 2 },
  }
  const responses = { input_tokens: 5, output_tokens: 7, total_tokens: 12 }
  const gemini = { promptTokenCount: 5, candidatesTokenCount: 3, thoughtsTokenCount: 4, totalTokenCount: 12 }
  const tokens = { inputTokens: 5, outputTokens: 7 }
  test.each<[string, unknown, Usage | undefined]>([
    ['openai chat', { usage: openai }, used],
    ['openai responses', { usage: responses }, used],
    ['openai response.completed', { type: 'response.completed', response: { usage: responses } }, used],
    [
      'openai embeddings',
      { data: [{ embedding: [1] }], usage: { prompt_tokens: 5, total_tokens: 5 } },
      { inputTokens: 5, tokens: 5 },
    ],
    ['a chunk before the last', { choices: [], usage: null }, undefined],
    ['anthropic', { usage: { input_tokens: 5, output_tokens: 7 } }, used],
    [
      'anthropic: cache writes count, cache reads do not',
      {
        usage: {
          input_tokens: 1,
          cache_creation_input_tokens: 4,
          cache_read_input_tokens: 90,
          output_tokens: 7,
        },
      },
      used,
    ],
    [
      'anthropic message_start',
      { type: 'message_start', message: { usage: { input_tokens: 5, output_tokens: 7 } } },
      used,
    ],
    [
      'anthropic message_delta',
      { type: 'message_delta', usage: { output_tokens: 7 } },
      { outputTokens: 7, tokens: 7 },
    ],
    ['gemini: thoughts are output', { usageMetadata: gemini }, used],
    ['@google/generative-ai', { response: { usageMetadata: gemini } }, used],
    [
      'groq: what it has cached is free',
      { x_groq: { usage: openai } },
      { inputTokens: 3, outputTokens: 7, tokens: 10 },
    ],
    ['mistral', { usage: { promptTokens: 5, completionTokens: 7, totalTokens: 12 } }, used],
    ['mistral stream', { data: { usage: { promptTokens: 5, completionTokens: 7, totalTokens: 12 } } }, used],
    ['cohere', { meta: { billedUnits: { inputTokens: 1, outputTokens: 1 }, tokens } }, used],
    ['cohere rerank', { meta: { billed_units: { search_units: 1 } } }, undefined],
    [
      'cohere message-end',
      { type: 'message-end', delta: { usage: { tokens: { input_tokens: 5, output_tokens: 7 } } } },
      used,
    ],
    [
      'ai sdk, all steps before the last',
      { usage: { inputTokens: 1, outputTokens: 1 }, totalUsage: tokens },
      used,
    ],
    ['ai sdk finish part', { type: 'finish', totalUsage: { ...tokens, totalTokens: 12 } }, used],
    [
      'ai sdk model level',
      { usage: { inputTokens: { total: 5, noCache: 5 }, outputTokens: { total: 7 } } },
      used,
    ],
    ['langchain', { usage_metadata: responses }, used],
    ['axios', { status: 200, headers: {}, data: { usage: openai } }, used],
    ['two dialects at once', { usage: { ...openai, ...responses } }, used],
    ['no numbers', { usage: { prompt_tokens: NaN, completion_tokens: '7', total_tokens: -1 } }, undefined],
    ["a user's own object", { usage: 'plenty', data: [1, 2], message: 'hello' }, undefined],
    ['text', 'usage', undefined],
    ['nothing', undefined, undefined],
  ])('%s', (_name, value, expected) => {
    expect(readUsage(value)).toEqual(expected)
  })
})

test('over a stream later events replace earlier ones, dimension by dimension', () => {
  const events = [
    { type: 'message_start', message: { usage: { input_tokens: 100, output_tokens: 1 } } },
    { type: 'content_block_delta', delta: { text: 'Hello' } },
    { type: 'message_delta', usage: { output_tokens: 20 } },
    { type: 'message_delta', usage: { output_tokens: 45 } },
    { type: 'message_stop' },
  ]
  let usage: Usage | undefined
  const totals = events.map((event) => (usage = mergeUsage(usage, event))?.tokens)
  expect(totals).toEqual([101, 101, 120, 145, 145])
  expect(usage).toEqual({ inputTokens: 100, outputTokens: 45, tokens: 145 })
})

test('no usage stays undefined', () => {
  expect(mergeUsage(undefined, { choices: [] })).toBeUndefined()
})

test('getters of instances that would do something are left alone', () => {
  class StreamResult {
    fullStream = []
    get usage(): never {
      return expect.unreachable('reading it consumes the stream')
    }
  }
  class GeminiResult {
    get data(): never {
      return expect.unreachable('reading it prints a warning')
    }
  }
  expect(readUsage(new StreamResult())).toBeUndefined()
  expect(readUsage(new GeminiResult())).toBeUndefined()
})

test.each([
  [
    'Moonshot, in the last chunk',
    { choices: [{ delta: {}, usage: { prompt_tokens: 7, completion_tokens: 5 } }] },
    { inputTokens: 7, outputTokens: 5, tokens: 12 },
  ],
  [
    'Bedrock: what was read from the cache does not count',
    { usage: { inputTokens: 4, outputTokens: 832, cacheReadInputTokens: 1490, totalTokens: 2326 } },
    { inputTokens: 4, outputTokens: 832, tokens: 836 },
  ],
  [
    'Bedrock: what was written to it does',
    { usage: { inputTokens: 4, outputTokens: 10, cacheWriteInputTokens: 100, totalTokens: 114 } },
    { inputTokens: 104, outputTokens: 10, tokens: 114 },
  ],
  [
    'Bedrock, in a stream',
    { metadata: { usage: { inputTokens: 3, outputTokens: 2, totalTokens: 5 } } },
    { inputTokens: 3, outputTokens: 2, tokens: 5 },
  ],
  [
    'LangChain: cache reads of Anthropic do not count',
    {
      response_metadata: { model_provider: 'anthropic' },
      usage_metadata: {
        ...{ input_tokens: 1000, output_tokens: 7, total_tokens: 1007 },
        input_token_details: { cache_read: 990 },
      },
    },
    { inputTokens: 10, outputTokens: 7, tokens: 17 },
  ],
  [
    'LangChain: those of OpenAI do',
    {
      response_metadata: { model_provider: 'openai' },
      usage_metadata: {
        ...{ input_tokens: 1000, output_tokens: 7, total_tokens: 1007 },
        input_token_details: { cache_read: 990 },
      },
    },
    { inputTokens: 1000, outputTokens: 7, tokens: 1007 },
  ],
  [
    'the AI SDK, a result by Anthropic',
    {
      providerMetadata: { anthropic: {} },
      totalUsage: {
        ...{ inputTokens: 1000, outputTokens: 7, totalTokens: 1007 },
        inputTokenDetails: { noCacheTokens: 10, cacheReadTokens: 990 },
      },
    },
    { inputTokens: 10, outputTokens: 7, tokens: 17 },
  ],
])('%s', (_name, answer, usage) => {
  expect(readUsage(answer)).toEqual(usage)
})
