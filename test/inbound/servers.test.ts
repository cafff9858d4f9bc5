// Real servers on loopback, in real time: so the windows are long, and nothing leaves them while a test runs.

import { Agent, request as httpRequest } from 'node:http'
import { connect as tcp } from 'node:net'
import express from 'express'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { guard } from 'llmiter/inbound'
import { kinds, listen, readList, type Running, send } from './servers.ts'

describe.each(Object.keys(kinds))('%s', (kind) => {
  let server: Running | undefined
  const start = async (...[options]: Parameters<(typeof kinds)[string]>) =>
    (server = await kinds[kind]!(options))
  afterEach(() => server?.close())

  test('lets the limit pass, and answers the others with all that they need to know', async () => {
    const { url, passed } = await start({
      limit: ['3 per 60s', { amount: 1000, per: '1d', name: 'a "day"' }],
    })
    for (let i = 1; i <= 3; i++) {
      const { status, text, headers } = await send(`${url}/chat`)
      expect([status, text]).toEqual([200, 'hello'])
      expect(readList(headers['ratelimit'])).toEqual({
        '3 per 60s': { r: 3 - i, t: 60 },
        'a "day"': { r: 1000 - i, t: 86_400 },
      })
      expect(headers['retry-after']).toBeUndefined()
    }
    const { status, text, headers } = await send(`${url}/chat`)
    expect(status).toBe(429)
    expect(headers['retry-after']).toBe('60')
    expect(readList(headers['ratelimit'])).toMatchObject({
      '3 per 60s': { r: 0, t: 60 },
      'a "day"': { r: 997 },
    })
    expect(readList(headers['ratelimit-policy'])).toEqual({
      '3 per 60s': { q: 3, w: 60 },
      'a "day"': { q: 1000, w: 86_400 },
    })
    expect(headers['content-type']).toBe('application/problem+json')
    expect(JSON.parse(text)).toEqual({
      type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
      title: 'Too Many Requests',
      status: 429,
      detail: 'The limit is 3 per 60s; try again in 60 s.',
      'violated-policies': ['3 per 60s'],
    })
    expect(passed()).toBe(3)
  })

  test('counts routes apart, and what has no guard not at all', async () => {
    const { url } = await start({ limit: '2 per 60s' })
    const statuses = []
    for (const path of [
      '/chat',
      '/chat',
      '/chat',
      '/images',
      '/images',
      '/images',
      '/free',
      '/free',
      '/free',
    ])
      statuses.push((await send(url + path)).status)
    expect(statuses).toEqual([200, 200, 429, 200, 200, 429, 200, 200, 200])
  })

  // The counting is the same behind every adapter; so most of the requests come by one of them.
  const clients = kind === 'node:http' ? 1000 : 100

  test(`${clients} clients at once, each twenty times: not one too many, not one too few`, async () => {
    const { url, passed } = await start({ limit: '5 per 10m', byUser: true })
    const agent = new Agent({ keepAlive: true, maxSockets: 100 })
    const ask = (user: string) =>
      new Promise<number>((resolve, reject) => {
        const request = httpRequest(`${url}/chat`, { agent, headers: { 'x-user': user } }, (response) => {
          response.resume().on('end', () => resolve(response.statusCode!))
        })
        request.on('error', reject).end()
      })
    const asked = Array.from({ length: 20 }, () =>
      Array.from({ length: clients }, (_, i) => ask(`user ${i}`)),
    )
    const statuses = await Promise.all(asked.flat())
    agent.destroy()
    const allowed = new Map<number, number>()
    statuses.forEach((status, i) => {
      if (status === 200) allowed.set(i % clients, (allowed.get(i % clients) ?? 0) + 1)
    })
    expect([...new Set(allowed.values())]).toEqual([5])
    expect(allowed.size).toBe(clients)
    expect(passed()).toBe(5 * clients)
    expect(statuses.filter((status) => status === 429).length).toBe(15 * clients)
  }, 60_000)

  test.each<[name: string, headers: Record<string, string | string[]>]>([
    ['a list', { 'X-Forwarded-For': '6.6.6.6, 7.7.7.7' }],
    ['another casing', { 'x-FORWARDED-for': '6.6.6.7' }],
    ['several of them', { 'X-Forwarded-For': ['6.6.6.6', '8.8.8.8'] }],
    ['a zone', { 'X-Forwarded-For': 'fe80::1%lo' }],
    ['garbage', { 'X-Forwarded-For': '\t,,;"[::' }],
    ['other headers', { 'X-Real-IP': '6.6.6.6', Forwarded: 'for=6.6.6.6', 'CF-Connecting-IP': '6.6.6.6' }],
  ])('does not trust %s', async (_, headers) => {
    const { url } = await start({ limit: '1 per 60s' })
    expect((await send(`${url}/chat`)).status).toBe(200)
    expect((await send(`${url}/chat`, headers)).status).toBe(429)
  })

  test('knows clients behind a trusted proxy, and only by what the proxy wrote', async () => {
    const { url } = await start({ limit: '1 per 60s', trustProxy: ['127.0.0.0/8'] })
    const from = async (list: string | string[]) =>
      (await send(`${url}/chat`, { 'X-Forwarded-For': list })).status
    expect(await from('1.1.1.1')).toBe(200)
    expect(await from('2.2.2.2')).toBe(200)
    expect(await from('6.6.6.6, 1.1.1.1')).toBe(429)
    expect(await from(['6.6.6.6', '2.2.2.2'])).toBe(429)
    expect(await from('::ffff:1.1.1.1')).toBe(429)
    expect(await from('2001:db8::1')).toBe(200)
    expect(await from('2001:db8::2')).toBe(429)
  })

  test('counts all methods alike, answers HEAD without a body, and skips what it is told to', async () => {
    const { url } = await start({ limit: '2 per 60s', skipOptions: true })
    for (let i = 0; i < 5; i++) {
      const { status, headers } = await send(`${url}/chat`, {}, 'OPTIONS')
      expect([status, headers['ratelimit']]).toEqual([200, undefined])
    }
    expect((await send(`${url}/chat`, {}, 'HEAD')).status).toBe(200)
    expect((await send(`${url}/chat`, {}, 'POST')).status).toBe(200)
    const { status, text, headers } = await send(`${url}/chat`, {}, 'HEAD')
    expect([status, text, headers['retry-after']]).toEqual([429, '', '60'])
  })

  test('keeps the connection of a refused client', async () => {
    const { url } = await start({ limit: '1 per 60s' })
    const socket = tcp(Number(new URL(url).port), '127.0.0.1')
    let heard = ''
    socket.setEncoding('utf8').on('data', (chunk: string) => (heard += chunk))
    for (let i = 0; i < 3; i++) socket.write('GET /chat HTTP/1.1\r\nHost: a\r\n\r\n')
    await expect
      .poll(() => heard.match(/HTTP\/1\.1 \d+/g))
      .toEqual(['HTTP/1.1 200', 'HTTP/1.1 429', 'HTTP/1.1 429'])
    expect(socket.closed).toBe(false)
    socket.destroy()
  })

  test('answers in words of yours', async () => {
    const { url } = await start({
      limit: '1 per 60s',
      body: ({ retryAfterMs }) => ({ slow: 'down', retryAfterMs }),
    })
    await send(`${url}/chat`)
    const { text, headers } = await send(`${url}/chat`)
    expect(headers['content-type']).toBe('application/json')
    expect(JSON.parse(text)).toMatchObject({
      slow: 'down',
      retryAfterMs: expect.closeTo(60_000, -4) as number,
    })
  })
})

