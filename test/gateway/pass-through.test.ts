// Programs that know nothing of the gateway: official SDKs, Python and curl, by their base URL alone.

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import Anthropic from '@anthropic-ai/sdk'
import { GoogleGenAI } from '@google/genai'
import OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { collect } from '../helpers.ts'
import { type HttpProvider, startHttpProvider, TokenBucketProvider } from 'llmiter/testing'
import type { RunningGateway } from '../../src/gateway/server.ts'
import { named, sse } from '../clients/server.ts'
import { ask, CANARY, type Rig, startRig } from './rig.ts'

const run = promisify(execFile)
const messages = [{ role: 'user' as const, content: 'What is the capital of France?' }]

let rig: Rig
let running: RunningGateway
let provider: HttpProvider
let paced: RunningGateway

beforeAll(async () => {
  rig = await startRig()
  const { url } = rig.server
  running = await rig.gatewayOf({
    targets: [
      rig.targetOf({ name: 'openai' }),
      rig.targetOf({ name: 'anthropic', protocol: 'anthropic', baseUrl: url }),
      rig.targetOf({ name: 'gemini', protocol: 'gemini', baseUrl: url }),
    ],
  })
  provider = await startHttpProvider({ model: new TokenBucketProvider({ requestsPerMinute: 6000 }) })
  paced = await rig.gatewayOf({
    targets: [rig.targetOf({ baseUrl: provider.url, limits: { requestsPerMinute: 6000 } })],
  })
})
afterAll(async () => {
  await rig.close()
  await provider.close()
})

const lastSeen = () => rig.server.seen.at(-1)!

