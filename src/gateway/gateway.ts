// Follows one call from its client to its provider and back.
//
//   client ──▶ checks ──▶ budgets ──▶ queue of a pool ──▶ provider ──▶ client
//                └ 4xx      └ 402       └ 429, or left      └ the next target, until something has been passed on

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { BucketRateLimiter } from 'llmiter'
import type { Pool, PoolCall } from 'llmiter/pool'
import { answerAdmin, type GatewayStatus } from './admin.ts'
import { admit, KeyLimiters, poolCallOf, variantsOf } from './admission.ts'
import { StreamAnswer, type WholeAnswer } from './answer.ts'
import { AnswerCache } from './answer-cache.ts'
import { Attempts } from './attempts.ts'
import { type ClientCall, callOf, costOf, factsOf } from './call.ts'
import { GatewayCounters } from './counters.ts'
import { GatewayError } from './errors.ts'
import { checkOrigin, Hold, placeOf, readBody } from './incoming.ts'
import { KeyRing, type StoredKey } from './key-ring.ts'
import { CallLedger } from './ledger.ts'
import { type GatewayOptions, type GatewayTimes, timesOf } from './options.ts'
import { CallProgress } from './progress.ts'
import { clientKey, type Protocol, protocolOf } from './protocol.ts'
import { wordsOf } from './refusal.ts'
import { fail, passStream, passWhole } from './respond.ts'
import type { Leaf } from './route.ts'
import { RouteTable } from './route-table.ts'
import type { SharedStore } from './shared-store.ts'
import { Spend } from './spend.ts'
import { StateFile } from './state.ts'
import { Upstreams } from './upstream.ts'

const MOST_BYTES = 256_000_000
const ADMIN = '/-/'
const STARTED_AT = Date.now()

export interface GatewayHooks {
  /** Called for each new limiter. */
  readonly limiter?: (limiter: BucketRateLimiter) => void
  /** Where gateways share limits and budgets. */
  readonly store?: SharedStore | undefined
}

export class Gateway {
  #options: GatewayOptions
  #times: GatewayTimes
  readonly #loopback: boolean
  readonly #upstreams = new Upstreams()
  readonly #routes: RouteTable
  readonly #keys: KeyRing | undefined
  readonly #keyLimiters: KeyLimiters
  readonly #store: SharedStore | undefined
  readonly #ledger: CallLedger | undefined
  readonly #state: StateFile | undefined
  readonly #counters = new GatewayCounters()
  readonly #attempts: Attempts
  /** Emptied with each configuration, because a route of the same name may use another model. */
  #cache = new AnswerCache()
  readonly #hold: Hold
  /** Calls that have not been sent yet, with the function that rejects them. */
  readonly #waiting = new Map<CallProgress, (error: GatewayError) => void>()
  #inHand = 0
  #draining = false
  #idle: (() => void) | undefined

  constructor(options: GatewayOptions, loopback: boolean, hooks: GatewayHooks = {}) {
    this.#options = options
    this.#times = timesOf(options)
    this.#loopback = loopback
    this.#hold = new Hold(options.queue?.maxBytes ?? MOST_BYTES)
    const { state } = options
    this.#keys = state === undefined ? undefined : new KeyRing(state)
    this.#ledger = state === undefined ? undefined : new CallLedger(state)
    this.#state = state === undefined ? undefined : new StateFile(state, () => this.#routes.snapshots())
    this.#store = hooks.store
    this.#keyLimiters = new KeyLimiters(hooks.store)
    const saved = this.#state?.saved ?? {}
    this.#routes = new RouteTable((limiter) => hooks.limiter?.(limiter), saved, hooks.store)
    this.#load(options)
    this.#attempts = new Attempts(this.#upstreams, this.#counters, this.#ledger, this.#spendOf(options))
  }