describe('a guard', () => {
  let close: (() => Promise<void>)[] = []
  beforeEach(() => {
    close = []
  })
  afterEach(() => Promise.all(close.map((each) => each())))
  const serve = async (...args: Parameters<typeof listen>) => {
    const server = await listen(...args)
    close.push(server.close)
    return server
  }

  test('before another one: both have their items in the headers, and the first refusal stands', async () => {
    const app = express()
    app.use(guard({ limit: '3 per 60s' }))
    app.get('/chat', guard({ limit: '1 per 1h' }), (_, response) => void response.send('hello'))
    const { url } = await serve(app)
    const first = await send(`${url}/chat`)
    expect(readList(first.headers['ratelimit'])).toEqual({
      '3 per 60s': { r: 2, t: 60 },
      '1 per 1h': { r: 0, t: 3600 },
    })
    expect(Object.keys(readList(first.headers['ratelimit-policy']))).toEqual(['3 per 60s', '1 per 1h'])
    expect((await send(`${url}/chat`)).headers['retry-after']).toBe('3600')
    await send(`${url}/chat`)
    expect((await send(`${url}/chat`)).headers['retry-after']).toBe('60')
  })

  test('by method, where each has its own', async () => {
    const app = express()
    app.get('/chat', guard({ limit: '2 per 60s' }), (_, response) => void response.send('read'))
    app.post('/chat', guard({ limit: '1 per 60s' }), (_, response) => void response.send('said'))
    const { url } = await serve(app)
    const statuses = []
    for (const method of ['POST', 'POST', 'GET', 'GET', 'GET'])
      statuses.push((await send(`${url}/chat`, {}, method)).status)
    expect(statuses).toEqual([200, 429, 200, 200, 429])
  })

  test('knows an IPv6 client, and IPv4 that comes by IPv6', async () => {
    const keys: string[] = []
    const limit = guard({ limit: '1 per 60s', hashKeys: false })
    limit.on('refuse', ({ key }) => keys.push(key))
    const { url } = await serve(async (request, response) => {
      if (await limit(request, response)) response.end()
    }, '::')
    const { port } = new URL(url)
    for (const host of ['[::1]', '[::1]', '127.0.0.1', '127.0.0.1']) await send(`http://${host}:${port}/`)
    expect(keys).toEqual(['0:0:0:0::/64', '127.0.0.1'])
  })

  test('hands what `key`, `skip` and `address` throw to the framework; the request does not pass', async () => {
    const broken = () => {
      throw new Error('broken')
    }
    const app = express()
    app.get('/key', guard({ limit: '1 per 60s', key: broken }), (_, response) => void response.send('in'))
    app.get(
      '/skip',
      guard({ limit: '1 per 60s', skip: async () => broken() }),
      (_, response) => void response.send('in'),
    )
    app.get(
      '/null',
      guard({ limit: '1 per 60s', key: () => null as never }),
      (_, response) => void response.send('in'),
    )
    app.get(
      '/address',
      guard({ limit: '1 per 60s', address: () => 'here' }),
      (_, response) => void response.send('in'),
    )
    const errors: string[] = []
    app.use(((error: Error, _request, response, _next) => {
      errors.push(error.message)
      response.status(500).send('out')
    }) as express.ErrorRequestHandler)
    const { url } = await serve(app)
    for (const path of ['key', 'skip', 'null', 'address'])
      expect((await send(`${url}/${path}`)).status).toBe(500)
    expect(errors).toEqual([
      'broken',
      'broken',
      'key must be a non-empty string or a number, got null',
      `guard: address must be an IP address, got 'here'`,
    ])
  })

  test('does no work for a client that has hung up meanwhile', async () => {
    let release!: (user: string) => void
    const asked = new Promise<void>((seen) => {
      const limit = guard({
        limit: '1 per 60s',
        key: () => {
          seen()
          return new Promise<string>((resolve) => (release = resolve))
        },
      })
      void serve(async (request, response) => {
        response.on('close', () => release('ann'))
        results.push(await limit(request, response))
      }).then(({ url }) => {
        const request = httpRequest(url).on('error', () => {})
        request.end()
        void asked.then(() => request.destroy())
      })
    })
    const results: boolean[] = []
    await expect.poll(() => results).toEqual([false])
  })
})
