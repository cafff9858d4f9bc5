/**
 * Handles one HTTP request: finds the endpoint, asks the model whether it accepts the call, and sends the answer
 * at the right times.
 *
 * Everything that takes time ends early when the client leaves. So a closed server leaves no timers, and the model
 * is told about the end of every accepted call.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../../scheduler/clock.ts'
import type {
  HttpFault,
  HttpProviderOptions,
  HttpRequestCounters,
  HttpRequestRecord,
} from '../http-options.ts'
import type { Admitted, ModelProvider, Refused } from '../provider.ts'
import { answerBody, answerFrames, embeddingsBody, modelBody, type Answer } from './answer.ts'
import { errorBody, limitHeaders, midwayError, refusalBody, retryHeaders } from './refusal.ts'
import { isInvalid, readRequest, type Endpoint, type ModelRequest } from './request.ts'

const endpoints: Readonly<Record<string, Endpoint>> = {
  '/v1/chat/completions': 'chat',
  '/v1/responses': 'responses',
  '/v1/embeddings': 'embeddings',
}

type Fault = HttpFault | undefined

/** A request to a model, with everything needed to answer it. */
interface Exchange {
  request: ModelRequest
  provider: ModelProvider
  record: HttpRequestRecord
  id: string
  response: ServerResponse
  /** Aborted when either side closes the connection. */
  gone: AbortSignal
}

export class OpenAiService {
  readonly #options: HttpProviderOptions & { clock: Clock }
  readonly #log: HttpRequestRecord[] = []
  readonly #byStatus: Record<number, number> = {}
  readonly counters: { -readonly [K in keyof HttpRequestCounters]: HttpRequestCounters[K] }
  #nextId = 0

  constructor(options: HttpProviderOptions & { clock: Clock }) {
    this.#options = options
    this.counters = { admitted: 0, refused: 0, byStatus: this.#byStatus, log: this.#log }
  }

  /** Never rejects: an error of a user's model or chaos is answered with a 500 that contains it. */
  async serve(message: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      await this.#route(message, response)
    } catch (error) {
      if (response.headersSent || response.destroyed) response.destroy()
      else this.#send(response, 500, errorBody(String(error), { type: 'server_error' }))
    }
  }

  async #route(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const id = String(this.#nextId++).padStart(8, '0')
    response.setHeader('x-request-id', `req_${id}`)
    response.setHeader('date', new Date(this.#options.clock.wall()).toUTCString())
    const path = (message.url ?? '').split('?', 1)[0]!
    const endpoint = endpoints[path]
    if (message.method === 'GET' && /^\/v1\/models(\/|$)/.test(path)) {
      this.#listModels(response, decodeURIComponent(path.slice('/v1/models/'.length)))
    } else if (message.method === 'POST' && endpoint) {
      await this.#ask(endpoint, path, id, await textOf(message), response)
    } else {
      this.#send(response, 404, errorBody(`Invalid URL (${message.method} ${path})`))
    }
  }

  #listModels(response: ServerResponse, name: string): void {
    const names = isProvider(this.#options.model) ? ['any-model'] : Object.keys(this.#options.model)
    if (name === '') this.#send(response, 200, { object: 'list', data: names.map(modelBody) })
    else if (this.#providerOf(name)) this.#send(response, 200, modelBody(name))
    else this.#sendUnknownModel(response, name)
  }

  #providerOf(name: string): ModelProvider | undefined {
    const { model } = this.#options
    if (isProvider(model)) return model
    return Object.hasOwn(model, name) ? model[name] : undefined
  }

  async #ask(endpoint: Endpoint, path: string, id: string, body: string, response: ServerResponse) {
    const request = readRequest(endpoint, body)
    if (isInvalid(request)) return this.#send(response, 400, errorBody(request.message, request))
    const { model, stream } = request
    const provider = this.#providerOf(model)
    if (!provider) return this.#sendUnknownModel(response, model)
    const fault = this.#options.chaos?.({ index: this.#log.length, path, model, stream })
    const atMs = this.#options.clock.now()
    const record = { atMs, path, model, status: 0, outputTokens: 0, left: false }
    this.#log.push(record)
    const exchange = { request, provider, record, id, response, gone: closedSignal(response) }
    if (fault?.kind === 'refused') return this.#refuse(exchange, fault)
    const tokens = this.#lengthOf(request)
    const { inputTokens, maxOutputTokens = tokens } = request
    const answer = provider.ask(atMs, { inputTokens, outputTokens: tokens, maxOutputTokens })
    if (answer.kind === 'refused') return this.#refuse(exchange, answer)
    this.counters.admitted++
    // To a client, a silent model looks like an accepted call that hangs.
    if (answer.kind === 'silent') await this.#produce(exchange, { finish() {} }, tokens, { kind: 'hangs' })
    else await this.#produce(exchange, answer, tokens, fault)
  }

