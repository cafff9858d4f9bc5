// What the gateway does not let through, in either direction.

import { connect } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { shapeOf } from '../../src/gateway/request-body.ts'
import { Upstreams } from '../../src/gateway/upstream.ts'
import type { RunningGateway } from '../../src/gateway/server.ts'
import { startServer } from '../clients/server.ts'
import { ask, CANARY, type Rig, startRig } from './rig.ts'

let rig: Rig
let running: RunningGateway
beforeAll(async () => {
  rig = await startRig()
  running = await rig.gatewayOf()
})
afterAll(() => rig.close())
beforeEach(() => {
  rig.server.seen.length = 0
  rig.server.replies({ body: {} })
})

const lastSeen = () => rig.server.seen.at(-1)!

/** What a client could write that is no library of HTTP. */
function raw(text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(running.port, '127.0.0.1', () => socket.write(text))
    let answer = ''
    socket.on('data', (bytes) => {
      answer += bytes.toString()
      socket.end()
    })
    socket.once('error', reject)
    socket.once('close', () => resolve(answer))
  })
}

describe('where a request comes from', () => {
  test.each<[headers: Record<string, string>, code: string]>([
    [{ host: 'attacker.example' }, 'host_not_allowed'],
    [{ host: '127.0.0.1.attacker.example:8787' }, 'host_not_allowed'],
    [{ host: '192.168.0.7' }, 'host_not_allowed'],
    [{ origin: 'https://attacker.example' }, 'origin_not_allowed'],
    [{ origin: 'null' }, 'origin_not_allowed'],
    [{ origin: 'http://localhost:1' }, 'origin_not_allowed'],
    [{ 'sec-fetch-site': 'cross-site' }, 'origin_not_allowed'],
  ])('%o is refused', async (headers, code) => {
    const answer = await ask(running.url, { headers })
    expect([answer.status, answer.headers['x-llmiter-error']]).toEqual([403, code])
    expect(rig.server.seen).toEqual([])
  })

  test.each(['localhost', 'localhost:8787', '127.0.0.1', '[::1]:80', 'LOCALHOST'])(
    '%s is this machine',
    async (host) => {
      expect((await ask(running.url, { headers: { host } })).status).toBe(200)
    },
  )

  test('no page of another origin may read an answer, or ask whether it may', async () => {
    const answer = await ask(running.url)
    expect(Object.keys(answer.headers).filter((name) => name.startsWith('access-control'))).toEqual([])
    expect((await ask(running.url, { method: 'OPTIONS' })).status).toBe(405)
  })
})

describe('where it wants to go', () => {
  test.each([
    '/v1/../admin',
    '/v1/./chat',
    '/v1/%2e%2e/admin',
    '/v1/%2E%2E/admin',
    '/v1/files%2f..%2fadmin',
    '/v1/files%5c..',
    '/v1/files\\..',
    '/v1//chat/completions',
    '/v1/%252e%252e/x',
    '/v1/x%00',
    'http://attacker.example/v1/models',
  ])('%s is refused', async (path) => {
    const answer = await ask(running.url, { path })
    expect([answer.status, answer.headers['x-llmiter-error']]).toEqual([400, 'bad_path'])
    expect(rig.server.seen).toEqual([])
  })

  test('a path that no provider has is told so', async () => {
    const answer = await ask(running.url, { path: '/chat/completions' })
    expect(answer.status).toBe(404)
    expect(answer.text).toContain('begin with /v1/')
  })

  test('redirects are not followed', async () => {
    const elsewhere = await startServer()
    rig.server.replies({ status: 307, headers: { location: elsewhere.url } })
    const answer = await ask(running.url)
    expect([answer.status, answer.headers['x-llmiter-error']]).toEqual([502, 'redirected'])
    expect(answer.headers.location).toBeUndefined()
    expect(elsewhere.seen).toEqual([])
    await elsewhere.close()
  })

  test('the dialer reaches no host that the operator has not named', async () => {
    const elsewhere = await startServer()
    const upstreams = new Upstreams()
    const { hostname: host, port } = new URL(elsewhere.url)
    const call = {
      address: { protocol: 'http:', host, port: Number(port), path: '' },
      method: 'GET',
      path: '/',
      headers: {},
      body: undefined,
      signal: undefined,
      hideUsage: false,
      timeoutMs: undefined,
      streamOver: () => {},
    } as const
    await expect(upstreams.send(call)).rejects.toMatchObject({ code: 'host_not_allowed' })
    elsewhere.replies({ body: {} })
    upstreams.allow(call.address, [])
    expect(await upstreams.send(call)).toMatchObject({ answered: 200 })
    upstreams.close()
    await elsewhere.close()
  })
})