describe('OpenAI', () => {
  const client = () => new OpenAI({ apiKey: 'of the client', baseURL: `${running.url}/v1`, maxRetries: 0 })
  const ofProvider = () => new OpenAI({ apiKey: 'any', baseURL: `${paced.url}/v1`, maxRetries: 0 })

  test('an answer, its request id and its limits come as they are', async () => {
    const { data, response, request_id } = await ofProvider()
      .chat.completions.create({ model: 'gpt-5', messages })
      .withResponse()
    expect(data.choices[0]!.message.content).toContain('the sun')
    expect(request_id).toMatch(/^req_/)
    expect(response.headers.get('x-ratelimit-limit-requests')).toBe('6000')
    expect(response.headers.get('x-llmiter-target')).toBe('first')
    expect(response.headers.get('x-llmiter-attempts')).toBe('1')
  })

  test('streams of chats and of responses', async () => {
    const chat = await ofProvider().chat.completions.create({ model: 'gpt-5', messages, stream: true })
    const chunks = await collect(chat)
    expect(chunks.map(({ choices }) => choices[0]!.delta.content ?? '').join('')).toContain('the sun')
    // The client did not ask for the usage, so it sees the same as if the provider had not been asked.
    expect(chunks.some((chunk) => 'usage' in chunk)).toBe(false)
    const types: string[] = []
    for await (const { type } of await ofProvider().responses.create({
      model: 'gpt-5',
      input: 'hi',
      stream: true,
    }))
      types.push(type)
    expect(types[0]).toBe('response.created')
    expect(types.at(-1)).toBe('response.completed')
  })

  test('the bytes of a stream are those of the provider', async () => {
    const body = { model: 'gpt-5', messages, stream: true }
    const [through, direct] = [await ask(paced.url, { body }), await ask(provider.url, { body })]
    const plain = (text: string) => text.replaceAll(/"(id|created)":("[^"]*"|\d+)/g, '')
    expect(plain(through.text)).toBe(plain(direct.text))
  })

  test('a client that asks for the usage gets it', async () => {
    const stream_options = { include_usage: true }
    const chat = await ofProvider().chat.completions.create({
      model: 'gpt-5',
      messages,
      stream: true,
      stream_options,
    })
    let total: number | undefined
    for await (const { usage } of chat) total = usage?.total_tokens ?? total
    expect(total).toBe(24)
  })

  test('of a stream whose usage nobody asked for only the counts are taken out', async () => {
    const text = { choices: [{ delta: { content: 'say "usage":null, and "choices":[]' } }] }
    rig.server.replies({
      frames: sse(
        { ...text, usage: null },
        { id: 'x', choices: [], usage: { prompt_tokens: 1, completion_tokens: 2 } },
        '[DONE]',
      ),
    })
    const answer = await ask(running.url, { body: { model: 'm', messages, stream: true } })
    expect(answer.text).toBe(sse(text, '[DONE]').join(''))
    expect(lastSeen().body).toMatchObject({
      model: 'm',
      messages,
      stream: true,
      stream_options: { include_usage: true },
    })
  })

  test('errors are the SDK’s own', async () => {
    const error = { message: 'no such thing', type: 'invalid_request_error', code: 'bad', param: 'x' }
    rig.server.replies({ status: 400, body: { error }, headers: { 'x-request-id': 'req_7' } })
    const failed = client().chat.completions.create({ model: 'gpt-5', messages })
    await expect(failed).rejects.toMatchObject({ status: 400, code: 'bad', param: 'x', requestID: 'req_7' })
    await expect(failed).rejects.toBeInstanceOf(OpenAI.BadRequestError)
  })

  test('lists and embeddings', async () => {
    const models = await ofProvider().models.list()
    expect(Array.isArray(models.data)).toBe(true)
    const { data } = await ofProvider().embeddings.create({ model: 'embed', input: ['a', 'b'] })
    expect(data).toHaveLength(2)
  })

  test('a body that is no JSON passes byte by byte', async () => {
    const bytes = Buffer.from(Array.from({ length: 3000 }, (_, i) => i % 256))
    rig.server.replies({ body: bytes.toString('latin1'), headers: { 'content-type': 'audio/mpeg' } })
    const answer = await ask(running.url, {
      path: '/v1/audio/translations',
      body: bytes,
      headers: { 'content-type': 'multipart/form-data; boundary=x' },
    })
    expect(answer.headers['content-type']).toBe('audio/mpeg')
    expect(lastSeen().path).toBe('/v1/audio/translations')
    expect(answer.text).toBe(bytes.toString('latin1'))
  })
})

describe('Anthropic', () => {
  const client = () => new Anthropic({ apiKey: 'of the client', baseURL: running.url, maxRetries: 0 })
  const usage = { input_tokens: 3, output_tokens: 1 }
  const message = {
    id: 'msg_1',
    type: 'message',
    role: 'assistant',
    model: 'claude',
    content: [],
    stop_reason: null,
    usage,
  }

  test('messages and their tokens, with the operator’s key', async () => {
    rig.server.replies({
      body: { ...message, content: [{ type: 'text', text: 'Paris' }] },
      headers: { 'request-id': 'req_1' },
    })
    const answer = await client().messages.create({ model: 'claude', max_tokens: 9, messages })
    expect(answer).toMatchObject({ content: [{ text: 'Paris' }], _request_id: 'req_1' })
    expect(lastSeen()).toMatchObject({ path: '/v1/messages', headers: { 'x-api-key': CANARY } })
    rig.server.replies({ body: { input_tokens: 7 } })
    expect(await client().messages.countTokens({ model: 'claude', messages })).toMatchObject({
      input_tokens: 7,
    })
  })

  test('streams with tools', async () => {
    rig.server.replies({
      frames: named(
        ...([
          { type: 'message_start', message },
          {
            type: 'content_block_start',
            index: 0,
            content_block: { type: 'tool_use', id: 't', name: 'f', input: {} },
          },
          {
            type: 'content_block_delta',
            index: 0,
            delta: { type: 'input_json_delta', partial_json: '{"usage": {}}' },
          },
          { type: 'content_block_stop', index: 0 },
          { type: 'message_delta', delta: { stop_reason: 'tool_use' }, usage: { output_tokens: 12 } },
          { type: 'message_stop' },
        ] as { type: string }[]),
      ),
    })
    const final = await client().messages.stream({ model: 'claude', max_tokens: 9, messages }).finalMessage()
    expect(final).toMatchObject({
      content: [{ name: 'f', input: { usage: {} } }],
      usage: { output_tokens: 12 },
    })
  })

  test('errors are the SDK’s own, the gateway’s too', async () => {
    rig.server.replies({
      status: 413,
      body: { type: 'error', error: { type: 'request_too_large', message: 'big' } },
    })
    const failed = client().messages.create({ model: 'claude', max_tokens: 9, messages })
    await expect(failed).rejects.toMatchObject({
      status: 413,
      error: { error: { type: 'request_too_large' } },
    })
    const header = { 'x-llmiter-max-wait': 'soon' }
    const wrong = client().messages.create({ model: 'claude', max_tokens: 9, messages }, { headers: header })
    await expect(wrong).rejects.toBeInstanceOf(Anthropic.BadRequestError)
    await expect(wrong).rejects.toThrow(
      "x-llmiter-max-wait must be a time such as '2s' or '500ms', got 'soon'",
    )
  })
})

describe('Gemini', () => {
  const client = () => new GoogleGenAI({ apiKey: 'of the client', httpOptions: { baseUrl: running.url } })
  const answer = (text: string) => ({
    candidates: [{ content: { role: 'model', parts: [{ text }] } }],
    usageMetadata: { promptTokenCount: 2, candidatesTokenCount: 1, totalTokenCount: 3 },
  })
  const question = { model: 'gemini-2.5-flash', contents: 'What is the capital of France?' }

  test('answers, with the operator’s key', async () => {
    rig.server.replies({ body: answer('Paris') })
    expect((await client().models.generateContent(question)).text).toBe('Paris')
    expect(lastSeen()).toMatchObject({
      path: '/v1/models/gemini-2.5-flash:generateContent',
      headers: { 'x-goog-api-key': CANARY },
    })
  })

  test('streams', async () => {
    rig.server.replies({ frames: sse(answer('Pa'), answer('ris')) })
    let text = ''
    for await (const chunk of await client().models.generateContentStream(question)) text += chunk.text
    expect(text).toBe('Paris')
    expect(lastSeen().path).toBe('/v1/models/gemini-2.5-flash:streamGenerateContent?alt=sse')
  })

  test('errors are the SDK’s own', async () => {
    rig.server.replies({
      status: 400,
      body: { error: { code: 400, message: 'bad', status: 'INVALID_ARGUMENT' } },
    })
    await expect(client().models.generateContent(question)).rejects.toMatchObject({
      name: 'ApiError',
      status: 400,
    })
  })
})

test('200 calls at once: each is answered, and the provider refuses none', async () => {
  const before = provider.requests.log.length
  const answers = await Promise.all(Array.from({ length: 200 }, () => ask(paced.url)))
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
  expect(provider.requests.log.length - before).toBe(200)
  expect(provider.requests.refused).toBe(0)
})

test('Python’s urllib', async () => {
  const program = `
import json, urllib.request
body = json.dumps({"model": "gpt-5", "messages": [{"role": "user", "content": "hi"}]}).encode()
request = urllib.request.Request("${paced.url}/v1/chat/completions", body, {"Content-Type": "application/json"})
with urllib.request.urlopen(request) as answer:
    print(json.load(answer)["choices"][0]["message"]["role"], answer.headers["x-llmiter-target"])`
  expect((await run('python3', ['-c', program])).stdout).toBe('assistant first\n')
})

test('curl', async () => {
  const body = JSON.stringify({ model: 'gpt-5', messages, stream: true })
  const { stdout } = await run('curl', ['-sN', '--json', body, `${paced.url}/v1/chat/completions`])
  expect(stdout).toMatch(/^data: \{.*\n\ndata: \[DONE\]\n\n$/s)
})
