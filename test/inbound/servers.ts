// What the stories with real servers share: servers of the four kinds on loopback, and a reader of the headers.

import { createServer, request as httpRequest, type IncomingMessage, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type HttpBindings, serve } from '@hono/node-server'
import connect from 'connect'
import express from 'express'
import { Hono } from 'hono'
import { guard, type GuardOptions, type HonoContext, type NodeRequest } from 'llmiter/inbound'

export interface Running {
  readonly url: string
  /** How many requests got through to the handler. */
  passed(): number
  close(): Promise<void>
}

export async function listen(handler: RequestListener, host = '127.0.0.1'): Promise<Omit<Running, 'passed'>> {
  const server = createServer(handler)
  await new Promise<void>((resolve) => server.listen(0, host, resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${port}`,
    close: () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      return closed
    },
  }
}

type Options = Omit<GuardOptions, 'key' | 'skip'> & { byUser?: boolean; skipOptions?: boolean }

/** Options for a framework whose requests have headers and a method at these places. */
function optionsOf<R>(
  { byUser, skipOptions, ...options }: Options,
  user: (request: R) => string | undefined,
  method: (request: R) => string | undefined,
): GuardOptions<R> {
  return {
    ...(options as GuardOptions<R>),
    ...(byUser && { key: user }),
    ...(skipOptions && { skip: (request: R) => method(request) === 'OPTIONS' }),
  }
}

const forNode = (options: Options) =>
  optionsOf<NodeRequest & { method?: string | undefined }>(
    options,
    ({ headers }) => headers['x-user'] as string | undefined,
    ({ method }) => method,
  )

/** The same server, built in each way: `/chat` and `/images` with a guard each, `/free` with none. */
export const kinds: Record<string, (options: Options) => Promise<Running>> = {
  async 'node:http'(options) {
    const limits = { '/chat': guard(forNode(options)), '/images': guard(forNode(options)) }
    let passed = 0
    const server = await listen(async (request, response) => {
      const limit = limits[request.url as '/chat']
      if (limit && !(await limit(request, response))) return
      passed++
      response.end('hello')
    })
    return { ...server, passed: () => passed }
  },

  async Connect(options) {
    const app = connect()
    let passed = 0
    app.use('/chat', guard(forNode(options)))
    app.use('/images', guard(forNode(options)))
    app.use((_request, response) => {
      passed++
      response.end('hello')
    })
    return { ...(await listen(app)), passed: () => passed }
  },

  async Express(options) {
    const app = express()
    let passed = 0
    const hello: express.RequestHandler = (_request, response) => {
      passed++
      response.send('hello')
    }
    app.all('/chat', guard(forNode(options)), hello)
    app.all('/images', guard(forNode(options)), hello)
    app.all('/free', hello)
    return { ...(await listen(app)), passed: () => passed }
  },

  async Hono(options) {
    const app = new Hono<{ Bindings: HttpBindings }>()
    let passed = 0
    const limit = () =>
      guard(
        optionsOf<HonoContext>(
          options,
          ({ req }) => req.raw.headers.get('x-user') ?? undefined,
          ({ req }) => req.raw.method,
        ),
      )
    for (const path of ['/chat', '/images']) app.use(path, limit().hono)
    app.all('*', () => {
      passed++
      return new Response('hello')
    })
    const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' })
    await new Promise((resolve) =>
      server.listening ? resolve(undefined) : server.once('listening', resolve),
    )
    return {
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      passed: () => passed,
      close: () =>
        new Promise<void>((resolve) => {
          server.close(() => resolve())
          ;(server as ReturnType<typeof createServer>).closeAllConnections()
        }),
    }
  },
}

export interface Answer {
  status: number
  headers: IncomingMessage['headers']
  text: string
}

/** `fetch` normalises headers and takes no list of them. This client sends them as given. */
export function send(
  url: string,
  headers: Record<string, string | string[]> = {},
  method = 'GET',
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { method, headers }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
      response.on('end', () => resolve({ status: response.statusCode!, headers: response.headers, text }))
    })
    request.on('error', reject)
    request.end()
  })
}

/** A list of RFC 9651 whose items are strings with parameters that are integers; throws at anything else. */
export function readList(
  field: string | string[] | undefined | null,
): Record<string, Record<string, number>> {
  const found: Record<string, Record<string, number>> = {}
  let rest = String(field)
  for (;;) {
    const item = /^"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"((?:; *[a-z*][a-z0-9_.*-]*=\d{1,15})*)/.exec(
      rest,
    )
    if (!item) throw new Error(`no list of RFC 9651: ${field}`)
    const parameters = item[2]!
      .split(';')
      .slice(1)
      .map((each) => each.trim().split('='))
    found[item[1]!.replace(/\\(.)/g, '$1')] = Object.fromEntries(
      parameters.map(([key, value]) => [key, Number(value)]),
    )
    rest = rest.slice(item[0].length)
    if (rest === '') return found
    const comma = /^[ \t]*,[ \t]*/.exec(rest)
    if (!comma) throw new Error(`no list of RFC 9651: ${field}`)
    rest = rest.slice(comma[0].length)
  }
}
