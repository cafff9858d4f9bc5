// How a call fails: by the gateway's own word, or by its provider's.

import type { IncomingHttpHeaders } from 'node:http'

/** The gateway's own answer. */
export class GatewayError extends Error {
  readonly status: number
  readonly code: string
  readonly retryAfterMs: number | undefined
  /** `false`: an SDK need not try again. */
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

/** The connection to the provider is lost. */
export class BrokenError extends Error {
  /** By which a limiter knows it. */
  readonly code = 'ECONNRESET'

  constructor(message = 'the provider broke the connection') {
    super(message)
  }
}

/** An error of a connection, or of what came over it, as the loss that it is. */
export function brokenBy(error: NodeJS.ErrnoException): Error {
  if (/^Z_|^ERR__ERROR_|^ERR_PADDING/.test(error.code ?? ''))
    return new BrokenError('the provider has sent what cannot be decoded')
  return error.code === 'ECONNRESET' ? new BrokenError() : error
}

/** The provider answered with an error. A limiter reads `status`, `headers` and `error`; the client gets the rest. */
export class UpstreamError extends Error {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly error: unknown
  /** The route says that another target is tried after it. */
  goesOn = false
  /** What goes to the client. */
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