  /** Applies another configuration. Calls that wait or run continue. Limiters of targets that remain are kept. */
  reload(options: GatewayOptions): void {
    const times = timesOf(options)
    const spend = new Spend(options, this.#store)
    this.#state?.write()
    this.#ledger?.flush()
    this.#load(options)
    spend.follow(this.#spend, this.#ledger?.read() ?? [], STARTED_AT)
    this.#attempts.spend = spend
    this.#times = times
    this.#cache = new AnswerCache()
    this.#options = options
  }

  #load(options: GatewayOptions): void {
    this.#routes.load(options)
    for (const { address, secrets } of this.#routes.targets.values()) this.#upstreams.allow(address, secrets)
  }

  #spendOf(options: GatewayOptions): Spend {
    const spend = new Spend(options, this.#store)
    if (this.#ledger) spend.replay(this.#ledger.read(), this.#keys?.all ?? [])
    return spend
  }

  get #spend(): Spend {
    return this.#attempts.spend
  }

  /** Resolves when the prices for costs are loaded. */
  async ready(): Promise<void> {
    if (this.#options.prices || this.#spend.wantsPrices(this.#keys?.all ?? [])) await this.#spend.load()
  }

  /** Whether programs need a key. */
  get needsKeys(): boolean {
    return this.#keys?.used ?? false
  }

  /** Answers one request. */
  handle(request: IncomingMessage, response: ServerResponse): void {
    if (!request.url!.startsWith(ADMIN)) {
      this.#inHand++
      response.once('close', () => {
        this.#inHand--
        if (this.#inHand === 0) this.#idle?.()
      })
      if (!response.socket) hearClose(request.socket, response)
    }
    this.#serve(request, response).catch((error: unknown) => {
      process.emitWarning(error instanceof Error ? error : new Error(String(error)))
      response.destroy()
    })
  }

  /**
   * Stops accepting calls. Calls that wait or run may continue for `drain`. Calls that still wait after that get a
   * 503. Resolves when the last call has ended.
   */
  async drain(): Promise<void> {
    this.#draining = true
    const late = setTimeout(() => {
      for (const turnAway of [...this.#waiting.values()]) turnAway(leaving())
    }, this.#times.drainMs)
    if (this.#inHand > 0) await new Promise<void>((resolve) => (this.#idle = resolve))
    clearTimeout(late)
    this.close()
  }

  close(): void {
    this.#upstreams.close()
    this.#state?.write()
    this.#ledger?.close()
    if (!this.#store) return
    this.#routes.stop()
    this.#keyLimiters.stop()
    this.#store.close()
  }

  /** The current state in numbers. */
  status(): GatewayStatus {
    return {
      waiting: this.#waiting.size,
      inHand: this.#inHand,
      bytesInHand: this.#hold.bytes,
      draining: this.#draining,
      targets: [...this.#routes.targets.values()].map((target) =>
        target.status(this.#routes.all().flatMap((route) => route.statesOf(target))),
      ),
      budgets: this.#spend.stats(this.#keys?.all ?? []),
      counts: this.#counters.all(),
    }
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let protocol: Protocol = 'openai'
    let held = 0
    let call: ClientCall | undefined
    try {
      checkOrigin(request.headers, this.#loopback)
      const place = placeOf(request)
      if (place.path.startsWith(ADMIN)) return await this.#admin(place.path, request, response)
      const found = protocolOf(place.path, request.headers)
      if (!found) throw unknownPath(place.path)
      protocol = found
      const key = this.#authorized(clientKey(request.headers, place.query))
      if (this.#draining) throw leaving()
      const body = await readBody(request, this.#hold)
      held = body?.length ?? 0
      call = callOf(protocol, request, place, body, key)
      await this.#pass(call, response)
    } catch (error) {
      if (response.destroyed) return
      const words = wordsOf(error, () => 0)
      this.#tellRefused(words, call)
      fail(response, protocol, words)
    } finally {
      this.#hold.bytes -= held
    }
  }

  #admin(path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { adminKey } = this.#options
    const open = adminKey === undefined && this.#loopback && !this.needsKeys
    const given = open || adminKey === undefined ? undefined : clientKey(request.headers, '')
    return answerAdmin(path, { open, adminKey, given }, () => this.status(), response)
  }

  #authorized(given: string | undefined): StoredKey | undefined {
    if (!this.needsKeys) return undefined
    const key = this.#keys!.find(given, Date.now())
    if (key) return key
    const why = given === undefined ? 'a gateway key is required' : 'this key is unknown or has expired'
    throw new GatewayError(401, 'invalid_key', `${why}: llmiter keys add makes one`, { mayRetry: false })
  }

  async #pass(call: ClientCall, response: ServerResponse): Promise<void> {
    const { protocol, model, terms } = call
    const route = this.#routes.routeFor(terms.route)
    const pool = route.poolFor(protocol, model)
    if (!pool) throw this.#noTarget(protocol)
    const cacheKey = route.cacheMs === undefined ? undefined : this.#cache.keyOf(call, route.name)
    if (cacheKey !== undefined && this.#passKept(cacheKey, call, response)) return
    const options = poolCallOf(route, pool, call, this.#spend, this.#times.maxWaitMs)
    const limiter = this.#keyLimiters.of(call.key)
    const waitMs = () => Math.max(pool.waitTime(options), limiter?.waitTime(options.cost) ?? 0)
    admit(options, waitMs, this.#waiting.size, this.#options.queue)
    const progress = new CallProgress()
    const gone = new AbortController()
    const leave = () => {
      if (!response.writableFinished) gone.abort(new Error('the client has left'))
    }
    response.once('close', leave)
    const stopComments = this.#comment(call, response)
    this.#waiting.set(progress, (error) => gone.abort(error))
    try {
      progress.charge = await this.#spend.reserve(options, call.key, variantsOf(pool, call, options))
      const answer = await this.#run(pool, call, progress, { ...options, signal: gone.signal })
      stopComments()
      if (gone.signal.aborted) return
      if (answer instanceof StreamAnswer)
        return await passStream(answer, protocol, progress.headers(), response)
      if (cacheKey !== undefined) this.#cache.keep(cacheKey, answer, route.cacheMs!)
      passWhole(answer, progress.headers(), response)
    } catch (error) {
      progress.charge?.release()
      // The client has left, so there is no one to answer.
      if (gone.signal.aborted && !(gone.signal.reason instanceof GatewayError)) return
      const words = wordsOf(gone.signal.aborted ? gone.signal.reason : error, () =>
        pool.waitTime(costOf(call)),
      )
      this.#tellRefused(words, call)
      fail(response, protocol, words, progress.attempts > 0 ? progress.headers() : {})
    } finally {
      stopComments()
      this.#waiting.delete(progress)
      response.removeListener('close', leave)
      this.#state?.touch()
    }
  }

  /** Answers from the cache if an identical call was answered recently. Returns whether it did. */
  #passKept(key: string, { terms }: ClientCall, response: ServerResponse): boolean {
    const kept = terms.refreshCache ? undefined : this.#cache.get(key)
    if (!kept) return false
    this.#counters.kept()
    passWhole(kept, { 'x-portkey-cache-status': 'HIT' }, response)
    return true
  }

  /** Counts calls refused by the gateway, and logs those whose key is known. */
  #tellRefused(error: unknown, call: ClientCall | undefined): void {
    if (!(error instanceof GatewayError)) return
    const { status, code } = error
    this.#counters.refused(code)
    if (call) this.#ledger?.add({ of: 'refused', at: Date.now(), ...factsOf(call), status, code })
  }

  #noTarget(protocol: Protocol): GatewayError {
    const known = [...new Set(this.#options.targets.map((target) => target.protocol))].join(', ')
    return new GatewayError(404, 'no_target', `no target speaks ${protocol}; there are targets for: ${known}`)
  }

  async #run(
    pool: Pool<Leaf>,
    call: ClientCall,
    progress: CallProgress,
    options: PoolCall & { signal: AbortSignal },
  ): Promise<WholeAnswer | StreamAnswer> {
    const limiter = this.#keyLimiters.of(call.key)
    if (limiter) {
      const { cost, request, signal, maxWaitMs } = options
      progress.ticket = await limiter.acquire({ cost, request, signal, maxWaitMs })
    }
    try {
      return await pool.run((leaf, signal) => {
        this.#waiting.delete(progress)
        return this.#attempts.send(leaf, call, progress, signal)
      }, options)
    } catch (error) {
      if (progress.attempts > 0) progress.ticket?.finish()
      else progress.ticket?.release()
      throw error
    }
  }

  /**
   * Sends comments to a waiting stream. After the first one the response head is sent, so a failure becomes an
   * event.
   */
  #comment({ stream, protocol }: ClientCall, response: ServerResponse): () => void {
    const { waitCommentsMs } = this.#times
    if (waitCommentsMs === undefined || !stream) return () => {}
    const tick = () => {
      if (!response.headersSent)
        response.writeHead(200, {
          'content-type': 'text/event-stream; charset=utf-8',
          'cache-control': 'no-cache',
        })
      response.write(protocol === 'anthropic' ? 'event: ping\ndata: {"type": "ping"}\n\n' : ': waiting\n\n')
    }
    const timer = setInterval(tick, waitCommentsMs)
    return () => clearInterval(timer)
  }
}

/**
 * Reports a closed connection to a pipelined request. Node does not notify its response if the connection closes
 * before its turn.
 */
function hearClose(socket: Socket, response: ServerResponse): void {
  const close = () => {
    response.destroy()
    response.emit('close')
  }
  socket.once('close', close)
  response.once('close', () => socket.removeListener('close', close))
}

const leaving = () =>
  new GatewayError(503, 'shutting_down', 'the gateway is shutting down', { retryAfterMs: 1000 })

const unknownPath = (path: string) =>
  new GatewayError(
    404,
    'unknown_path',
    `the gateway does not serve ${path.slice(0, 100)}: OpenAI's and Anthropic's paths begin with /v1/, Gemini's with /v1beta/`,
  )
