// What the compiler must allow: the request of each framework, as its own type, reaches `key`, `skip` and `address`.

import { createServer, type IncomingMessage } from 'node:http'
import { createServer as createHttp2 } from 'node:http2'
import type { HttpBindings } from '@hono/node-server'
import connect from 'connect'
import express from 'express'
import { type Context, Hono } from 'hono'
import { expect, test } from 'vitest'
import { guard, type Verdict } from 'llmiter/inbound'

const limit = '30 per 60s'

test('a guard fits where it is put', () => {
  const app = express()
  app.use(guard({ limit }))
  app.get(
    '/:id',
    guard({ limit, key: (request: express.Request) => request.params['id'] as string }),
    (_, response) => {
      response.end()
    },
  )
  connect().use(guard({ limit, skip: (request: IncomingMessage) => request.method === 'OPTIONS' }))
  const node = guard({ limit, key: (request: IncomingMessage) => request.headers.authorization })
  createServer((request, response) => void node(request, response, () => response.end()))
  createHttp2((request, response) => void guard({ limit })(request, response, () => response.end()))

  type Env = { Bindings: HttpBindings; Variables: { user: { id: number } } }
  const hono = new Hono<Env>()
  hono.use(guard({ limit }).hono)
  hono.get('/', guard({ limit, key: (context: Context<Env>) => context.get('user').id }).hono, (context) =>
    context.text(''),
  )

  const fetching = guard({ limit, key: async (request: Request) => (await request.text()).length })
  const handler: (request: Request, context: { params: { id: string } }) => Promise<Response> =
    fetching.fetch((_request: Request, { params }: { params: { id: string } }) => new Response(params.id))
  expect(handler).toBeTypeOf('function')
  const forHono = guard({ limit, key: (context: Context) => context.req.path })
  createServer((request, response) => {
    // @ts-expect-error a context of Hono is no request of Node
    void forHono(request, response)
  })
  // @ts-expect-error options have names
  expect(() => guard({ limits: limit })).toThrow()
  expect(guard({ limit }).check('ann') satisfies Promise<Verdict>).toBeInstanceOf(Promise)
})
