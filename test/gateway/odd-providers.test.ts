// Providers that keep to HTTP in their own way, or do not: what the client gets is whole, counted, and free of keys.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { RunningGateway } from '../../src/gateway/server.ts'
import { ask, CANARY, type Rig, startRig, statusOf } from './rig.ts'

type Answer = (request: IncomingMessage, response: ServerResponse) => void

let rig: Rig
let running: RunningGateway
let answer: Answer
let asked = 0
const provider = createServer((request, response) => {
  asked++
  answer(request, response)
})
beforeAll(async () => {
  await new Promise<void>((resolve) => provider.listen(0, '127.0.0.1', resolve))
  rig = await startRig()
  const { port } = provider.address() as AddressInfo
  const target = rig.targetOf({ baseUrl: `http://127.0.0.1:${port}/v1`, timeout: '500ms' })
  const patient = rig.targetOf({ ...target, name: 'patient', timeout: '1m' })
  running = await rig.gatewayOf({
    targets: [target, { ...patient, tier: 2 }],
    budgets: [{ tokens: 1e9, per: 'year' }],
  })
})
afterAll(async () => {
  provider.closeAllConnections()
  provider.close()
  await rig.close()
})

/** Of the target that waits for a minute. */
const patiently = { 'x-llmiter-target': 'patient' }
const stream = { model: 'm', messages: [], max_tokens: 5, stream: true }
const used = async () => (await statusOf(running.url)).budgets[0]!.amounts[0]!.used

function events(response: ServerResponse, parts: readonly (string | Buffer)[], more = {}): void {
  response.writeHead(200, { 'content-type': 'text/event-stream', ...more })
  const [part, ...rest] = parts
  response.write(part)
  const next = () => {
    const one = rest.shift()
    if (one === undefined) return void response.end()
    response.write(one)
    setTimeout(next, 5)
  }
  setTimeout(next, 5)
}

test.each([
  ['gzip', gzipSync],
  ['br', brotliCompressSync],
])('an answer in %s that nobody asked for is read: counted, and without keys', async (encoding, compress) => {
  const body = { echo: CANARY, usage: { prompt_tokens: 3, completion_tokens: 4 } }
  answer = (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': encoding })
    response.end(compress(JSON.stringify(body)))
  }
  const before = await used()
  const { headers, text } = await ask(running.url)
  expect(JSON.parse(text)).toEqual({ ...body, echo: '[redacted]' })
  expect(headers['content-encoding']).toBeUndefined()
  expect((await used()) - before).toBe(7)
})

test('a compressed error and a compressed stream are read as well; a broken one is a broken connection', async () => {
  const [error, chunks] = [
    { error: { message: CANARY } },
    'data: {"choices":[{"delta":{"content":"ü"}}]}\n\n',
  ]
  answer = (_request, response) => {
    response.writeHead(400, { 'content-type': 'application/json', 'content-encoding': 'gzip' })
    response.end(gzipSync(JSON.stringify(error)))
  }
  expect((await ask(running.url)).json()['error']!['message']).toBe('[redacted]')
  answer = (_request, response) => events(response, [gzipSync(chunks)], { 'content-encoding': 'gzip' })
  expect((await ask(running.url, { body: stream })).text).toBe(chunks)
  answer = (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' })
    response.end('this is no gzip')
  }
  expect((await ask(running.url, { headers: patiently })).headers['x-llmiter-error']).toBe('upstream_failed')
  answer = (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'rot13' })
    response.end('{}')
  }
  expect((await ask(running.url)).headers['x-llmiter-error']).toBe('encoded_answer')
})

test('a key is found in no part of an answer, wherever it was cut', async () => {
  const half = CANARY.length / 2
  answer = (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/plain' })
    response.write(`echo ${CANARY.slice(0, half)}`)
    setTimeout(() => response.end(`${CANARY.slice(half)}! ${CANARY.slice(0, 5)}`), 20)
  }
  expect((await ask(running.url)).text).toBe(`echo [redacted]! ${CANARY.slice(0, 5)}`)
})

test.each([
  ['LF', '\n'],
  ['CRLF', '\r\n'],
  ['CR', '\r'],
])(
  'events whose lines end with %s pass at once, cut anywhere, and what nobody asked for is taken out',
  async (_name, end) => {
    const said = [
      `data: {"choices":[{"delta":{"content":"„Grüße“ 🦊"}}],"usage":null}`,
      `data: {"usage":{"prompt_tokens":1,"completion_tokens":2},"choices":[]}`,
      'data: [DONE]',
    ]
    const bytes = Buffer.from(said.map((line) => line + end + end).join(''))
    // Each byte on its own: in the middle of characters and of line ends.
    answer = (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      for (const byte of bytes) response.write(Buffer.from([byte]))
      response.end()
    }
    const { text } = await ask(running.url, { body: stream })
    expect(text).toBe(
      [`data: {"choices":[{"delta":{"content":"„Grüße“ 🦊"}}]}`, 'data: [DONE]']
        .map((line) => line + end + end)
        .join(''),
    )
  },
)

test('usage beside the last content is taken out, too, and what was asked for stays', async () => {
  const chunk =
    '{"id":"1","choices":[{"delta":{"content":"a"}}],"usage":{"prompt_tokens":1,"completion_tokens":2},"x":1}'
  answer = (_request, response) => events(response, [`data: ${chunk}\n\n`, 'data: [DONE]\n\n'])
  const plain = await ask(running.url, { body: stream })
  expect(plain.text).toBe('data: {"id":"1","choices":[{"delta":{"content":"a"}}],"x":1}\n\ndata: [DONE]\n\n')
  const body = { ...stream, stream_options: { include_usage: true } }
  expect((await ask(running.url, { body })).text).toBe(`data: ${chunk}\n\ndata: [DONE]\n\n`)
})