describe('headers', () => {
  test('of the client: its credentials, cookies and connection stay here', async () => {
    const answer = await ask(running.url, {
      path: '/v1/responses?key=of-the-client&include=a%20b&KEY=2',
      headers: {
        authorization: 'Bearer of-the-client',
        'x-api-key': 'of-the-client',
        'x-goog-api-key': 'of-the-client',
        'proxy-authorization': 'Basic of-the-client',
        cookie: 'session=of-the-client',
        'openai-organization': 'org-of-the-client',
        connection: 'keep-alive, x-secret',
        te: 'trailers',
        'x-forwarded-for': '10.0.0.1',
        'x-secret': 'of-the-client',
        'openai-beta': 'assistants=v2',
        'user-agent': 'test/1',
      },
    })
    expect(answer.text).toBe('{}')
    const { headers, path } = lastSeen()
    expect(path).toBe('/v1/responses?include=a%20b')
    expect(headers).toMatchObject({
      authorization: `Bearer ${CANARY}`,
      'openai-beta': 'assistants=v2',
      'user-agent': 'test/1',
    })
    expect(JSON.stringify(headers)).not.toContain('of-the-client')
    expect(Object.keys(headers).sort()).toEqual(
      [
        'accept-encoding',
        'authorization',
        'connection',
        'content-length',
        'content-type',
        'host',
        'openai-beta',
        'user-agent',
      ].sort(),
    )
  })

  test('of the provider: cookies and whatever is not listed stay here', async () => {
    rig.server.replies({
      body: {},
      headers: {
        'set-cookie': 'a=1',
        server: 'x',
        'x-internal': 'y',
        'access-control-allow-origin': '*',
        'x-request-id': 'r',
        'retry-after': '3',
      },
    })
    const { headers } = await ask(running.url)
    expect(headers).toMatchObject({ 'x-request-id': 'r', 'retry-after': '3' })
    for (const name of ['set-cookie', 'server', 'x-internal', 'access-control-allow-origin'])
      expect(headers).not.toHaveProperty(name)
  })
})

describe('how much it brings', () => {
  test('a body over 20 MB is a 413, told beforehand or not', async () => {
    const large = Buffer.alloc(20_000_001, 'x')
    const told = await ask(running.url, { body: large })
    expect([told.status, told.headers['x-should-retry']]).toEqual([413, 'false'])
    const untold = await raw(
      'POST /v1/responses HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999999\r\n\r\n',
    )
    expect(untold).toMatch(/^HTTP\/1\.1 413 /)
    expect(rig.server.seen).toEqual([])
  })

  test('a body of 19 MB passes', async () => {
    rig.server.replies(({ body }) => ({ body: { length: JSON.stringify(body).length } }))
    const answer = await ask(running.url, { body: { text: 'x'.repeat(19_000_000) } })
    expect(answer.json()).toEqual({ length: 19_000_011 })
  })

  test('deep nesting is refused before anything parses it', async () => {
    const deep = (n: number) => `{"model":"m","a":${'['.repeat(n)}${']'.repeat(n)}}`
    expect((await ask(running.url, { body: deep(5_000_000) })).status).toBe(400)
    expect((await ask(running.url, { body: deep(90) })).status).toBe(200)
    const inText = { model: 'm', a: '[{'.repeat(1000) }
    expect((await ask(running.url, { body: inText })).status).toBe(200)
  })

  test('an encoded body, whose size nobody knows, is refused', async () => {
    expect((await ask(running.url, { headers: { 'content-encoding': 'gzip' } })).status).toBe(415)
  })

  test.each([
    ['no HTTP at all', 'hello\r\n\r\n', 400],
    [
      'two lengths',
      'POST /v1/x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n',
      400,
    ],
    [
      'a length and chunks',
      'POST /v1/x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n',
      400,
    ],
    ['no host', 'GET /v1/models HTTP/1.1\r\n\r\n', 400],
    ['long headers', `GET /v1/models HTTP/1.1\r\nhost: localhost\r\nx: ${'x'.repeat(40_000)}\r\n\r\n`, 431],
  ])('%s is refused', async (_what, text, status) => {
    expect(await raw(text)).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
  })
})

test('what is read of a body is what JSON.parse reads', () => {
  const read = (text: string) => {
    const { model, stream } = shapeOf(Buffer.from(text))
    return { model, stream }
  }
  const bodies = [
    '{"model":"a","stream":true}',
    ' {\n "stream" : false , "model" : "b\\"c\\\\" }',
    '{"messages":[{"model":"no","stream":true}],"model":"é\\u00e9"}',
    '{"model":"first","model":"last"}',
    '{"mod\\u0065l":"hidden","stream":true}',
    '{"x":"\\\\","model":"a","y":"say \\"model\\":\\"b\\"","stream":true}',
    '{"model":5,"stream":"true"}',
    '{"a":{},"b":[],"c":null,"d":-1.5e3,"model":"z"}',
    '[1]',
    '{}',
  ]
  for (const text of bodies) {
    const { model, stream } = JSON.parse(text) as { model?: unknown; stream?: unknown }
    expect(read(text), text).toEqual({
      model: typeof model === 'string' ? model : undefined,
      stream: stream === true,
    })
  }
})

test('a key that a provider echoes is found in no answer', async () => {
  const gateway = await rig.gatewayOf({
    targets: [rig.targetOf({ headers: { 'x-proxy-token': 'canary-of-header' } })],
  })
  const words = `Incorrect API key provided: ${CANARY}, canary-of-header.`
  const replies = [
    { status: 401, body: { error: { message: words } }, headers: { 'x-request-id': CANARY } },
    { status: 400, body: words },
    { body: { text: words } },
    { frames: [`data: {"text":"${words}"}\n\n`] },
    { frames: [`data: {"error":{"message":"${words}"}}\n\n`] },
    { body: words, headers: { 'content-type': 'text/plain' } },
    { then: 'cut' as const },
    { status: 302, headers: { location: `http://${CANARY}/` } },
  ]
  for (const reply of replies) {
    rig.server.replies(reply)
    const answer = await ask(gateway.url, {
      body: { model: JSON.stringify(reply).slice(0, 20), stream: true },
    })
    expect(answer.text + JSON.stringify(answer.headers)).not.toMatch(/canary/i)
  }
  expect(rig.server.seen.some(({ headers }) => headers['x-proxy-token'] === 'canary-of-header')).toBe(true)
})
