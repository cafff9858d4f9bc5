// Clients that write HTTP by hand: whatever they send, nothing is left behind, and nothing goes on that should not.

import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import type { RunningGateway } from '../../src/gateway/server.ts'
import { ask, connection, type Rig, startRig, statusOf } from './rig.ts'

/** A loaded machine takes its time. */
vi.setConfig({ testTimeout: 20_000 })
const until = <T>(check: () => T | Promise<T>): Promise<T> => vi.waitFor(check, 15_000)

let rig: Rig
let running: RunningGateway
beforeAll(async () => {
  rig = await startRig()
  running = await rig.gatewayOf({
    targets: [
      rig.targetOf({ limits: { requestsPerMinute: 60_000 } }),
      rig.targetOf({ name: 'g', protocol: 'gemini', baseUrl: rig.server.url }),
    ],
  })
})
afterAll(() => rig.close())
beforeEach(() => {
  rig.server.seen.length = 0
  rig.server.replies({ body: { ok: true } })
})

const open = () => connection(running.port)

const BODY = '{"model":"m"}'
const post = (more = '', version = '1.1') =>
  `POST /v1/chat/completions HTTP/${version}\r\nhost: localhost\r\ncontent-type: application/json\r\n` +
  `content-length: ${BODY.length}\r\n${more}\r\n${BODY}`

test('requests that come before the answers to those ahead of them: none is left behind when the client leaves', async () => {
  rig.server.replies({ then: 'hang' })
  const { socket } = open()
  socket.write(post().repeat(20))
  await until(() => expect(rig.server.seen).toHaveLength(20))
  socket.destroy()
  await until(async () =>
    expect(await statusOf(running.url)).toMatchObject({ inHand: 0, waiting: 0, bytesInHand: 0 }),
  )
  await until(() => expect(rig.server.seen.every(({ left }) => left)).toBe(true))
})

test('requests that come together are answered in their order', async () => {
  rig.server.replies({ delayMs: 50, body: { n: 1 } }, { body: { n: 2 } })
  const { socket, answer } = open()
  socket.write(post() + post())
  await until(() => expect(answer()).toMatch(/\{"n":1\}HTTP\/1\.1 200 [^]*\{"n":2\}$/))
})

test('HTTP/1.0 gets an answer and the end of its connection', async () => {
  const { socket, answer, closed } = open()
  socket.write(post('', '1.0'))
  await closed
  expect(answer()).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\n\{"ok":true\}$/)
})

test('a client that asks whether it may go on may; another expectation is not met', async () => {
  const { socket, answer } = open()
  const [head, body] = post('expect: 100-continue\r\n').split('\r\n\r\n')
  socket.write(`${head}\r\n\r\n`)
  await until(() => expect(answer()).toBe('HTTP/1.1 100 Continue\r\n\r\n'))
  socket.write(body!)
  await until(() => expect(answer()).toContain('{"ok":true}'))
  const other = open()
  other.socket.write(post('expect: 200-ok\r\n'))
  await until(() => expect(other.answer()).toMatch(/^HTTP\/1\.1 417 /))
})

test('a body in chunks with trailers arrives whole, and without them', async () => {
  const { socket, answer } = open()
  socket.write(
    'POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n' +
      '6\r\n{"mode\r\n7;x=1\r\nl":"m"}\r\n0\r\nauthorization: Bearer evil\r\n\r\n',
  )
  await until(() => expect(answer()).toContain('{"ok":true}'))
  expect(rig.server.seen[0]).toMatchObject({ body: { model: 'm' } })
  expect(JSON.stringify(rig.server.seen[0]!.headers)).not.toContain('evil')
})

test.each([
  ['two lengths', 'content-length: 3\r\n'],
  ['a length and chunks', 'transfer-encoding: chunked\r\n'],
  ['chunks that are not the last coding', 'transfer-encoding: chunked, identity\r\n'],
  ['a folded header', 'x-a: 1\r\n content-length: 3\r\n'],
  ['a blank before the colon', 'content-length : 3\r\n'],
  ['a bare line feed in a header', 'x-a: 1\ncontent-length: 0\r\n'],
  ['a zero byte', 'x-a: \0\r\n'],
])('%s: two programs could read that differently, so it is refused', async (_what, header) => {
  const { socket, answer, closed } = open()
  socket.write(post(header))
  await closed
  expect(answer()).toMatch(/^HTTP\/1\.1 400 /)
  expect(rig.server.seen).toEqual([])
})

