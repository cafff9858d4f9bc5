// An error thrown by a user's `key` must not end the process, because `node:http` ignores the promise of a
// handler.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { guard } from 'llmiter/inbound'

test('a key that throws is a 500 and an event, and the next request goes through', async () => {
  const limit = guard({
    limit: '30 per 60s',
    key: (request: { headers: Record<string, unknown> }) => {
      if (request.headers['authorization'] === 'bad') throw new Error('bad token')
      return 'ann'
    },
  })
  const told: string[] = []
  limit.on('error', ({ error, where }) => told.push(`${where}: ${(error as Error).message}`))
  const server = createServer(async (request, response) => {
    if (await limit(request, response)) response.end('Hello')
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  try {
    const bad = await fetch(url, { headers: { authorization: 'bad' } })
    expect([bad.status, ((await bad.json()) as { status: number }).status]).toEqual([500, 500])
    const good = await fetch(url)
    expect([good.status, await good.text()]).toEqual([200, 'Hello'])
    expect(told).toEqual(['request: bad token'])
  } finally {
    server.closeAllConnections()
    await new Promise((closed) => server.close(closed))
  }
})

test('a next() that throws is an event and no unhandled rejection', async () => {
  const unhandled: unknown[] = []
  const hear = (error: unknown) => unhandled.push(error)
  process.on('unhandledRejection', hear)
  try {
    const limit = guard({ limit: '30 per 60s', key: () => 'ann' })
    const told: string[] = []
    limit.on('error', ({ error }) => told.push((error as Error).message))
    const response = { statusCode: 200, headersSent: false, getHeader() {}, setHeader() {}, end() {} }
    const passed = await limit({ headers: {}, socket: { remoteAddress: '1.2.3.4' } }, response, () => {
      throw new Error('next is broken')
    })
    await new Promise((resolve) => setImmediate(resolve))
    expect([passed, response.statusCode, told, unhandled]).toEqual([false, 500, ['next is broken'], []])
  } finally {
    process.off('unhandledRejection', hear)
  }
})

test('forwarded addresses from a peer that is not trusted are told once', async () => {
  const limit = guard({ limit: '30 per 60s' })
  const told: unknown[] = []
  limit.on('proxy', (event) => told.push(event))
  const response = { statusCode: 200, headersSent: false, getHeader() {}, setHeader() {}, end() {} }
  for (const forwarded of [undefined, '9.9.9.9', '8.8.8.8'])
    await limit(
      { headers: { 'x-forwarded-for': forwarded }, socket: { remoteAddress: '10.0.0.1' } },
      response,
    )
  expect(told).toEqual([{ guard: 'guard', peer: '10.0.0.1', header: 'X-Forwarded-For' }])
})
