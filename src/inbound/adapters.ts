// Adapters for each kind of server: a middleware for Node, a wrapper for fetch handlers, and a middleware for
// Hono.
//
// The types are structural. No framework is imported, not even for its types, and nothing requires Node.

import { headersOf, statusOf, type Verdict } from './decision.ts'
import type { Visitor, RequestLimiter } from './request-limiter.ts'

/** The parts of a request of `node:http`, Express or Connect that a guard reads. */
export interface NodeRequest {
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly socket: { readonly remoteAddress?: string | undefined; readonly destroyed?: boolean }
}

/** The parts of a response that a guard uses. */
export interface NodeResponse {
  statusCode: number
  readonly headersSent: boolean
  readonly destroyed?: boolean
  getHeader(name: string): unknown
  setHeader(name: string, value: string): unknown
  end(body: string): unknown
}

/** The parts of Hono's context that a guard uses. */
export interface HonoContext {
  readonly req: { readonly raw: Request }
  readonly env: unknown
  header(name: string, value: string, options: { append: true }): void
}

/** Resolves to whether the request may pass. If not, it has been answered. */
export async function throughNode<R>(
  limiter: RequestLimiter<R>,
  request: R & NodeRequest,
  response: NodeResponse,
): Promise<boolean> {
  const { headers, socket } = request
  const list = headers['x-forwarded-for']
  const forwarded = Array.isArray(list) ? list.join(',') : list
  // A client that has disconnected has no address, and needs no answer.
  if (socket.destroyed && socket.remoteAddress === undefined) return false
  const verdict = await limiter.admit({ request, peer: socket.remoteAddress, forwarded })
  if (response.headersSent || response.destroyed) return false
  if (!verdict) return true
  for (const [name, value] of headersOf(verdict)) {
    // Several guards in a row each add their items to the header lists.
    const before = name === 'Retry-After' ? undefined : response.getHeader(name)
    response.setHeader(name, typeof before === 'string' ? `${before}, ${value}` : value)
  }
  if (verdict.allowed) return true
  const { type, json } = limiter.bodyOf(verdict)
  response.statusCode = statusOf(verdict)
  response.setHeader('Content-Type', type)
  response.end(json)
  return false
}

/** Reports an error thrown by a user function. */
export function failed<R>(limiter: RequestLimiter<R>, response: NodeResponse, error: unknown): false {
  limiter.events.emit('error', { error, where: 'request' })
  if (response.headersSent || response.destroyed) return false
  response.statusCode = 500
  response.setHeader('Content-Type', 'application/problem+json')
  response.end('{"title":"Internal Server Error","status":500}')
  return false
}

/** `origin` is what the runtime passes next to the request. It contains the address. */
export function visitorOf<R>(request: R, raw: Request, origin: unknown): Visitor<R> {
  return {
    request,
    peer: peerOf(raw, origin),
    forwarded: raw.headers.get('x-forwarded-for') ?? undefined,
  }
}

export function refusalOf<R>(limiter: RequestLimiter<R>, verdict: Verdict, request: Request): Response {
  const { type, json } = limiter.bodyOf(verdict)
  return new Response(request.method === 'HEAD' ? null : json, {
    status: statusOf(verdict),
    headers: [['Content-Type', type], ...headersOf(verdict)],
  })
}

/** Adds headers to a response. The headers of a response from `fetch` are immutable, so such a response is copied. */
export function stamped(response: Response, verdict: Verdict): Response {
  const headers = headersOf(verdict)
  try {
    for (const [name, value] of headers) response.headers.append(name, value)
    return response
  } catch {
    // A protocol switch (101) cannot be copied.
    if (response.status < 200) return response
    const copy = new Response(response.body, response)
    for (const [name, value] of headers) copy.headers.append(name, value)
    return copy
  }
}

interface Origin {
  /** Deno. */
  remoteAddr?: { hostname?: string }
  /** Bun. */
  requestIP?: (request: Request) => { address: string } | null
  /** @hono/node-server. */
  incoming?: { socket?: { remoteAddress?: string } }
}

function peerOf(request: Request, origin: unknown): string | undefined {
  const { remoteAddr, requestIP, incoming } = Object(origin) as Origin
  if (typeof requestIP === 'function') return requestIP.call(origin, request)?.address
  return remoteAddr?.hostname ?? incoming?.socket?.remoteAddress
}
