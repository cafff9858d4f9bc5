/** The provider over HTTP: its answers, as the real SDK of OpenAI reads them. */
import { NotFoundError } from 'openai'
import { describe, expect, test } from 'vitest'
import { TokenBucketProvider, VirtualClock } from '../../src/testing/index.ts'
import { collect } from '../helpers.ts'
import { ample, caught, chat, messages, prompt, refusal, start } from './http-harness.ts'

describe('answers', () => {
  test('a chat completion, with usage and the headers of the limits', async () => {
    const { provider, openai } = await start({ clock: new VirtualClock() })
    const { data, response, request_id } = await openai.chat.completions.create(chat).withResponse()
    expect(data.choices[0]!.message.content).toHaveLength(4 * 16)
    expect(data.choices[0]!.finish_reason).toBe('stop')
    expect(data.usage).toEqual({ prompt_tokens: 10, completion_tokens: 16, total_tokens: 26 })
    expect(request_id).toMatch(/^req_/)
    const header = (name: string) => response.headers.get(`x-ratelimit-${name}`)
    expect([header('limit-requests'), header('remaining-requests')]).toEqual(['6000', '5999'])
    expect([header('limit-tokens'), header('remaining-tokens')]).toEqual(['1000000', '999984'])
    expect(header('reset-requests')).toBe('10ms')
    expect(provider.requests).toMatchObject({ admitted: 1, refused: 0, byStatus: { 200: 1 } })
    expect(provider.requests.log).toMatchObject([
      { path: '/v1/chat/completions', model: 'gpt-5', status: 200, outputTokens: 16, left: false },
    ])
  })

  test('a streamed chat ends with the usage when it was asked for', async () => {
    const { openai } = await start()
    const stream = await openai.chat.completions.create({
      ...chat,
      stream: true,
      stream_options: { include_usage: true },
      max_completion_tokens: 3,
    })
    const chunks = await collect(stream)
    expect(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('')).toBe('the sun and ')
    expect(chunks.at(-2)!.choices[0]!.finish_reason).toBe('length')
    expect(chunks.at(-1)).toMatchObject({
      choices: [],
      usage: { prompt_tokens: 10, completion_tokens: 3, total_tokens: 13 },
    })
    expect(chunks.slice(0, -1).every(({ usage }) => usage === null)).toBe(true)
    const plain = await collect(await openai.chat.completions.create({ ...chat, stream: true }))
    expect(plain.some((chunk) => 'usage' in chunk)).toBe(false)
  })

  test('the stream helper of chat puts the message together', async () => {
    const { openai } = await start({ answerTokens: 2 })
    expect(await openai.chat.completions.stream(chat).finalContent()).toBe('the sun ')
  })

  test('a response: plain, cut short, with instructions and parts', async () => {
    const { openai } = await start({ answerTokens: () => 5 })
    const plain = await openai.responses.create({ model: 'gpt-5', input: prompt })
    expect(plain.output_text).toBe('the sun and sea are ')
    expect(plain.status).toBe('completed')
    expect(plain.usage).toMatchObject({ input_tokens: 10, output_tokens: 5, total_tokens: 15 })
    const short = await openai.responses.create({
      model: 'gpt-5',
      instructions: 'Be brief',
      input: [{ role: 'user', content: [{ type: 'input_text', text: 'Four' }] }],
      max_output_tokens: 2,
    })
    expect(short).toMatchObject({ status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } })
    expect(short.usage).toMatchObject({ input_tokens: 3, output_tokens: 2 })
  })

  test('a streamed response, by hand and through the stream helper', async () => {
    const { openai } = await start({ answerTokens: 2 })
    const body = { model: 'gpt-5', input: prompt }
    const events = await collect(await openai.responses.create({ ...body, stream: true }))
    expect(events.map(({ type }) => type.replace('response.', ''))).toEqual([
      'created',
      'in_progress',
      'output_item.added',
      'content_part.added',
      'output_text.delta',
      'output_text.delta',
      'output_text.done',
      'content_part.done',
      'output_item.done',
      'completed',
    ])
    expect(events.map(({ sequence_number }) => sequence_number)).toEqual(events.map((_, i) => i))
    const final = await openai.responses.stream(body).finalResponse()
    expect(final.output_text).toBe('the sun ')
    expect(final.usage?.total_tokens).toBe(12)
    const short = await openai.responses.stream({ ...body, max_output_tokens: 1 }).finalResponse()
    expect(short.status).toBe('incomplete')
  })

  test('embeddings, in both encodings', async () => {
    const { openai } = await start()
    const two = { model: 'any', input: ['one', 'other'], dimensions: 3 }
    const decoded = await openai.embeddings.create(two)
    const plain = await openai.embeddings.create({ ...two, encoding_format: 'float' })
    expect(decoded.data.map(({ embedding }) => embedding.length)).toEqual([3, 3])
    expect(plain.data[1]!.embedding[0]).toBeCloseTo(decoded.data[1]!.embedding[0]!)
    expect(plain.usage).toEqual({ prompt_tokens: 2, total_tokens: 2 })
  })

  test('the list of models, each with limits of its own', async () => {
    const { openai } = await start({
      model: { big: new TokenBucketProvider({ requestsPerMinute: 1 }), small: ample() },
    })
    expect((await openai.models.list()).data.map(({ id }) => id)).toEqual(['big', 'small'])
    expect((await openai.models.retrieve('small')).id).toBe('small')
    await openai.chat.completions.create({ model: 'big', messages })
    expect(await refusal(openai.chat.completions.create({ model: 'big', messages }))).toBeDefined()
    await openai.chat.completions.create({ model: 'small', messages })
    const unknown = await caught(openai.chat.completions.create({ model: 'toString', messages }))
    expect(unknown).toBeInstanceOf(NotFoundError)
    expect(unknown).toMatchObject({ code: 'model_not_found' })
  })
})
