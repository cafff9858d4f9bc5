// Runs the gateway on a port.

import type { Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { text } from '../lib/validate.ts'
import { Gateway, type GatewayHooks } from './gateway.ts'
import { isLoopback } from './incoming.ts'
import { http } from './node-http.ts'
import type { GatewayOptions } from './options.ts'

/** A running gateway. */
export interface RunningGateway {
  readonly gateway: Gateway
  /** `http://127.0.0.1:8787` */
  readonly url: string
  readonly port: number
  /** Stops accepting calls, and resolves when the last one has ended: see `drain`. */
  drain(): Promise<void>
  /** Stops immediately and closes all connections. */
  close(): Promise<void>
}

/** How long a client may take to send a request, so that unfinished requests do not keep connections busy. */
interface RequestTimeouts {
  readonly headersMs: number
  readonly bodyMs: number
  /** How often connections are checked. */
  readonly lookMs: number
}

/** Enough for a body of 20 MB over a line of 2 Mbit/s. */
const TIMEOUTS: RequestTimeouts = { headersMs: 15_000, bodyMs: 90_000, lookMs: 5000 }
const IDLE_MS = 65_000
const MOST_HEADER_BYTES = 32_768

export async function startGateway(
  options: GatewayOptions,
  hooks?: GatewayHooks,
  { headersMs, bodyMs, lookMs } = TIMEOUTS,
): Promise<RunningGateway> {
  const { host = '127.0.0.1', port = 8787 } = options
  const store = options.redis && (await (await import('./shared-store.ts')).openStore(options.redis))
  const gateway = new Gateway(options, isLoopback(host), { ...hooks, store })
  if (!isLoopback(host) && !gateway.needsKeys) {
    store?.close()
    throw new TypeError(
      `host ${text(host)} can be reached from elsewhere, so programs need keys: llmiter keys add`,
    )
  }
  await gateway.ready()
  const server = http.createServer(
    {
      headersTimeout: headersMs,
      requestTimeout: bodyMs,
      connectionsCheckingInterval: lookMs,
      keepAliveTimeout: IDLE_MS,
      maxHeaderSize: MOST_HEADER_BYTES,
      noDelay: true,
    },
    (request, response) => gateway.handle(request, response),
  )
  // Requests may be pipelined, and each one listens to the connection.
  server.on('connection', (socket: Socket) => socket.setMaxListeners(0))
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => refuse(error, socket))
  await listen(server, port, host)
  const address = server.address() as AddressInfo
  const shown = address.family === 'IPv6' ? `[${address.address}]` : address.address
  const closed = new Promise<void>((resolve) => server.once('close', resolve))
  return {
    gateway,
    url: `http://${shown}:${address.port}`,
    port: address.port,
    async drain() {
      server.close()
      await gateway.drain()
      server.closeAllConnections()
      await closed
    },
    async close() {
      server.close()
      server.closeAllConnections()
      await closed
      gateway.close()
    },
  }
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.removeListener('error', reject)
      resolve()
    })
  })
}

const STATUS: Record<string, string> = {
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
}

/** Answers something that is not a valid request, or arrived too slowly. */
function refuse({ code = '' }: NodeJS.ErrnoException, socket: Socket): void {
  if (socket.writable)
    socket.write(`HTTP/1.1 ${STATUS[code] ?? '400 Bad Request'}\r\nConnection: close\r\n\r\n`)
  // Does not wait for the other side to close.
  socket.destroySoon()
}