  #refuse(exchange: Exchange, refusal: Refused): void {
    this.counters.refused++
    const { request, record, response } = exchange
    this.#setLimitHeaders(exchange)
    record.status = refusal.status
    this.#send(response, refusal.status, refusalBody(refusal, request.model), retryHeaders(refusal))
  }

  async #produce(
    exchange: Exchange,
    call: Pick<Admitted, 'finish'>,
    tokens: number,
    fault: Fault,
  ): Promise<void> {
    const { record, request, gone } = exchange
    try {
      if (fault?.kind === 'hangs') await aborted(gone)
      await this.#pause(valueOf(this.#options.latencyMs ?? 0), gone)
      if (!gone.aborted) await this.#deliver(exchange, tokens, fault)
      record.left = gone.aborted
    } finally {
      call.finish(this.#options.clock.now(), {
        inputTokens: request.inputTokens,
        outputTokens: record.outputTokens,
      })
    }
  }

  async #deliver(exchange: Exchange, tokens: number, fault: Fault): Promise<void> {
    const { request, record, id, response, gone } = exchange
    const createdAtS = Math.floor(this.#options.clock.wall() / 1000)
    const answer = { id, request, createdAtS, tokens, cutOff: tokens === request.maxOutputTokens }
    if (fault?.kind === 'fails') {
      record.status = fault.status
      const what = 'The server had an error while processing your request. Sorry about that!'
      return this.#send(response, fault.status, errorBody(what, { type: 'server_error' }))
    }
    if (request.stream && request.endpoint !== 'embeddings') return this.#stream(exchange, answer, fault)
    await this.#pause(this.#msUntilToken(tokens), gone)
    if (gone.aborted || fault?.kind === 'drops') return void response.destroy()
    record.outputTokens = tokens
    record.status = 200
    this.#setLimitHeaders(exchange)
    this.#send(
      response,
      200,
      request.endpoint === 'embeddings' ? embeddingsBody(request) : answerBody(answer),
    )
  }

  async #stream(exchange: Exchange, answer: Answer, fault: Fault): Promise<void> {
    const { record, response, gone } = exchange
    const { clock } = this.#options
    const breaksAfter = fault && 'afterTokens' in fault ? (fault.afterTokens ?? 0) : 0
    const breaks = fault?.kind === 'drops' || fault?.kind === 'refuses-midway'
    const startedAt = clock.now()
    record.status = 200
    this.#setLimitHeaders(exchange)
    this.#sendHead(response, 200, { 'content-type': 'text/event-stream; charset=utf-8' })
    for (const { text, token } of answerFrames(answer)) {
      if (breaks && token && record.outputTokens === breaksAfter) {
        if (fault.kind === 'refuses-midway') response.end(midwayError(exchange.request))
        else response.destroy()
        return
      }
      if (token)
        await this.#pause(startedAt + this.#msUntilToken(record.outputTokens + 1) - clock.now(), gone)
      if (gone.aborted) return
      response.write(text)
      if (token) record.outputTokens++
    }
    response.end()
  }

  #lengthOf({ endpoint, maxOutputTokens = Infinity }: ModelRequest): number {
    if (endpoint === 'embeddings') return 0
    return Math.min(valueOf(this.#options.answerTokens ?? 16), maxOutputTokens)
  }

  #msUntilToken(tokens: number): number {
    return (1000 * tokens) / (this.#options.tokensPerSecond ?? Infinity)
  }

  /** Resolves after `ms`, or when the client leaves. */
  #pause(ms: number, gone: AbortSignal): Promise<void> {
    if (ms <= 0 || gone.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      const end = () => {
        gone.removeEventListener('abort', end)
        cancel()
        resolve()
      }
      const cancel = this.#options.clock.setTimer(end, ms)
      gone.addEventListener('abort', end)
    })
  }

  #setLimitHeaders({ provider, response }: Exchange): void {
    for (const [name, value] of Object.entries(limitHeaders(provider.limits(this.#options.clock.now())))) {
      response.setHeader(name, value)
    }
  }

  #sendUnknownModel(response: ServerResponse, name: string): void {
    const message = `The model \`${name}\` does not exist or you do not have access to it.`
    this.#send(response, 404, errorBody(message, { code: 'model_not_found' }))
  }

  #send(response: ServerResponse, status: number, body: object, headers: Record<string, string> = {}): void {
    this.#sendHead(response, status, { 'content-type': 'application/json', ...headers })
    response.end(JSON.stringify(body))
  }

  #sendHead(response: ServerResponse, status: number, headers: Record<string, string>): void {
    this.#byStatus[status] = (this.#byStatus[status] ?? 0) + 1
    response.writeHead(status, headers)
  }
}

function isProvider(model: HttpProviderOptions['model']): model is ModelProvider {
  return typeof model['ask'] === 'function'
}

function valueOf(setting: number | (() => number)): number {
  return typeof setting === 'number' ? setting : setting()
}

async function textOf(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of message) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('utf8')
}

function closedSignal(response: ServerResponse): AbortSignal {
  const controller = new AbortController()
  response.once('close', () => controller.abort())
  return controller.signal
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
