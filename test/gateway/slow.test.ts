// Clients that are slow on purpose: they hold neither a connection nor memory for long.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import { type RunningGateway, startGateway } from '../../src/gateway/server.ts'
import { connection, type Rig, startRig, statusOf } from './rig.ts'

let rig: Rig
let running: RunningGateway
beforeAll(async () => {
  rig = await startRig()
  const timeouts = { headersMs: 300, bodyMs: 600, lookMs: 50 }
  running = await startGateway({ port: 0, targets: [rig.targetOf()] }, undefined, timeouts)
})
afterAll(async () => {
  await running.close()
  await rig.close()
})

const POST = 'POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n'

test('headers that never end, even when a byte comes now and then', async () => {
  const { socket, answer, closed } = connection(running.port)
  socket.write(POST)
  const drip = setInterval(() => socket.write('x'), 50)
  await closed
  clearInterval(drip)
  expect(answer()).toMatch(/^HTTP\/1\.1 408 /)
})

test('a body that never ends is not kept', async () => {
  const { socket, answer, closed } = connection(running.port)
  socket.write(`${POST}content-length: 1000\r\n\r\n{"model":`)
  await vi.waitFor(async () => expect((await statusOf(running.url)).bytesInHand).toBe(9))
  await closed
  expect(answer()).toMatch(/^HTTP\/1\.1 408 /)
  await vi.waitFor(async () =>
    expect(await statusOf(running.url)).toMatchObject({ bytesInHand: 0, inHand: 0 }),
  )
  expect(rig.server.seen).toEqual([])
})

test('a stream that nobody reads makes the provider wait, and is not heaped up', async () => {
  const ALL = 400
  const chunk = `data: {"x":"${'x'.repeat(256_000)}"}\n\n`
  let sent = 0
  const provider = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    const more = () => {
      while (sent < ALL) {
        sent++
        if (!response.write(chunk)) return
      }
      response.end()
    }
    response.on('drain', more)
    more()
  })
  await new Promise<void>((resolve) => provider.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void provider.close())
  const { port } = provider.address() as AddressInfo
  const gateway = await rig.gatewayOf({ targets: [rig.targetOf({ baseUrl: `http://127.0.0.1:${port}/v1` })] })
  const { socket } = connection(gateway.port)
  socket.pause()
  const body = '{"model":"m","stream":true}'
  socket.write(`${POST}content-length: ${body.length}\r\n\r\n${body}`)
  // It goes on until every buffer on the way is full, and no further.
  await vi.waitFor(
    async () => {
      const before = sent
      await new Promise((resolve) => setTimeout(resolve, 300))
      expect([before > 0, sent]).toEqual([true, before])
    },
    { timeout: 15_000 },
  )
  expect(sent).toBeLessThan(ALL / 2)
  // The text is not needed.
  socket.removeAllListeners('data').resume()
  await vi.waitFor(() => expect(sent).toBe(ALL), { timeout: 15_000 })
})
