// The doors: one guard as a middleware of Node's servers, around fetch handlers, and in Hono.
//
// The shapes are structural: no framework is imported, not even for its types, and a runtime without Node has none of
// Node's.

import { headersOf, statusOf, type Verdict } from './decision.ts'
import type { Visitor, Warden } from './request-limiter.ts'

/** What is used of the request of `node:http`, Express or Connect. */
export interface NodeRequest {
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly socket: { readonly remoteAddress?: string | undefined; readonly destroyed?: boolean }
}

/** What is used of the response. */
export interface NodeResponse {
  statusCode: number
  readonly headersSent: boolean
  readonly destroyed?: boolean
  getHeader(name: string): unknown
  setHeader(name: string, value: string): unknown
  end(body: string): unknown
}

/** What is used of the context of Hono. */
export interface HonoContext {
  readonly req: { readonly raw: Request }
  readonly env: unknown
  header(name: string, value: string, options: { append: true }): void
}

/** Resolves to whether the request may go on; if not, it has been answered. */
export async function throughNode<R>(
  warden: Warden<R>,
  request: R & NodeRequest,
  response: NodeResponse,
): Promise<boolean> {
  const { headers, socket } = request
  const list = headers['x-forwarded-for']
  const forwarded = Array.isArray(list) ? list.join(',') : list
  // Whoever has hung up has no address any more, and needs no answer.
  if (socket.destroyed && socket.remoteAddress === undefined) return false
  const verdict = await warden.admit({ request, peer: socket.remoteAddress, forwarded })
  if (response.headersSent || response.destroyed) return false
  if (!verdict) return true
  for (const [name, value] of headersOf(verdict)) {
    // Guards in a row all have their items in the lists.
    const before = name === 'Retry-After' ? undefined : response.getHeader(name)
    response.setHeader(name, typeof before === 'string' ? `${before}, ${value}` : value)
  }
  if (verdict.allowed) return true
  const { type, json } = warden.bodyOf(verdict)
  response.statusCode = statusOf(verdict)
  response.setHeader('Content-Type', type)
  response.end(json)
  return false
}

/** Something of the user's threw. */
export function failed<R>(warden: Warden<R>, response: NodeResponse, error: unknown): false {
  warden.events.emit('error', { error, where: 'request' })
  if (response.headersSent || response.destroyed) return false
  response.statusCode = 500
  response.setHeader('Content-Type', 'application/problem+json')
  response.end('{"title":"Internal Server Error","status":500}')
  return false
}

/** `origin` is what the runtime gives beside the request: it knows the address. */
export function visitorOf<R>(request: R, raw: Request, origin: unknown): Visitor<R> {
  return {
    request,
    peer: peerOf(raw, origin),
    forwarded: raw.headers.get('x-forwarded-for') ?? undefined,
  }
}

export function refusalOf<R>(warden: Warden<R>, verdict: Verdict, request: Request): Response {
  const { type, json } = warden.bodyOf(verdict)
  return new Response(request.method === 'HEAD' ? null : json, {
    status: statusOf(verdict),
    headers: [['Content-Type', type], ...headersOf(verdict)],
  })
}

/** Answers that came from elsewhere have headers that cannot be changed: those are copied. */
export function stamped(response: Response, verdict: Verdict): Response {
  const headers = headersOf(verdict)
  try {
    for (const [name, value] of headers) response.headers.append(name, value)
    return response
  } catch {
    // A switch of protocols (101) cannot be copied.
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
