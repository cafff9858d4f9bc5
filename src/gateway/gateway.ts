// One call, from its client to its provider and back.
//
//   client ──▶ checks ──▶ budgets ──▶ queue of a pool ──▶ provider ──▶ client
//                └ 4xx      └ 402       └ 429, or gone      └ the next target, as long as nothing has been passed on

import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { BucketRateLimiter, mergeUsage, type Ticket } from 'llmiter'
import type { Pool, PoolCall } from 'llmiter/pool'
import { duration } from '../lib/duration.ts'
import { answerAdmin, type GatewayStatus } from './admin.ts'
import { StreamAnswer, type StreamEnd, type WholeAnswer } from './answer.ts'
import { type ClientCall, callOf, costOf, requestOf } from './call.ts'
import { GatewayCounters } from './counters.ts'
import { GatewayError, UpstreamError } from './errors.ts'
import { checkOrigin, Hold, placeOf, readBody } from './incoming.ts'
import { KeyRing, type StoredKey } from './key-ring.ts'
import { CallLedger, type LedgerAmounts } from './ledger.ts'
import type { GatewayOptions } from './options.ts'
import { clientKey, type Protocol, protocolOf } from './protocol.ts'
import { wordsOf } from './refusal.ts'
import { fail, passStream, passWhole } from './respond.ts'
import { compileRoute, type RoutePlan } from './portkey.ts'
import { type Leaf, planOf, Route } from './route.ts'
import { type BudgetHold, Spend } from './spend.ts'
import { type SavedPools, StateFile } from './state.ts'
import { Target } from './target.ts'
import { Upstreams } from './upstream.ts'

const MOST_WAITING = 10_000
const MOST_BYTES = 256_000_000
const DEFAULT = 'default'
const MOST_OF_CLIENTS = 50
const LONGEST_CONFIG = 10_000

/** How a call has gone. */
interface Course {
  readonly startedAt: number
  readonly charge: BudgetHold | undefined
  waitedMs: number
  attempts: number
  target: string
  /** Where it stands in its route. */
  option: string | undefined
  /** Of the key's own limits. */
  ticket: Ticket | undefined
  cost: number | undefined
}

/** One try of a call. */
interface Try {
  readonly id: string
  readonly at: number
  readonly target: string
}

export interface GatewayHooks {
  /** A limiter has been made. */
  readonly limiter?: (limiter: BucketRateLimiter) => void
}

export class Gateway {
  #options: GatewayOptions
  readonly #loopback: boolean
  readonly #hooks: GatewayHooks
  readonly #upstreams = new Upstreams()
  readonly #targets = new Map<string, Target>()
  #routes: ReadonlyMap<string, Route>
  /** Of the present configuration. */
  #present: ReadonlyMap<string, Target> = new Map()
  /** Routes that calls have brought, by their text. */
  readonly #ofClients = new Map<string, Route>()
  #spend: Spend
  readonly #keys: KeyRing | undefined
  readonly #keyLimiters = new Map<string, BucketRateLimiter>()
  readonly #ledger: CallLedger | undefined
  readonly #state: StateFile | undefined
  readonly #counters = new GatewayCounters()
  readonly #hold: Hold
  /** Calls that have not been sent yet, with what turns them away. */
  readonly #waiting = new Map<Course, (error: GatewayError) => void>()
  #inHand = 0
  #draining = false
  #idle: (() => void) | undefined

  constructor(options: GatewayOptions, loopback: boolean, hooks: GatewayHooks = {}) {
    this.#options = options
    this.#loopback = loopback
    this.#hooks = hooks
    this.#hold = new Hold(options.queue?.maxBytes ?? MOST_BYTES)
    const { state } = options
    this.#keys = state === undefined ? undefined : new KeyRing(state)
    this.#ledger = state === undefined ? undefined : new CallLedger(state)
    this.#state = state === undefined ? undefined : new StateFile(state, () => this.#snapshots())
    this.#routes = this.#routesOf(options)
    this.#spend = this.#spendOf(options)
  }

  /** Takes over another configuration. Calls that wait or run go on; limiters of targets that stay are kept. */
  reload(options: GatewayOptions): void {
    this.#state?.write()
    this.#ledger?.flush()
    const routes = this.#routesOf(options)
    this.#spend = this.#spendOf(options)
    this.#routes = routes
    this.#options = options
  }

