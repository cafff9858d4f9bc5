// Checks a client's request before anything else happens: its origin, its path, its size. Anything ambiguous is
// refused, because attacks exploit requests that two programs read differently.

import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import { durationMs } from '../lib/duration.ts'
import { parseObject } from './answer.ts'
import { GatewayError } from './errors.ts'

const MOST_BODY = 20_000_000

/** Whether only programs on this machine can reach an address. */
export const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))

/** The name in a Host header, without its port. */
const hostName = (host: string): string =>
  host
    .replace(/:\d*$/, '')
    .replace(/^\[|\]$/g, '')
    .toLowerCase()

/**
 * On loopback, any page in a browser could send requests: under its own name, whose DNS now points here, or across
 * origins.
 *
 * @throws GatewayError
 */
export function checkOrigin(headers: IncomingHttpHeaders, loopback: boolean): void {
  const { host = '', origin } = headers
  if (loopback && !isLoopback(hostName(host)))
    throw new GatewayError(
      403,
      'host_not_allowed',
      'the Host header must name this machine: 127.0.0.1 or localhost',
    )
  const foreign = origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`
  if (foreign || /^(cross|same)-site$/.test(headers['sec-fetch-site'] ?? ''))
    throw new GatewayError(403, 'origin_not_allowed', 'pages of other origins may not use the gateway')
}

export interface Place {
  readonly path: string
  readonly query: string
}

const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'])

/** @throws GatewayError for a method or a path that is not served. */
export function placeOf({ method, url = '', headers }: IncomingMessage): Place {
  if (/^websocket$/i.test(headers.upgrade ?? ''))
    throw new GatewayError(501, 'no_websockets', 'the gateway serves no WebSockets', { mayRetry: false })
  if (!METHODS.has(method!)) throw new GatewayError(405, 'method_not_allowed', `${method} is not served`)
  const at = url.indexOf('?')
  const path = at < 0 ? url : url.slice(0, at)
  const odd =
    !path.startsWith('/') ||
    path.includes('//') ||
    path.includes('\\') ||
    /%(2f|5c|2e|00|25)/i.test(path) ||
    /\/\.\.?(\/|;|$)/.test(path)
  if (odd)
    throw new GatewayError(
      400,
      'bad_path',
      'the path must be plain: no //, no .., no encoded slashes or dots',
    )
  return { path, query: at < 0 ? '' : url.slice(at + 1) }
}

/** Tracks the size of all bodies of unfinished calls. */
export class Hold {
  readonly #most: number
  bytes = 0

  constructor(most: number) {
    this.#most = most
  }

  take(bytes: number): void {
    this.bytes += bytes
    if (this.bytes <= this.#most) return
    this.bytes -= bytes
    throw new GatewayError(429, 'queue_full', `the calls in hand have more than ${this.#most} bytes`, {
      retryAfterMs: 1000,
    })
  }
}

/** Reads the body. Rejects with a GatewayError if it is too large, alone or together with others. */
export function readBody(request: IncomingMessage, hold: Hold): Promise<Buffer | undefined> {
  const { headers } = request
  const declared = headers['content-length']
  if (declared === undefined && headers['transfer-encoding'] === undefined) return Promise.resolve(undefined)
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let length = 0
    const fail = (error: unknown) => {
      hold.bytes -= length
      length = 0
      request.removeAllListeners('data')
      // Further bytes are discarded until the connection is closed.
      request.resume()
      reject(error as Error)
    }
    const encoding = headers['content-encoding']
    if (encoding !== undefined && encoding !== 'identity')
      return fail(new GatewayError(415, 'encoded_body', `a body must not be encoded, got ${encoding}`))
    if (Number(declared) > MOST_BODY) return fail(tooLarge())
    request.on('data', (chunk: Buffer) => {
      try {
        if (length + chunk.length > MOST_BODY) throw tooLarge()
        hold.take(chunk.length)
      } catch (error) {
        return fail(error)
      }
      length += chunk.length
      chunks.push(chunk)
    })
    request.once('end', () => resolve(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks)))
    request.once('error', fail)
  })
}

const tooLarge = () =>
  new GatewayError(413, 'body_too_large', `the body is larger than ${MOST_BODY} bytes`, { mayRetry: false })

/** The terms that a client sets for one call. */
export interface CallTerms {
  readonly priority: number | undefined
  readonly tenant: string | undefined
  readonly maxWaitMs: number | undefined
  /** The only target that may answer. */
  readonly target: string | undefined
  /** The name of a route, or a config object. */
  readonly route: string | undefined
  /** Metadata for the conditions of a route. */
  readonly metadata: object | undefined
  /** The client does not want a cached answer. */
  readonly refreshCache: boolean
}

const NOT_SERVED = ['x-portkey-custom-host', 'x-portkey-forward-headers']

/** @throws GatewayError that names the header and its value. */
export function termsOf(headers: IncomingHttpHeaders): CallTerms {
  const read = (name: string) => {
    const value = headers[name]
    return typeof value === 'string' && value !== '' ? value : undefined
  }
  for (const name of NOT_SERVED)
    if (headers[name] !== undefined)
      throw new GatewayError(400, 'not_served', `${name} is not served: the operator says where calls go`, {
        mayRetry: false,
      })
  const priority = read('x-llmiter-priority')
  const maxWait = read('x-llmiter-max-wait')
  return {
    priority:
      priority === undefined ? undefined : readNumber(priority, 'x-llmiter-priority', Number(priority)),
    tenant: read('x-llmiter-tenant'),
    maxWaitMs: maxWait === undefined ? undefined : readNumber(maxWait, 'x-llmiter-max-wait', msOf(maxWait)),
    target: read('x-llmiter-target'),
    route: read('x-portkey-config'),
    metadata: readObject(read('x-portkey-metadata'), 'x-portkey-metadata'),
    refreshCache: read('x-portkey-cache-force-refresh') === 'true',
  }
}

const msOf = (written: string): number => (/^\d+$/.test(written) ? Number(written) : durationMs(written))

function readNumber(written: string, name: string, value: number): number {
  if (Number.isFinite(value)) return value
  const allowed = name.endsWith('wait') ? "a time such as '2s' or '500ms'" : 'a number'
  throw new GatewayError(400, 'bad_header', `${name} must be ${allowed}, got '${written.slice(0, 80)}'`)
}

function readObject(written: string | undefined, name: string): object | undefined {
  if (written === undefined) return undefined
  const found = parseObject(written)
  if (found && !Array.isArray(found)) return found
  throw new GatewayError(400, 'bad_header', `${name} must be a JSON object, got '${written.slice(0, 80)}'`)
}
