// The errors of a call: the gateway's own, or the provider's.

import type { IncomingHttpHeaders } from 'node:http'

/** An error of the gateway itself. */
export class GatewayError extends Error {
  readonly status: number
  readonly code: string
  readonly retryAfterMs: number | undefined
  /** `false`: an SDK should not retry. */
  readonly mayRetry: boolean

  constructor(
    status: number,
    code: string,
    message: string,
    more: { retryAfterMs?: number | undefined; mayRetry?: boolean; cause?: unknown } = {},
  ) {
    super(message, { cause: more.cause })
    this.status = status
    this.code = code
    this.retryAfterMs = more.retryAfterMs
    this.mayRetry = more.mayRetry ?? true
  }
}

/** The connection to the provider was lost. */
export class BrokenError extends Error {
  /** The code that limiters recognise. */
  readonly code = 'ECONNRESET'

  constructor(message = 'the provider broke the connection') {
    super(message)
  }
}

/** Converts an error of a connection, or of its data, into a lost connection. */
export function brokenBy(error: NodeJS.ErrnoException): Error {
  if (/^Z_|^ERR__ERROR_|^ERR_PADDING/.test(error.code ?? ''))
    return new BrokenError('the provider has sent what cannot be decoded')
  return error.code === 'ECONNRESET' ? new BrokenError() : error
}

/** The provider answered with an error. A limiter reads `status`, `headers` and `error`. The client gets `passed`. */
export class UpstreamError extends Error {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly error: unknown
  /** Whether the route tries another target after it. */
  goesOn = false
  /** The part passed to the client. */
  readonly passed: { readonly headers: Record<string, string | string[] | number>; readonly content: Buffer }

  constructor(
    status: number,
    headers: UpstreamError['headers'],
    passed: UpstreamError['passed'],
    error: unknown,
  ) {
    super(`the provider answered with ${status}`)
    this.status = status
    this.headers = headers
    this.passed = passed
    this.error = error
  }
}
