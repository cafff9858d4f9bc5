// Fetch handlers: runtimes pass the address next to the request, and the responses of handlers may be immutable.

import { describe, expect, test } from 'vitest'
import { guard } from 'llmiter/inbound'
import { VirtualClock } from 'llmiter/testing'
import { readList } from './servers.ts'

const url = 'http://localhost/chat'
const hello = () => new Response('hello')
const rig = (more: object = {}) => guard({ limit: '2 per 60s', clock: new VirtualClock(), ...more })

describe('a fetch handler', () => {
  test.each<[runtime: string, origin: (address: string) => unknown]>([
    ['Deno', (hostname) => ({ remoteAddr: { transport: 'tcp', hostname, port: 5 } })],
    ['Bun', (address) => ({ requestIP: () => ({ address, port: 5, family: 'IPv4' }) })],
  ])('on %s knows who is connected', async (_, origin) => {
    const handler = rig().fetch((_request: Request, _origin: unknown) => hello())
    const ask = async (address: string) => (await handler(new Request(url), origin(address))).status
    expect([await ask('1.1.1.1'), await ask('1.1.1.1'), await ask('1.1.1.1')]).toEqual([200, 200, 429])
    expect(await ask('2.2.2.2')).toBe(200)
  })

  test('on Workers is told where the address is', async () => {
    const limit = rig({ address: (request: Request) => request.headers.get('cf-connecting-ip') ?? undefined })
    const handler = limit.fetch(hello)
    const ask = async (address: string) =>
      (await handler(new Request(url, { headers: { 'CF-Connecting-IP': address } }))).status
    expect([await ask('2001:db8::1'), await ask('2001:db8::2'), await ask('2001:db8::3')]).toEqual([
      200, 200, 429,
    ])
    expect(await ask('2001:db8:0:1::1')).toBe(200)
  })

  test('rejects requests with an unknown address, and reports that', async () => {
    await expect(rig().fetch(hello)(new Request(url))).rejects.toThrow(/give `key` or `address`/)
    await expect(rig({ trustProxy: 1 }).fetch(hello)(new Request(url))).rejects.toThrow(/trustProxy: 1/)
  })

  test('keeps its arguments and its answer', async () => {
    const limit = guard({
      limit: '2 per 60s',
      key: (request: Request) => request.headers.get('x-user') ?? undefined,
    })
    const handler = limit.fetch(async (request: Request, context: { params: { id: string } }) => {
      return Response.json({ id: context.params.id, method: request.method }, { status: 201 })
    })
    const response = await handler(new Request(url, { method: 'POST', headers: { 'x-user': 'ann' } }), {
      params: { id: '7' },
    })
    expect(response.status).toBe(201)
    expect(await response.json()).toEqual({ id: '7', method: 'POST' })
    expect(readList(response.headers.get('ratelimit'))).toEqual({ '2 per 60s': { r: 1, t: 60 } })
  })

  test('may answer with what has frozen headers, and keeps those that are there', async () => {
    const frozen = rig({ key: () => 'ann' }).fetch(() => Response.redirect('http://localhost/other', 307))
    const response = await frozen(new Request(url))
    expect([response.status, response.headers.get('location')]).toEqual([307, 'http://localhost/other'])
    expect(readList(response.headers.get('ratelimit'))).toEqual({ '2 per 60s': { r: 1, t: 60 } })

    const outer = rig({ limit: '9 per 1h', key: () => 'ann' })
    const both = outer.fetch(rig({ key: () => 'ann' }).fetch(hello))
    expect(Object.keys(readList((await both(new Request(url))).headers.get('ratelimit')))).toEqual([
      '2 per 60s',
      '9 per 1h',
    ])
  })

  test('may answer nothing, as after an upgrade in Bun', async () => {
    const handler = rig({ key: () => 'ann' }).fetch(() => undefined as unknown as Response)
    expect(await handler(new Request(url))).toBeUndefined()
  })

  test('refuses HEAD without a body, and passes on what it throws', async () => {
    const handler = rig({ key: () => 'ann' }).fetch(() => {
      throw new Error('mine')
    })
    for (let i = 0; i < 2; i++) await expect(handler(new Request(url))).rejects.toThrow('mine')
    const response = await handler(new Request(url, { method: 'HEAD' }))
    expect([response.status, response.body, response.headers.get('retry-after')]).toEqual([429, null, '60'])
  })

  test('is not counted when it is skipped', async () => {
    const handler = rig({ key: () => 'ann', skip: ({ method }: Request) => method === 'OPTIONS' }).fetch(
      hello,
    )
    for (let i = 0; i < 5; i++) {
      const response = await handler(new Request(url, { method: 'OPTIONS' }))
      expect([response.status, response.headers.get('ratelimit')]).toEqual([200, null])
    }
    expect((await handler(new Request(url))).status).toBe(200)
  })

  test('a user whose name is an address is not that address', async () => {
    const limit = guard({
      limit: '1 per 60s',
      key: (request: Request) => request.headers.get('x-user') ?? undefined,
      address: () => '1.1.1.1',
    })
    const handler = limit.fetch(hello)
    expect((await handler(new Request(url, { headers: { 'x-user': '1.1.1.1' } }))).status).toBe(200)
    expect((await handler(new Request(url))).status).toBe(200)
    expect((await handler(new Request(url, { headers: { 'x-user': '' } }))).status).toBe(429)
  })
})