  #routesOf({ targets, routes = {} }: GatewayOptions): ReadonlyMap<string, Route> {
    const present = targets.map((options) => {
      const known = this.#targets.get(options.name)
      if (known?.adopt(options)) return known
      const target = new Target(options, (limiter) => this.#hooks.limiter?.(limiter))
      this.#targets.set(options.name, target)
      return target
    })
    for (const { address, secrets } of present) this.#upstreams.allow(address, secrets)
    const saved = this.#state?.saved ?? {}
    const byName = new Map(present.map((target) => [target.name, target]))
    this.#present = byName
    this.#ofClients.clear()
    const own = Object.entries(routes).map(([name, config]) => {
      const plan = compileRoute(config, byName, `routes.${name}`, false)
      return [name, new Route(plan, name, saved)] as const
    })
    return new Map([[DEFAULT, new Route(planOf(present), DEFAULT, saved)], ...own])
  }

  /** The route that a call names: by its name, or as a config object of its own. */
  #routeFor(config: string | undefined): Route {
    if (config === undefined) return this.#routes.get(DEFAULT)!
    const known = this.#routes.get(config) ?? this.#ofClients.get(config)
    if (known) return known
    if (!config.startsWith('{')) {
      const names = [...this.#routes.keys()].join(', ')
      throw new GatewayError(
        400,
        'unknown_route',
        `x-portkey-config: there is no route '${config.slice(0, 80)}'; known: ${names}`,
      )
    }
    const route = new Route(planOfClient(config, this.#present), 'of a client', {})
    if (this.#ofClients.size >= MOST_OF_CLIENTS) this.#ofClients.delete(this.#ofClients.keys().next().value!)
    this.#ofClients.set(config, route)
    return route
  }

  #spendOf(options: GatewayOptions): Spend {
    const spend = new Spend(options)
    const keys = this.#keys?.all ?? []
    if (this.#ledger) spend.replay(this.#ledger.read(), keys)
    return spend
  }

  /** Resolves when the prices are there that budgets need. */
  async ready(): Promise<void> {
    if (this.#options.prices || this.#spend.wantsPrices(this.#keys?.all ?? [])) await this.#spend.load()
  }

  /** Whether programs need a key. */
  get needsKeys(): boolean {
    return this.#keys?.used ?? false
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
    const late = setTimeout(
      () => {
        for (const turnAway of [...this.#waiting.values()]) turnAway(leaving())
      },
      duration(this.#options.drain ?? '30s', 'drain'),
    )
    if (this.#inHand > 0) await new Promise<void>((resolve) => (this.#idle = resolve))
    clearTimeout(late)
    this.close()
  }

  close(): void {
    this.#upstreams.close()
    this.#state?.write()
    this.#ledger?.close()
  }

  #allRoutes(): Route[] {
    return [...this.#routes.values(), ...this.#ofClients.values()]
  }

  #snapshots(): SavedPools {
    return Object.assign({}, ...[...this.#routes.values()].map((route) => route.snapshots())) as SavedPools
  }

  /** What goes on, in numbers. */
  status(): GatewayStatus {
    return {
      waiting: this.#waiting.size,
      inHand: this.#inHand,
      bytesInHand: this.#hold.bytes,
      draining: this.#draining,
      targets: [...this.#present.values()].map((target) =>
        target.status(this.#allRoutes().flatMap((route) => route.statesOf(target))),
      ),
      budgets: this.#spend.stats(this.#keys?.all ?? []),
      counts: this.#counters.all(),
    }
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let protocol: Protocol = 'openai'
    let held = 0
    try {
      checkOrigin(request.headers, this.#loopback)
      const place = placeOf(request)
      if (place.path.startsWith('/-/')) return this.#admin(place.path, request, response)
      const found = protocolOf(place.path, request.headers)
      if (!found) throw unknownPath(place.path)
      protocol = found
      const key = this.#authorized(clientKey(request.headers, place.query))
      if (this.#draining) throw leaving()
      const body = await readBody(request, this.#hold)
      held = body?.length ?? 0
      await this.#pass(callOf(protocol, request, place, body, key), response)
    } catch (error) {
      this.#refuse(
        response,
        protocol,
        wordsOf(error, () => 0),
      )
    } finally {
      this.#hold.bytes -= held
    }
  }

  #admin(path: string, request: IncomingMessage, response: ServerResponse): void {
    const { adminKey } = this.#options
    const open = adminKey === undefined && this.#loopback && !this.needsKeys
    const given = open || adminKey === undefined ? undefined : clientKey(request.headers, '')
    answerAdmin(path, { open, adminKey, given }, () => this.status(), response)
  }

  #authorized(given: string | undefined): StoredKey | undefined {
    if (!this.needsKeys) return undefined
    const key = this.#keys!.find(given, Date.now())
    if (key) return key
    const why =
      given === undefined ? 'a key of the gateway is needed' : 'this key is not known, or has expired'
    throw new GatewayError(401, 'invalid_key', `${why}: llmiter keys add makes one`, { mayRetry: false })
  }

  async #pass(call: ClientCall, response: ServerResponse): Promise<void> {
    const { protocol, model } = call
    const pool = this.#routeFor(call.terms.route).poolFor(protocol, model)
    if (!pool) throw this.#noTarget(protocol)
    const options = this.#poolCall(pool, call)
    this.#admit(pool, options, call)
    const course: Course = {
      startedAt: performance.now(),
      charge: this.#spend.reserve(options, call.key),
      waitedMs: 0,
      attempts: 0,
      target: '',
      option: undefined,
      ticket: undefined,
      cost: undefined,
    }
    const gone = new AbortController()
    const leave = () => {
      if (!response.writableFinished) gone.abort(new Error('the client has left'))
    }
    response.once('close', leave)
    const stopComments = this.#comment(call, response)
    this.#waiting.set(course, (error) => gone.abort(error))
    try {
      const answer = await this.#run(pool, call, course, { ...options, signal: gone.signal })
      stopComments()
      if (gone.signal.aborted) return
      if (answer instanceof StreamAnswer) await passStream(answer, protocol, ownHeaders(course), response)
      else passWhole(answer, ownHeaders(course), response)
    } catch (error) {
      course.charge?.release()
      // Whoever has left hears nothing more.
      if (gone.signal.aborted && !(gone.signal.reason instanceof GatewayError)) return
      const words = wordsOf(gone.signal.aborted ? gone.signal.reason : error, () =>
        pool.waitTime(costOf(call)),
      )
      this.#refuse(response, protocol, words, course.attempts > 0 ? ownHeaders(course) : {})
    } finally {
      stopComments()
      this.#waiting.delete(course)
      response.removeListener('close', leave)
      this.#state?.touch()
    }
  }

  #refuse(
    response: ServerResponse,
    protocol: Protocol,
    error: unknown,
    own: Record<string, string> = {},
  ): void {
    if (error instanceof GatewayError) this.#counters.refused(error.code)
    fail(response, protocol, error, own)
  }

  #noTarget(protocol: Protocol): GatewayError {
    const known = [...new Set(this.#options.targets.map((target) => target.protocol))].join(', ')
    return new GatewayError(404, 'no_target', `no target speaks ${protocol}; there are targets for: ${known}`)
  }

  #poolCall(pool: Pool<Leaf>, call: ClientCall): PoolCall & { signal?: AbortSignal } {
    const { model, terms, key } = call
    const { priority, target } = terms
    const tenant = terms.tenant ?? key?.id
    const maxWait = this.#options.maxWait
    const maxWaitMs = terms.maxWaitMs ?? (maxWait === undefined ? undefined : duration(maxWait, 'maxWait'))
    return {
      ...costOf(call),
      ...((pool.targets.some(({ plan }) => plan.target.countsTokens) ||
        key?.limits ||
        this.#spend.reads(key)) && {
        request: requestOf(call),
      }),
      ...(terms.metadata && { metadata: terms.metadata }),
      ...(model !== undefined && { model, params: { model } }),
      ...(priority !== undefined && { priority }),
      ...(tenant !== undefined && { tenant }),
      ...(maxWaitMs !== undefined && { maxWaitMs }),
      ...(target !== undefined && { target: knownTarget(pool, target) }),
    }
  }

  /** @throws GatewayError when the call would wait for longer than it may, or nobody else may wait. */
  #admit(pool: Pool<Leaf>, options: PoolCall, { key }: ClientCall): void {
    const { maxWaitMs } = options
    const waitMs = () => Math.max(pool.waitTime(options), this.#limiterOf(key)?.waitTime(options.cost) ?? 0)
    if (typeof maxWaitMs === 'number' && maxWaitMs > 0) {
      const wait = waitMs()
      if (wait > maxWaitMs) {
        const message = `the call would wait ${Math.ceil(wait)} ms, which is longer than its maximum of ${maxWaitMs} ms`
        throw new GatewayError(429, 'wait_too_long', message, { retryAfterMs: wait })
      }
    }
    if (this.#waiting.size >= (this.#options.queue?.max ?? MOST_WAITING))
      throw new GatewayError(429, 'queue_full', `${this.#waiting.size} calls wait, which is as many as may`, {
        retryAfterMs: waitMs(),
      })
  }

  /** A key may have limits of its own: its calls wait for these first. */
  #limiterOf(key: StoredKey | undefined): BucketRateLimiter | undefined {
    if (!key?.limits) return undefined
    let limiter = this.#keyLimiters.get(key.id)
    if (!limiter) {
      limiter = new BucketRateLimiter({ name: `key ${key.name}`, ramp: false, ...key.limits })
      this.#keyLimiters.set(key.id, limiter)
    }
    return limiter
  }

  async #run(
    pool: Pool<Leaf>,
    call: ClientCall,
    course: Course,
    options: PoolCall & { signal: AbortSignal },
  ): Promise<WholeAnswer | StreamAnswer> {
    const limiter = this.#limiterOf(call.key)
    if (limiter) {
      const { cost, request, signal, maxWaitMs } = options
      course.ticket = await limiter.acquire({ cost, request, signal, maxWaitMs })
    }
    try {
      return await pool.run((leaf, signal) => this.#send(leaf, call, course, signal), options)
    } catch (error) {
      if (course.attempts > 0) course.ticket?.finish()
      else course.ticket?.release()
      throw error
    }
  }

  async #send(
    leaf: Leaf,
    call: ClientCall,
    course: Course,
    signal: AbortSignal | undefined,
  ): Promise<WholeAnswer | StreamAnswer> {
    const { target, overrides, timeoutMs, option, goesOn } = leaf.plan
    this.#waiting.delete(course)
    course.charge?.hold()
    if (course.attempts++ === 0) course.waitedMs = performance.now() - course.startedAt
    course.target = target.name
    course.option = option
    const attempt: Try = { id: randomUUID(), at: Date.now(), target: target.name }
    if (course.charge) this.#ledger?.add({ of: 'sent', ...lineOf(call, attempt), bound: course.charge.bound })
    const hideUsage = call.bodyForUsage !== undefined && target.options.includeUsage !== false
    try {
      const answer = await this.#upstreams.send({
        address: target.address,
        method: call.method,
        path: call.path,
        headers: { ...call.headers, ...target.headers },
        body: bodyOf(call, hideUsage, overrides),
        signal,
        hideUsage,
        timeoutMs: timeoutMs ?? target.timeoutMs,
        streamOver: (end) => this.#streamOver(call, course, attempt, end),
      })
      if (!(answer instanceof StreamAnswer)) this.#answered(call, course, attempt, answer.answered, answer)
      return answer
    } catch (error) {
      this.#failed(call, course, attempt, error)
      if (error instanceof UpstreamError) error.goesOn = goesOn?.(error.status) ?? false
      throw error
    }
  }

  /** A try was answered, and the answer is whole. */
  #answered(call: ClientCall, course: Course, attempt: Try, status: number, usage: object): void {
    const { billed, usd } = this.#spend.usedBy(call.model, usage)
    const used = billed && this.#amounts(billed.input + billed.output, usd)
    course.cost = usd
    course.charge?.settle(used)
    const told = mergeUsage(undefined, usage)
    course.ticket?.finish(told ? { usage: told } : {})
    this.#over(call, course, attempt, status, billed, usd, used ?? course.charge?.bound)
  }

  /** Of a stream that broke, or whose client has left, only a part has been told: what was seen counts. */
  #streamOver(call: ClientCall, course: Course, attempt: Try, { whole, usage, events }: StreamEnd): void {
    if (whole) return this.#answered(call, course, attempt, 200, usage)
    const told = this.#spend.usedBy(call.model, usage).billed
    const billed = {
      input: Math.max(told?.input ?? 0, course.charge?.input ?? 0),
      cached: told?.cached ?? 0,
      output: Math.max(told?.output ?? 0, events),
    }
    const usd = this.#spend.usd(call.model, billed)
    const used = this.#amounts(billed.input + billed.output, usd)
    course.charge?.settle(used)
    course.ticket?.finish({ usage: { inputTokens: billed.input, outputTokens: billed.output } })
    this.#over(call, course, attempt, 0, billed, usd, used)
  }

  /** A try failed. Where there was no answer, nobody knows what it has used. */
  #failed(call: ClientCall, course: Course, attempt: Try, error: unknown): void {
    const status = error instanceof UpstreamError ? error.status : 0
    const nothing = { requests: 0, tokens: 0, usd: 0 }
    this.#over(call, course, attempt, status, undefined, undefined, status ? nothing : course.charge?.bound)
    if (status) course.charge?.release()
    else course.charge?.settle()
  }

  #amounts(tokens: number, usd = 0): LedgerAmounts {
    return { requests: 1, tokens, usd: Math.ceil(usd * 1e9) }
  }

  #over(
    call: ClientCall,
    course: Course,
    attempt: Try,
    status: number,
    billed: { readonly input: number; readonly output: number } | undefined,
    usd: number | undefined,
    used: LedgerAmounts | undefined,
  ): void {
    const ms = Date.now() - attempt.at
    this.#counters.answered(attempt.target, status, course.waitedMs, ms, billed, usd)
    this.#ledger?.add({
      of: 'over',
      ...lineOf(call, attempt),
      target: attempt.target,
      status,
      waitedMs: Math.round(course.waitedMs),
      ms,
      ...(billed && { inputTokens: billed.input, outputTokens: billed.output }),
      ...(usd !== undefined && { cost: usd }),
      ...(course.charge && used && { used }),
    })
  }

  /** Comments for a stream that waits. From the first one on its head is out, and a failure is an event. */
  #comment({ stream, protocol }: ClientCall, response: ServerResponse): () => void {
    const { waitComments } = this.#options
    if (waitComments === undefined || !stream) return () => {}
    const tick = () => {
      if (!response.headersSent)
        response.writeHead(200, {
          'content-type': 'text/event-stream; charset=utf-8',
          'cache-control': 'no-cache',
        })
      response.write(protocol === 'anthropic' ? 'event: ping\ndata: {"type": "ping"}\n\n' : ': waiting\n\n')
    }
    const timer = setInterval(tick, duration(waitComments, 'waitComments'))
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