test.each([
  ['GET http://localhost/v1/models HTTP/1.1', 400],
  ['GET //localhost/v1/models HTTP/1.1', 400],
  ['GET /v1/..%2fmodels HTTP/1.1', 400],
  ['GET /v1/%2e%2e/models HTTP/1.1', 400],
  ['GET /v1/models%5c..%5cx HTTP/1.1', 400],
  ['GET /v1/%252e%252e/models HTTP/1.1', 400],
  ['GET /v1/..;/models HTTP/1.1', 400],
  ['GET * HTTP/1.1', 400],
  ['OPTIONS * HTTP/1.1', 405],
  ['TRACE /v1/models HTTP/1.1', 405],
  ['CONNECT localhost:80 HTTP/1.1', undefined],
  ['GET /v1/realtime HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket', 501],
])('%s is refused', async (line, status) => {
  const { socket, answer, closed } = open()
  socket.write(`${line}\r\nhost: localhost\r\n\r\n`)
  socket.once('data', () => socket.end())
  await closed
  expect(answer()).toMatch(status === undefined ? /^$/ : new RegExp(`^HTTP/1\\.1 ${status} `))
  expect(rig.server.seen).toEqual([])
})

test.each(['x-portkey-custom-host', 'x-portkey-forward-headers'])('%s of a client is a 400', async (name) => {
  const answer = await ask(running.url, { headers: { [name]: 'evil.example' } })
  expect([answer.status, answer.headers['x-llmiter-error']]).toEqual([400, 'not_served'])
  expect(answer.text).toContain(name)
})

test('an offer of HTTP/2 is passed over', async () => {
  const { socket, answer } = open()
  socket.write(
    post(
      'connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n',
    ),
  )
  await until(() => expect(answer()).toMatch(/^HTTP\/1\.1 200 /))
})

test('headers that are too large are a 431', async () => {
  const { socket, answer, closed } = open()
  socket.write(post(`x-a: ${'x'.repeat(40_000)}\r\n`))
  await closed
  expect(answer()).toMatch(/^HTTP\/1\.1 431 /)
})

test('a client that leaves in mid-body leaves nothing behind, and does not count as a failure of the provider', async () => {
  const { socket } = open()
  socket.write(post().replace(`content-length: ${BODY.length}`, 'content-length: 1000'))
  await until(async () => expect((await statusOf(running.url)).bytesInHand).toBe(BODY.length))
  socket.destroy()
  await until(async () => expect(await statusOf(running.url)).toMatchObject({ inHand: 0, bytesInHand: 0 }))
  expect((await statusOf(running.url)).counts.refused).not.toHaveProperty('upstream_failed')
})

describe('credentials of a client go no further, however they are written', () => {
  test.each([
    'key=SECRET&alt=sse',
    '%6bey=SECRET&alt=sse',
    'alt=sse&KEY=SECRET',
    'alt=sse&access_token=SECRET',
    'alt=sse&oauth%5Ftoken=SECRET',
    'alt=sse&api-key=SECRET&apikey=SECRET',
    'alt=sse&%24httpHeaders=authorization:SECRET',
    'alt=sse&k%65y=SECRET&+key=SECRET',
  ])('?%s', async (query) => {
    await ask(running.url, { path: `/v1beta/models/m:streamGenerateContent?${query}` })
    expect(rig.server.seen[0]!.path).toBe('/v1beta/models/m:streamGenerateContent?alt=sse')
  })

  test('in headers', async () => {
    const names = [
      'api-key',
      'x-api-key',
      'x-goog-api-key',
      'x-auth-token',
      'proxy-authorization',
      'cookie',
      'openai-organization',
    ]
    await ask(running.url, {
      headers: {
        authorization: 'Bearer SECRET',
        ...Object.fromEntries(names.map((name) => [name, 'SECRET'])),
      },
    })
    expect(JSON.stringify(rig.server.seen)).not.toContain('SECRET')
  })

  test('other parts of a query pass as they are', async () => {
    await ask(running.url, { path: '/v1/models?pageToken=a%20b&tokens=5&monkey=c', method: 'GET' })
    expect(rig.server.seen[0]!.path).toBe('/v1/models?pageToken=a%20b&tokens=5&monkey=c')
  })
})

test.each([
  ['2s', 200],
  ['500ms', 200],
  ['1.5s', 200],
  ['2 m', 200],
  ['1500', 200],
  ['0', 200],
  ['99999999999d', 200],
  ['', 200],
  ['-1s', 400],
  ['1e3', 400],
  ['2S', 400],
  ['soon', 400],
  ['Infinity', 400],
  ['NaN', 400],
  ['2s, 2s', 400],
  ['0x10', 400],
])('x-llmiter-max-wait: %s is a %i', async (wait, status) => {
  const answer = await ask(running.url, { headers: { 'x-llmiter-max-wait': wait } })
  expect(answer.status).toBe(status)
  if (status === 400)
    expect(answer.json()['error']!['message']).toContain(`x-llmiter-max-wait must be a time such as '2s'`)
})
