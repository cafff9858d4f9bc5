// A provider on loopback with scripted answers, down to single frames, for the tests of SDKs.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Reply {
  status?: number
  headers?: Record<string, string>
  /** An object is sent as JSON, a text as it is. */
  body?: unknown
  /** Server-sent events, as they go over the wire. */
  frames?: readonly string[]
  /** Between the frames. Default 0: at once. */
  frameMs?: number
  /** Before the answer begins. */
  delayMs?: number
  /** What happens instead of a regular end: the connection is cut, or stays open forever. */
  then?: 'cut' | 'hang'
}

export interface Seen {
  method: string
  path: string
  headers: IncomingMessage['headers']
  body: Record<string, unknown>
  atMs: number
  /** The client has left before the answer was whole. */
  left: boolean
}

export interface Server {
  url: string
  readonly seen: Seen[]
  /** Replies to come, in order; the last one stays. */
  replies(...replies: (Reply | ((seen: Seen) => Reply))[]): void
  close(): Promise<void>
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

export async function startServer(): Promise<Server> {
  const seen: Seen[] = []
  let queue: (Reply | ((seen: Seen) => Reply))[] = []
  const server = createServer((request, response) => {
    void serve(request, response).catch(() => response.destroy())
  })

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const text = Buffer.concat(chunks).toString()
    const one: Seen = {
      method: request.method!,
      path: request.url!,
      headers: request.headers,
      body: text.startsWith('{') ? (JSON.parse(text) as Record<string, unknown>) : { text },
      atMs: performance.now(),
      left: false,
    }
    seen.push(one)
    response.on('close', () => (one.left ||= !response.writableFinished))
    const next = queue.length > 1 ? queue.shift()! : queue[0]!
    const {
      status = 200,
      headers,
      body,
      frames,
      frameMs,
      delayMs,
      then,
    } = typeof next === 'function' ? next(one) : next
    if (delayMs) await pause(delayMs)
    if (then === 'hang' && body === undefined && !frames) return
    if (then === 'cut' && body === undefined && !frames) return void request.socket.destroy()
    const type = frames ? 'text/event-stream; charset=utf-8' : 'application/json'
    response.writeHead(status, { 'content-type': type, ...headers })
    for (const frame of frames ?? []) {
      if (response.destroyed) return
      response.write(frame)
      if (frameMs) await pause(frameMs)
    }
    if (!frames)
      response.write(typeof body === 'string' ? body : body === undefined ? '' : JSON.stringify(body))
    if (then === 'cut') {
      await pause(5)
      response.destroy()
    } else if (then !== 'hang') response.end()
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    seen,
    replies(...replies) {
      queue = replies
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** Frames of server-sent events. */
export const sse = (...data: unknown[]): string[] =>
  data.map((one) => `data: ${typeof one === 'string' ? one : JSON.stringify(one)}\n\n`)

/** The same with the event's name, as Anthropic and the Responses API write them. */
export const named = (...data: { type: string }[]): string[] =>
  data.map((one) => `event: ${one.type}\ndata: ${JSON.stringify(one)}\n\n`)
