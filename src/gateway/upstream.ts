// Sends one call to a provider over persistent connections. Only hosts that the operator has configured can be
// reached: the dialer refuses all others.

import type { Agent as HttpAgent, IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { Agent as HttpsAgent } from 'node:https'
import type { Readable, Transform } from 'node:stream'
import { parseObject, StreamAnswer, type StreamTerms, usageIn, type WholeAnswer } from './answer.ts'
import { brokenBy, BrokenError, GatewayError, UpstreamError } from './errors.ts'
import { type Headers, toClient } from './headers.ts'
import { http, https, zlib } from './node-http.ts'
import { Secrets } from './secrets.ts'

/** The address of a target. */
export interface Address {
  readonly protocol: 'http:' | 'https:'
  readonly host: string
  readonly port: number
  /** The prefix of a call's path. */
  readonly path: string
}

export function addressOf(baseUrl: string): Address {
  const { protocol, hostname, port, pathname } = new URL(baseUrl)
  return {
    protocol: protocol === 'http:' ? 'http:' : 'https:',
    host: hostname.replace(/^\[|\]$/g, ''),
    port: Number(port) || (protocol === 'http:' ? 80 : 443),
    path: pathname.replace(/\/+$/, ''),
  }
}

export interface UpstreamCall {
  readonly address: Address
  readonly method: string
  readonly path: string
  readonly headers: Headers
  readonly body: Buffer | undefined
  readonly signal: AbortSignal | undefined
  readonly hideUsage: boolean
  /** The maximum wait for the first byte, and the maximum silence of a stream. */
  readonly timeoutMs: number | undefined
  /** Called when its answer was a stream and has ended. */
  readonly streamOver: StreamTerms['over']
}

const CONNECT_MS = 10_000
/**
 * An idle connection that was closed is noticed within this time of its use. Later, the provider may have received
 * the call.
 */
const STALE_MS = 1000
const LONGEST_ERROR = 1_000_000
const LONGEST_WHOLE = 16_000_000

const JSON_TYPE = /^application\/(?:[\w.+-]+\+)?json/i

export class Upstreams {
  readonly #allowed = new Set<string>()
  readonly #secrets = new Secrets()
  readonly #agents: { 'http:': HttpAgent; 'https:': HttpsAgent }

  constructor() {
    const options = { keepAlive: true, maxFreeSockets: 1024 }
    const check = ({
      host,
      port,
    }: {
      host?: string | null | undefined
      port?: string | number | null | undefined
    }) => {
      if (!this.#allowed.has(`${host}:${port}`))
        throw new GatewayError(502, 'host_not_allowed', 'no target has this address')
    }
    const agents = { 'http:': new http.Agent(options), 'https:': new https.Agent(options) }
    for (const agent of Object.values(agents)) {
      const connect = agent.createConnection.bind(agent)
      agent.createConnection = (to: Parameters<typeof connect>[0], done: Parameters<typeof connect>[1]) => {
        check(to)
        return connect(to, done)
      }
    }
    this.#agents = agents
  }

  /** Allows a host, with keys that must not appear in any answer. */
  allow({ host, port }: Address, secrets: readonly string[]): void {
    this.#allowed.add(`${host}:${port}`)
    for (const secret of secrets) this.#secrets.add(secret)
  }

  close(): void {
    for (const agent of Object.values(this.#agents)) agent.destroy()
  }

  /** Rejects with an `UpstreamError` if the provider answers with an error, or with the error of the connection. */
  send(call: UpstreamCall, again = true): Promise<WholeAnswer | StreamAnswer> {
    return new Promise((resolve, reject) => {
      const { address, method, path, headers, body, signal, timeoutMs } = call
      const { request: ask } = address.protocol === 'http:' ? http : https
      const request = ask({
        agent: this.#agents[address.protocol],
        host: address.host,
        port: address.port,
        method,
        path: address.path + path,
        headers: body ? { ...headers, 'content-length': body.length } : headers,
      })
      let cut = (error: Error) => void request.destroy(error)
      const giveUp = () => cut(signal!.reason as Error)
      const late =
        timeoutMs === undefined ? undefined : setTimeout(() => cut(new TimeoutError(timeoutMs)), timeoutMs)
      const over = () => {
        clearTimeout(late)
        signal?.removeEventListener('abort', giveUp)
      }
      signal?.addEventListener('abort', giveUp, { once: true })
      const sentAt = performance.now()
      let answered = false
      request.once('socket', (socket) => {
        if (!socket.connecting) return
        const giveUpSoon = setTimeout(
          () => request.destroy(new BrokenError('the provider cannot be reached')),
          CONNECT_MS,
        )
        for (const event of ['connect', 'close']) socket.once(event, () => clearTimeout(giveUpSoon))
      })
      request.once('response', (message) => {
        answered = true
        // From here on, errors belong to the message.
        cut = (error) => void message.destroy(error)
        this.#read(message, call).then(resolve, reject).finally(over)
      })
      request.on('error', (error: NodeJS.ErrnoException) => {
        // A provider may answer and close the connection before it has read the whole request. Its answer counts.
        if (answered) return
        over()
        // The connection was closed just as the call was sent, so the provider has not received it.
        const stale = request.reusedSocket && error.code === 'ECONNRESET' && again && !signal?.aborted
        if (!stale || performance.now() - sentAt > STALE_MS) reject(error)
        else this.send(call, false).then(resolve, reject)
      })
      request.end(body)
    })
  }

  async #read(message: IncomingMessage, call: UpstreamCall): Promise<WholeAnswer | StreamAnswer> {
    const passed = toClient(message, (text) => this.#secrets.redactText(text))
    const { headers } = message
    const status = message.statusCode!
    if (status >= 300 && status < 400 && status !== 304) {
      message.destroy()
      throw new GatewayError(
        502,
        'redirected',
        `the provider answered with a redirect (${status}), which is not followed`,
      )
    }
    const content = decoded(message, passed, call.method)
    const isWhole = status >= 400 || (isShortJson(headers) && !/:stream/.test(call.path))
    if (!isWhole) return this.#stream(message, content, passed, call)
    const bytes = this.#secrets.redact(await wholeOf(content, status >= 400 ? LONGEST_ERROR : LONGEST_WHOLE))
    if (status < 400) return { answered: status, headers, passed, bytes, ...usageIn(bytes) }
    throw new UpstreamError(status, headers, { headers: passed, content: bytes }, errorIn(bytes))
  }

  #stream(message: IncomingMessage, content: Readable, passed: Headers, call: UpstreamCall): StreamAnswer {
    return new StreamAnswer(message, content, passed, {
      hideUsage: call.hideUsage,
      secrets: this.#secrets,
      failed: (status, error) => {
        const told = this.#secrets.redact(Buffer.from(JSON.stringify(error)))
        const ownHeaders = { ...passed, 'content-type': 'application/json' }
        return new UpstreamError(
          status,
          message.headers,
          { headers: ownHeaders, content: told },
          errorIn(told),
        )
      },
      silenceMs: call.timeoutMs,
      signal: call.signal,
      over: call.streamOver,
    })
  }
}

const isShortJson = ({ 'content-type': type = '', 'content-length': length }: IncomingHttpHeaders): boolean =>
  JSON_TYPE.test(type) && !(Number(length) > LONGEST_WHOLE)

const DECODERS: Record<string, () => Transform> = {
  gzip: () => zlib().createGunzip(),
  'x-gzip': () => zlib().createGunzip(),
  deflate: () => zlib().createInflate(),
  br: () => zlib().createBrotliDecompress(),
}

/**
 * The answer is parsed for its usage and searched for keys, so it is decoded if the provider compressed it anyway.
 */
function decoded(message: IncomingMessage, passed: Headers, method: string): Readable {
  const encoding = message.headers['content-encoding']?.trim().toLowerCase()
  if (encoding === undefined || encoding === 'identity') return message
  const empty = method === 'HEAD' || message.statusCode === 204 || message.statusCode === 304
  const decoder = Object.hasOwn(DECODERS, encoding) ? DECODERS[encoding] : undefined
  if (empty) return message
  if (!decoder) {
    message.destroy()
    const told = encoding.slice(0, 40)
    throw new GatewayError(
      502,
      'encoded_answer',
      `the provider's answer is encoded in an unknown way: ${told}`,
    )
  }
  delete passed['content-encoding']
  const content = decoder()
  message.on('error', (error) => content.destroy(error))
  message.once('close', () => {
    if (!message.readableEnded) content.destroy(new BrokenError())
  })
  content.once('close', () => message.destroy())
  return message.pipe(content)
}

/** The provider took too long. A limiter treats it as a transient failure, and the client gets a 408. */
class TimeoutError extends GatewayError {
  override name = 'TimeoutError'

  constructor(ms: number) {
    super(408, 'request_timeout', `the provider did not answer within ${ms} ms`)
  }
}

/** The error for a limiter: the object in the body, or its text. */
function errorIn(bytes: Buffer): unknown {
  const text = bytes.toString()
  const found = parseObject(text)
  return found ? ((found as { error?: unknown }).error ?? found) : text
}

function wholeOf(content: Readable, most: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let length = 0
    content.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      length += chunk.length
      if (length > most)
        content.destroy(new GatewayError(502, 'too_long', `the answer is longer than ${most} bytes`))
    })
    content.once('end', () => resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)))
    content.on('error', (error) => reject(brokenBy(error)))
    content.once('close', () => {
      if (!content.readableEnded) reject(new BrokenError())
    })
  })
}
