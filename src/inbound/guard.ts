// `guard`: limits requests to your own endpoint, for any kind of server.

import {
  type HonoContext,
  failed,
  type NodeRequest,
  type NodeResponse,
  refusalOf,
  stamped,
  throughNode,
  visitorOf,
} from './adapters.ts'
import { GUARD_EVENTS, type GuardEvent, type GuardEventName } from './events.ts'
import { callable, choice } from '../lib/validate.ts'
import type { GuardOptions } from './options.ts'
import { headersOf, type Verdict } from './decision.ts'
import { RequestLimiter } from './request-limiter.ts'

/** A middleware for Node servers, with methods for other servers. */
export interface Guard<R = unknown> {
  /**
   * Express, Connect: `app.post('/chat', limit, chat)`. `node:http`: `if (await limit(request, response)) …`.
   * Resolves to whether the request may pass. If not, it has already been answered.
   */
  (request: R & NodeRequest, response: NodeResponse, next?: (error?: unknown) => void): Promise<boolean>
  /** Wraps a fetch handler: Next, Cloudflare Workers, Deno, Bun. */
  fetch<Q extends R & Request, A extends unknown[]>(
    handler: (request: Q, ...rest: A) => Response | Promise<Response>,
  ): (request: Q, ...rest: A) => Promise<Response>
  /** For Hono: `app.post('/chat', limit.hono, chat)`. */
  readonly hono: (context: R & HonoContext, next: () => Promise<void>) => Promise<Response | void>
  /** For anything that is not an HTTP request, such as a WebSocket message or a job. Counts it if it is allowed. */
  check(key: string | number): Promise<Verdict>
  /** Listens to an event. Returns a function that removes the listener. */
  on<E extends GuardEventName>(event: E, listener: (event: GuardEvent<E>) => void): () => void
}

/**
 * Allows at most this many requests per client in any window. Answers the others with 429, `Retry-After`,
 * `RateLimit` and `RateLimit-Policy`. Rejected requests do not count. Each guard counts separately.
 *
 * @example
 * app.post('/chat', guard({ limit: '30 per 60s', key: (request: Request) => request.user.id }), chat)
 * app.post('/images', guard({ limit: ['15 per 60s', '200 per day'] }), images)
 *
 * @throws TypeError when an option is unknown or out of range. The error names the option, its value and what is
 * allowed.
 */
export function guard<R = unknown>(options: GuardOptions<R>): Guard<R> {
  const limiter = new RequestLimiter(options)

  const node = (request: R & NodeRequest, response: NodeResponse, next?: (error?: unknown) => void) => {
    const passed = throughNode(limiter, request, response)
    // `node:http` ignores what its handler returns, so a rejection would end the process.
    if (!next) return passed.catch((error: unknown) => failed(limiter, response, error))
    const handedOn = passed.then(
      (goes) => {
        if (goes) next()
        return goes
      },
      (error: unknown) => {
        next(error)
        return false
      },
    )
    // This promise is also ignored, so a `next` that throws must not cause an unhandled rejection.
    return handedOn.catch((error: unknown) => failed(limiter, response, error))
  }

  return Object.assign(node, {
    fetch<Q extends R & Request, A extends unknown[]>(
      handler: (request: Q, ...rest: A) => Response | Promise<Response>,
    ) {
      return async (request: Q, ...rest: A): Promise<Response> => {
        const verdict = await limiter.admit(visitorOf(request, request, rest[0]))
        if (!verdict) return handler(request, ...rest)
        if (!verdict.allowed) return refusalOf(limiter, verdict, request)
        const response = await handler(request, ...rest)
        // Bun's handlers return nothing after an upgrade to a WebSocket.
        return response && stamped(response, verdict)
      }
    },
    hono: async (context: R & HonoContext, next: () => Promise<void>): Promise<Response | void> => {
      const verdict = await limiter.admit(visitorOf(context, context.req.raw, context.env))
      if (!verdict) return next()
      if (!verdict.allowed) return refusalOf(limiter, verdict, context.req.raw)
      await next()
      for (const [name, value] of headersOf(verdict)) context.header(name, value, { append: true })
    },
    check: (key: string | number) => limiter.check(key),
    on<E extends GuardEventName>(event: E, listener: (event: GuardEvent<E>) => void) {
      choice(event, 'event', GUARD_EVENTS, { refuse: '429 limit limited reject', full: 'maxkeys' })
      callable(listener, 'listener')
      return limiter.events.on(event, listener)
    },
  })
}