/** @throws GatewayError that names the field which is wrong, or which is not served. */
function planOfClient(config: string, targets: ReadonlyMap<string, Target>): RoutePlan {
  try {
    if (config.length > LONGEST_CONFIG) throw new TypeError(`it is longer than ${LONGEST_CONFIG} characters`)
    return compileRoute(JSON.parse(config), targets, 'config', true)
  } catch (error) {
    throw new GatewayError(400, 'bad_route', `x-portkey-config: ${(error as Error).message}`, {
      mayRetry: false,
    })
  }
}

/** The body as it came, unless the route has fields for it. */
function bodyOf(
  call: ClientCall,
  hideUsage: boolean,
  overrides: Readonly<Record<string, unknown>> | undefined,
) {
  const body = hideUsage ? call.bodyForUsage : call.body
  if (!overrides || !body) return body
  const said = requestOf({ ...call, body })
  return Buffer.from(JSON.stringify({ ...Object(said), ...overrides }))
}

function knownTarget(pool: Pool<Leaf>, name: string): string {
  const found = pool.targets.find(({ plan }) => plan.target.name === name)
  if (found) return found.name
  const known = [...new Set(pool.targets.map(({ plan }) => plan.target.name))].join(', ')
  throw new GatewayError(
    400,
    'unknown_target',
    `x-llmiter-target: there is no target '${name.slice(0, 80)}'; known: ${known}`,
  )
}

function lineOf({ key, terms, model }: ClientCall, { id, at }: Try) {
  const tenant = terms.tenant ?? key?.id
  return {
    at,
    id,
    ...(key && { key: key.id }),
    ...(tenant !== undefined && { tenant }),
    ...(model !== undefined && { model }),
  }
}

function ownHeaders({ target, waitedMs, attempts, cost, option }: Course): Record<string, string> {
  return {
    'x-llmiter-target': target,
    'x-llmiter-waited-ms': String(Math.round(waitedMs)),
    'x-llmiter-attempts': String(attempts),
    'x-portkey-retry-attempt-count': String(attempts - 1),
    ...(option !== undefined && { 'x-portkey-last-used-option-index': option }),
    ...(cost !== undefined && { 'x-llmiter-cost': String(cost) }),
  }
}