test('interim answers are passed over', async () => {
  answer = (_request, response) => {
    response.writeProcessing()
    response.writeEarlyHints({ link: '</x>; rel=preload' })
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end('{"ok":true}')
  }
  expect((await ask(running.url)).text).toBe('{"ok":true}')
})

test('an error that comes before the body was read, with a connection that is cut, is passed on', async () => {
  answer = (request, response) => {
    request.pause()
    response.writeHead(413, { 'content-type': 'application/json', connection: 'close' })
    response.end('{"error":{"message":"too large"}}')
    setTimeout(() => request.socket.destroy(), 50)
  }
  const body = JSON.stringify({ model: 'm', messages: ['x'.repeat(15_000_000)] })
  const { status, text } = await ask(running.url, { body, headers: patiently })
  expect([status, text]).toEqual([413, '{"error":{"message":"too large"}}'])
})

test('a body that stops coming is a 408 like one that never began, whatever its status', async () => {
  for (const status of [200, 400]) {
    answer = (_request, response) => {
      response.writeHead(status, { 'content-type': 'application/json' })
      response.write('{"half":')
    }
    const headers = { 'x-llmiter-target': 'first' }
    const got = await ask(running.url, { headers })
    expect([got.status, got.headers['x-llmiter-error']]).toEqual([408, 'request_timeout'])
  }
})

test('a connection that was closed while nobody used it is opened anew, unseen', async () => {
  const sockets = new Set<Socket>()
  answer = (request, response) => {
    sockets.add(request.socket)
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end('{}')
  }
  for (let i = 0; i < 5; i++) {
    expect((await ask(running.url, { headers: patiently })).status).toBe(200)
    for (const socket of sockets) socket.destroy()
  }
})

test('a call that a provider may have received is not sent twice', async () => {
  answer = (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end('{}')
  }
  await ask(running.url, { headers: patiently })
  const before = asked
  answer = (request) => setTimeout(() => request.socket.destroy(), 1300)
  const got = await ask(running.url, { headers: patiently })
  expect([got.status, asked - before]).toEqual([502, 1])
})

test('answers without content pass', async () => {
  answer = (request, response) => void response.writeHead(request.method === 'DELETE' ? 204 : 200).end()
  const gone = await ask(running.url, { path: '/v1/files/x', method: 'DELETE', body: '' })
  expect([gone.status, gone.text]).toEqual([204, ''])
  const head = await ask(running.url, { path: '/v1/models', method: 'HEAD', body: '' })
  expect([head.status, head.text]).toEqual([200, ''])
})

test('Gemini’s streams without events tell their usage at the end', async () => {
  const { port } = provider.address() as AddressInfo
  const target = rig.targetOf({ protocol: 'gemini', baseUrl: `http://127.0.0.1:${port}` })
  const { url } = await rig.gatewayOf({ targets: [target], budgets: [{ tokens: 1e9, per: 'year' }] })
  const text = JSON.stringify([
    { candidates: [] },
    { usageMetadata: { promptTokenCount: 5, candidatesTokenCount: 6 } },
  ])
  answer = (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    for (const char of text) response.write(char)
    response.end()
  }
  expect((await ask(url, { path: '/v1beta/models/m:streamGenerateContent' })).text).toBe(text)
  expect((await statusOf(url)).budgets[0]!.amounts[0]).toMatchObject({ used: 11, reserved: 0 })
})

describe('a key that is refused', () => {
  const refuse = (status: number) => (one: { headers: object; body: object }) =>
    'secret' in one.body ? { status, body: { error: { message: 'no' } } } : { body: { ok: true } }
  const secret = { model: 'm', messages: [], secret: true }

  test.each([401, 403])('with no other target is the answer of one call alone (%i)', async (status) => {
    const { url } = await rig.gatewayOf()
    rig.server.replies(refuse(status))
    const statuses = []
    for (const body of [secret, secret, {}]) statuses.push((await ask(url, { body })).status)
    expect(statuses).toEqual([status, status, 200])
  })

  test('and failures of the only target are answers, too: nobody waits until it may be well', async () => {
    const { url } = await rig.gatewayOf()
    rig.server.replies({ status: 500, body: {} })
    for (let i = 0; i < 12; i++) expect((await ask(url)).status).toBe(500)
    rig.server.replies({ body: { ok: true } })
    const { status, headers } = await ask(url, { headers: { 'x-llmiter-max-wait': '10s' } })
    expect([status, headers['x-llmiter-attempts']]).toEqual([200, '1'])
  })

  test('for one thing may be good for others: another target is tried, and it stays', async () => {
    const second = rig.targetOf({ name: 'second', tier: 2, apiKey: 'sk-second-of-all' })
    const { url } = await rig.gatewayOf({ targets: [rig.targetOf(), second] })
    rig.server.replies((one) => {
      const first = one.headers.authorization === `Bearer ${CANARY}`
      return first ? refuse(403)(one) : { body: { ok: true } }
    })
    const by = async (body: object) => (await ask(url, { body })).headers['x-llmiter-target']
    expect([await by(secret), await by({}), await by(secret)]).toEqual(['second', 'first', 'second'])
    rig.server.replies((one) => {
      const first = one.headers.authorization === `Bearer ${CANARY}`
      return first ? { status: 401, body: {} } : { body: { ok: true } }
    })
    expect([await by({}), await by({})]).toEqual(['second', 'second'])
    expect((await statusOf(url)).targets[0]!.states).toMatchObject([{ state: 'dead' }])
  })
})
