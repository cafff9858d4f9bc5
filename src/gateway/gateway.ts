// One call, from its client to its provider and back.
//
//   client ──▶ checks ──▶ queue of a pool ──▶ provider ──▶ client
//                └ 4xx      └ 429, or gone      └ the next target, as long as nothing has been passed on

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { BucketRateLimiter } from 'llmiter'
import type { Pool, PoolCall } from 'llmiter/pool'
import { duration } from '../lib/duration.ts'
import { StreamAnswer, type WholeAnswer } from './answer.ts'
import { GatewayError, UpstreamError } from './errors.ts'
import { toProvider } from './headers.ts'
import { type CallTerms, checkOrigin, Hold, type Place, placeOf, readBody, termsOf } from './incoming.ts'
import type { GatewayOptions } from './options.ts'
import {
  asksForUsage,
  generates,
  modelInPath,
  type Protocol,
  PROTOCOLS,
  protocolOf,
  withoutKey,
} from './protocol.ts'
import { askForUsage, shapeOf } from './request-body.ts'
import { type Leaf, Route } from './route.ts'
import { Target } from './target.ts'
import { Upstreams } from './upstream.ts'
import { wordsOf } from './refusal.ts'

const MOST_WAITING = 10_000
const MOST_BYTES = 256_000_000
const LONGEST_RETRY_S = 86_400

/** A call that has been read and checked. */
interface Call {
  readonly protocol: Protocol
  readonly method: string
  readonly path: string
  readonly body: Buffer | undefined
  readonly headers: ReturnType<typeof toProvider>
  readonly model: string | undefined
  readonly stream: boolean
  /** Its stream was asked for its usage by the gateway alone. */
  readonly bodyForUsage: Buffer | undefined
  readonly terms: CallTerms
}

/** How a call has gone. */
interface Course {
  readonly startedAt: number
  waitedMs: number
  attempts: number
  target: string
}

export interface GatewayHooks {
  /** A limiter has been made. */
  readonly limiter?: (limiter: BucketRateLimiter) => void
}

export class Gateway {
  readonly #options: GatewayOptions
  readonly #loopback: boolean
  readonly #upstreams = new Upstreams()
  readonly #route: Route
  readonly #hold: Hold
  readonly #mostWaiting: number
  readonly #maxWaitMs: number | undefined
  readonly #commentMs: number | undefined
  /** Calls that have not been sent yet, with what turns them away. */
  readonly #waiting = new Map<Course, (error: GatewayError) => void>()
  #inHand = 0
  #draining = false
  #idle: (() => void) | undefined

  constructor(options: GatewayOptions, loopback: boolean, hooks: GatewayHooks = {}) {
    const { targets, queue = {}, maxWait, waitComments } = options
    this.#options = options
    this.#loopback = loopback
    const all = targets.map((target) => new Target(target, (limiter) => hooks.limiter?.(limiter)))
    for (const { address, secrets } of all) this.#upstreams.allow(address, secrets)
    this.#route = new Route(all)
    this.#hold = new Hold(queue.maxBytes ?? MOST_BYTES)
    this.#mostWaiting = queue.max ?? MOST_WAITING
    this.#maxWaitMs = maxWait === undefined ? undefined : duration(maxWait, 'maxWait')
    this.#commentMs = waitComments === undefined ? undefined : duration(waitComments, 'waitComments')
  }

  /** Answers one request. */
  handle(request: IncomingMessage, response: ServerResponse): void {
    this.#inHand++
    response.once('close', () => {
      this.#inHand--
      if (this.#inHand === 0) this.#idle?.()
    })
    void this.#serve(request, response)
  }

  /**
   * Takes no new calls. Those that wait or run go on for `drain`; whoever waits longer gets a 503. Resolves when the last
   * one is over.
   */
  async drain(): Promise<void> {
    this.#draining = true
    const ms = duration(this.#options.drain ?? '30s', 'drain')
    const late = setTimeout(() => {
      for (const turnAway of [...this.#waiting.values()]) turnAway(leaving())
    }, ms)
    if (this.#inHand > 0) await new Promise<void>((resolve) => (this.#idle = resolve))
    clearTimeout(late)
    this.#upstreams.close()
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let protocol: Protocol = 'openai'
    let held = 0
    try {
      checkOrigin(request.headers, this.#loopback)
      const place = placeOf(request)
      const found = protocolOf(place.path, request.headers)
      if (!found) throw unknownPath(place.path)
      protocol = found
      if (this.#draining) throw leaving()
      const body = await readBody(request, this.#hold)
      held = body?.length ?? 0
      await this.#pass(callOf(protocol, request, place, body), response)
    } catch (error) {
      fail(response, protocol, error)
    } finally {
      this.#hold.bytes -= held
    }
  }

  async #pass(call: Call, response: ServerResponse): Promise<void> {
    const { protocol, model } = call
    const pool = this.#route.poolFor(protocol, model)
    if (!pool) {
      const known = [...new Set(this.#options.targets.map((target) => target.protocol))].join(', ')
      throw new GatewayError(
        404,
        'no_target',
        `no target speaks ${protocol}; there are targets for: ${known}`,
      )
    }
    const course: Course = { startedAt: performance.now(), waitedMs: 0, attempts: 0, target: '' }
    const gone = new AbortController()
    const leave = () => {
      if (!response.writableFinished) gone.abort(new Error('the client has left'))
    }
    response.once('close', leave)
    const stopComments = this.#comment(call, response)
    try {
      const answer = await this.#run(pool, call, course, gone)
      stopComments()
      if (gone.signal.aborted) return
      if (answer instanceof StreamAnswer) await passStream(answer, call, course, response)
      else passWhole(answer, course, response)
    } catch (error) {
      // Whoever has left hears nothing more.
      if (gone.signal.aborted && !(gone.signal.reason instanceof GatewayError)) return
      throw wordsOf(gone.signal.aborted ? gone.signal.reason : error, () => pool.waitTime(costOf(call)))
    } finally {
      stopComments()
      this.#waiting.delete(course)
      response.removeListener('close', leave)
    }
  }

  #run(
    pool: Pool<Leaf>,
    call: Call,
    course: Course,
    gone: AbortController,
  ): Promise<WholeAnswer | StreamAnswer> {
    const { model, terms } = call
    const { priority, tenant, target } = terms
    const maxWaitMs = terms.maxWaitMs ?? this.#maxWaitMs
    const options: PoolCall = {
      signal: gone.signal,
      ...costOf(call),
      ...(model !== undefined && { model }),
      ...(priority !== undefined && { priority }),
      ...(tenant !== undefined && { tenant }),
      ...(maxWaitMs !== undefined && { maxWaitMs }),
      ...(target !== undefined && { target: knownTarget(pool, target) }),
    }
    this.#admit(pool, options)
    this.#waiting.set(course, (error) => gone.abort(error))
    return pool.run((leaf, signal) => this.#send(leaf, call, course, signal), options)
  }

  /** @throws GatewayError when the call would wait for longer than it may, or nobody else may wait. */
  #admit(pool: Pool<Leaf>, options: PoolCall): void {
    const { maxWaitMs } = options
    if (typeof maxWaitMs === 'number' && maxWaitMs > 0) {
      const waitMs = pool.waitTime(options)
      if (waitMs > maxWaitMs)
        throw new GatewayError(
          429,
          'wait_too_long',
          `the call would wait ${Math.ceil(waitMs)} ms, which is longer than its maximum of ${maxWaitMs} ms`,
          { retryAfterMs: waitMs },
        )
    }
    if (this.#waiting.size >= this.#mostWaiting)
      throw new GatewayError(429, 'queue_full', `${this.#waiting.size} calls wait, which is as many as may`, {
        retryAfterMs: pool.waitTime(options),
      })
  }

  #send(
    leaf: Leaf,
    call: Call,
    course: Course,
    signal: AbortSignal | undefined,
  ): Promise<WholeAnswer | StreamAnswer> {
    const { target } = leaf
    this.#waiting.delete(course)
    course.attempts++
    course.waitedMs = performance.now() - course.startedAt
    course.target = leaf.name
    const hideUsage = call.bodyForUsage !== undefined && target.options.includeUsage !== false
    return this.#upstreams.send({
      address: target.address,
      method: call.method,
      path: call.path,
      headers: { ...call.headers, ...target.headers },
      body: hideUsage ? call.bodyForUsage : call.body,
      signal,
      hideUsage,
      timeoutMs: target.timeoutMs,
    })
  }

  /** Comments for a stream that waits. From the first one on its head is out, and a failure is an event. */
  #comment({ stream, protocol }: Call, response: ServerResponse): () => void {
    if (this.#commentMs === undefined || !stream) return () => {}
    const tick = () => {
      if (!response.headersSent)
        response.writeHead(200, {
          'content-type': 'text/event-stream; charset=utf-8',
          'cache-control': 'no-cache',
        })
      response.write(protocol === 'anthropic' ? 'event: ping\ndata: {"type": "ping"}\n\n' : ': waiting\n\n')
    }
    const timer = setInterval(tick, this.#commentMs)
    return () => clearInterval(timer)
  }
}

const leaving = () =>
  new GatewayError(503, 'shutting_down', 'the gateway is shutting down', { retryAfterMs: 1000 })

const unknownPath = (path: string) =>
  new GatewayError(
    404,
    'unknown_path',
    `the gateway does not serve ${path.slice(0, 100)}: OpenAI's and Anthropic's paths begin with /v1/, Gemini's with /v1beta/`,
  )

function callOf(
  protocol: Protocol,
  request: IncomingMessage,
  { path, query }: Place,
  body: Buffer | undefined,
): Call {
  const method = request.method!
  const { prefix } = PROTOCOLS[protocol]
  const isJson = /^application\/(?:[\w.+-]+\+)?json/i.test(request.headers['content-type'] ?? '')
  const shape = body && (isJson || protocol !== 'openai') ? shapeOf(body) : undefined
  const passedQuery = withoutKey(query)
  return {
    protocol,
    method,
    path: path.slice(prefix.length) + (passedQuery && `?${passedQuery}`),
    body,
    headers: toProvider(request.headers),
    model: shape?.model ?? modelInPath(path),
    stream: shape?.stream === true || /:streamGenerateContent$/.test(path),
    bodyForUsage: shape?.stream && asksForUsage(protocol, path) ? askForUsage(body!, shape) : undefined,
    terms: termsOf(request.headers),
  }
}

/** Lists, files and the like take nothing of the limits. */
const FREE = Object.freeze({ cost: Object.freeze({ requests: 0 }) })
const PAID = Object.freeze({})
const costOf = ({ method, path }: Call): Pick<PoolCall, 'cost'> => (generates(method, path) ? PAID : FREE)

function knownTarget(pool: Pool<Leaf>, name: string): string {
  if (pool.targets.some((target) => target.name === name)) return name
  const known = pool.targets.map((target) => target.name).join(', ')
  throw new GatewayError(
    400,
    'unknown_target',
    `x-llmiter-target: there is no target '${name.slice(0, 80)}'; known: ${known}`,
  )
}

function ownHeaders({ target, waitedMs, attempts }: Course): Record<string, string> {
  return {
    'x-llmiter-target': target,
    'x-llmiter-waited-ms': String(Math.round(waitedMs)),
    'x-llmiter-attempts': String(attempts),
  }
}

function passWhole({ answered, passed, bytes }: WholeAnswer, course: Course, response: ServerResponse): void {
  if (!response.headersSent)
    response.writeHead(answered, { ...passed, ...ownHeaders(course), 'content-length': bytes.length })
  response.end(bytes)
}

async function passStream(
  answer: StreamAnswer,
  call: Call,
  course: Course,
  response: ServerResponse,
): Promise<void> {
  const leave = () => void answer.return()
  response.once('close', leave)
  answer.begin()
  if (!response.headersSent) response.writeHead(answer.answered, { ...answer.passed, ...ownHeaders(course) })
  let last: Buffer | undefined
  try {
    for (;;) {
      const { done, value } = await answer.next()
      if (done) break
      if (value.bytes.length === 0) continue
      last = value.bytes
      if (!response.write(value.bytes)) await drained(response)
    }
    response.end()
  } catch (error) {
    const message = error instanceof Error ? error.message : 'the stream broke'
    breakOff(
      answer,
      PROTOCOLS[call.protocol].lastEvent(errorBody(call.protocol, 502, 'stream_broken', message)),
      last,
      response,
    )
  } finally {
    response.removeListener('close', leave)
  }
}

/** All that came has been written. Then an error, and no regular end: so nobody takes the answer for whole. */
function breakOff(
  answer: StreamAnswer,
  event: string,
  last: Buffer | undefined,
  response: ServerResponse,
): void {
  const whole = last === undefined || /\n\r?\n$/.test(last.toString('latin1', Math.max(0, last.length - 3)))
  response.write(answer.isEvents ? (whole ? '' : '\n\n') + event : '', () => response.destroy())
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const over = () => {
      response.removeListener('drain', over)
      response.removeListener('close', over)
      resolve()
    }
    response.on('drain', over)
    response.on('close', over)
  })
}

const errorBody = (protocol: Protocol, status: number, code: string, message: string) =>
  PROTOCOLS[protocol].error(status, code, message)

/** Answers with an error, in the words of the protocol. */
function fail(response: ServerResponse, protocol: Protocol, error: unknown): void {
  if (response.destroyed) return
  if (error instanceof UpstreamError) {
    const { headers, content } = error.passed
    return failWith(
      response,
      protocol,
      error.status,
      { ...headers, 'content-length': content.length },
      content,
    )
  }
  const known = error instanceof GatewayError ? error : internal(error)
  const body = Buffer.from(JSON.stringify(errorBody(protocol, known.status, known.code, known.message)))
  const { retryAfterMs, mayRetry } = known
  failWith(
    response,
    protocol,
    known.status,
    {
      'content-type': 'application/json',
      'content-length': body.length,
      'x-llmiter-error': known.code,
      ...(retryAfterMs !== undefined && {
        'retry-after': Math.min(LONGEST_RETRY_S, Math.max(1, Math.ceil(retryAfterMs / 1000))),
      }),
      ...(!mayRetry && { 'x-should-retry': 'false' }),
      ...((known.status === 413 || known.status === 503) && { connection: 'close' }),
    },
    body,
  )
}

function internal(error: unknown): GatewayError {
  // What it says may hold anything: the operator reads it, the client does not.
  process.emitWarning(error instanceof Error ? error : new Error(String(error)))
  return new GatewayError(500, 'internal_error', 'the gateway has failed; its log says why')
}

function failWith(
  response: ServerResponse,
  protocol: Protocol,
  status: number,
  headers: Record<string, string | string[] | number>,
  body: Buffer,
): void {
  if (!response.headersSent) {
    response.writeHead(status, headers)
    response.end(body)
    return
  }
  // A stream that has had comments already.
  const found: unknown = JSON.parse(body.toString())
  response.end(PROTOCOLS[protocol].lastEvent(Object(found) as object))
}
