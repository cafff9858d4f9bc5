// OpenTelemetry: `llmiter/otel`. Metrics of a limiter and of its calls, and two span events.
//
// Names follow the GenAI semantic conventions where those define one (`gen_ai.client.*`, the metrics of a client;
// `gen_ai.server.*` are for the model's server). Other names start with `llmiter.`. Times are in seconds, as usual
// in OpenTelemetry. Counts come from the limiter's events. Levels are read when they are collected. A limiter that
// is not instrumented has no overhead.

import { MINUTE } from '../lib/units.ts'
import {
  type Attributes,
  type BatchObservableResult,
  type Meter,
  type MeterProvider,
  metrics,
  trace,
} from '@opentelemetry/api'
import {
  type BoundBy,
  type BucketRateLimiter,
  type EventName,
  type LimitedService,
  type LimiterEvent,
  LimiterError,
} from 'llmiter'
import { fields } from '../lib/validate.ts'
import { type Instruments, makeInstruments } from './instruments.ts'

/** Options of `instrument`. */
export interface InstrumentOptions {
  /**
   * The provider of the meter that records the metrics.
   * @default the global meter provider
   */
  meterProvider?: MeterProvider | undefined
  /** `gen_ai.provider.name`, such as `'openai'` or `'anthropic'`. */
  provider?: string | undefined
  /**
   * `gen_ai.operation.name`.
   * @default 'chat'
   */
  operation?: string | undefined
  /**
   * Returns `gen_ai.request.model` for a limiter name.
   * @default the name of a `perModel` limiter without a wildcard, otherwise none
   */
  model?: ((limiter: string) => string | undefined) | undefined
  /** Attributes that are added to all metrics. */
  attributes?: Attributes | undefined
}

const KEYS = ['meterProvider', 'provider', 'operation', 'model', 'attributes']
const GATES = ['open', 'closed', 'probing'] as const

/**
 * Reports a limiter, or all limiters of a service, to OpenTelemetry, including limiters created later. Returns a
 * function that stops the reporting. After that, the SDK keeps exporting the last values it read.
 *
 * If a span is active when a call is made, it gets the event `llmiter.wait` if the call waited for its ticket, and
 * the event `llmiter.refusal` for each refusal by the provider.
 *
 * @example
 * const gpt = new BucketRateLimiter({ name: 'gpt-5', requestsPerMinute: 500 })
 * const off = instrument(gpt, { provider: 'openai' })
 *
 * @throws TypeError when an option is unknown, or the first argument is neither a limiter nor a service of
 * llmiter.
 */
export function instrument(
  limiter: BucketRateLimiter | LimitedService,
  options: InstrumentOptions = {},
): () => void {
  fields(options, 'instrument', KEYS)
  if (!isService(limiter) && !isLimiter(limiter))
    throw new TypeError('instrument takes a BucketRateLimiter, or a service made by perModel or shared')
  const { meterProvider, provider, operation = 'chat', attributes } = options
  const meter = (meterProvider ?? metrics).getMeter('llmiter')
  const instruments = makeInstruments(meter)
  const offs: (() => void)[] = []

  const watch = (one: BucketRateLimiter) => {
    const model = options.model ? options.model(one.name) : modelOf(limiter, one.name)
    const own = {
      ...attributes,
      'llmiter.limiter': one.name,
      ...(model !== undefined && { 'gen_ai.request.model': model }),
    }
    const call = {
      ...own,
      'gen_ai.operation.name': operation,
      ...(provider !== undefined && { 'gen_ai.provider.name': provider }),
    }
    offs.push(count(one, instruments, own, call), observe(one, meter, instruments, own))
  }
  if (isService(limiter)) offs.push(limiter.onLimiter(watch))
  else watch(limiter)
  return () => {
    for (const off of offs.splice(0)) off()
  }
}

const has = (value: unknown, method: string) =>
  typeof (Object(value) as Record<string, unknown>)[method] === 'function'
const isService = (value: unknown): value is LimitedService => has(value, 'onLimiter')
const isLimiter = (value: unknown) => has(value, 'stats') && has(value, 'on')

/** The model of a `perModel` limiter is its name, except for wildcards and `default`. */
function modelOf(limiter: BucketRateLimiter | LimitedService, name: string): string | undefined {
  const isModel = isService(limiter) && limiter.name !== name && name !== 'default' && !name.endsWith('*')
  return isModel ? name : undefined
}

/** Counts events, call by call. */
function count(
  limiter: BucketRateLimiter,
  instruments: Instruments,
  own: Attributes,
  call: Attributes,
): () => void {
  const { requests, tickets, refusals, rejections, wait, tokens, duration, firstChunk, nextChunk } =
    instruments
  const offs: (() => void)[] = []
  const on = <E extends EventName>(event: E, listener: (event: LimiterEvent<E>) => void) =>
    void offs.push(limiter.on(event, listener))

  on('request', () => requests.add(1, own))
  on('issue', ({ waitedMs }) => {
    tickets.add(1, own)
    wait.record(waitedMs / 1000, own)
  })
  on('start', ({ waitedMs }) => {
    if (waitedMs > 0)
      trace.getActiveSpan()?.addEvent('llmiter.wait', { ...own, 'llmiter.wait.duration': waitedMs / 1000 })
  })
  on('refuse', ({ verdict: { kind, of, reason, waitMs } }) => {
    const why = { ...own, 'llmiter.refusal.kind': kind, ...(of && { 'llmiter.limit': of }) }
    refusals.add(1, why)
    trace.getActiveSpan()?.addEvent('llmiter.refusal', {
      ...why,
      'llmiter.refusal.reason': reason,
      ...(waitMs !== undefined && { 'llmiter.refusal.retry_after': waitMs / 1000 }),
    })
  })
  on('reject', ({ error }) => rejections.add(1, { ...own, 'error.type': typeOf(error) }))
  on('usage', ({ input, output }) => {
    tokens.record(input, { ...call, 'gen_ai.token.type': 'input' })
    tokens.record(output, { ...call, 'gen_ai.token.type': 'output' })
  })
  on('finish', ({ ok, ms, failure = '_OTHER' }) =>
    duration.record(ms / 1000, ok ? call : { ...call, 'error.type': failure }),
  )
  on('chunk', ({ first, ms }) => (first ? firstChunk : nextChunk).record(ms / 1000, call))
  return () => {
    for (const off of offs) off()
  }
}

/** Reports levels when they are collected. */
function observe(
  limiter: BucketRateLimiter,
  meter: Meter,
  instruments: Instruments,
  own: Attributes,
): () => void {
  const { waiting, parked, inFlight, rate, limit, available, bound, gate, share } = instruments
  const causes = new Map<string, Attributes>()
  const read = (result: BatchObservableResult) => {
    const stats = limiter.stats()
    result.observe(waiting, stats.waiting, own)
    result.observe(parked, stats.parked, own)
    result.observe(inFlight, stats.inFlight, own)
    for (const state of GATES)
      result.observe(gate, stats.gate === state ? 1 : 0, { ...own, 'llmiter.gate.state': state })
    if (stats.health) result.observe(share, stats.health.share, own)
    for (const each of stats.limits) {
      if (each.perMs === Infinity) continue
      const { amount, learned = amount, perMs } = each
      const attributes = { ...own, ...limitOf(each) }
      result.observe(rate, (learned * MINUTE) / perMs, attributes)
      result.observe(limit, (amount * MINUTE) / perMs, attributes)
      result.observe(available, each.available, attributes)
    }
    // A cause that applied before is reported as 0 afterwards. Otherwise charts would keep showing its last value.
    const shares = new Map(stats.boundBy.map((cause) => [keyOf(cause), cause.share]))
    for (const cause of stats.boundBy) causes.set(keyOf(cause), causeOf(cause, stats.name))
    for (const [key, cause] of causes) result.observe(bound, shares.get(key) ?? 0, { ...own, ...cause })
  }
  const observables = [waiting, parked, inFlight, rate, limit, available, bound, gate, share]
  meter.addBatchObservableCallback(read, observables)
  return () => meter.removeBatchObservableCallback(read, observables)
}

const keyOf = ({ kind, limiter, of, perMs, refused }: BoundBy) =>
  [kind, limiter, of, perMs, refused].join('/')

const limitOf = ({ of, perMs }: { of?: string; perMs?: number }): Attributes => ({
  ...(of !== undefined && { 'llmiter.limit': of }),
  ...(perMs !== undefined && perMs < Infinity && { 'llmiter.limit.window': perMs / 1000 }),
})

/** Attributes of a cause: `gate.overload` or the limit, plus the limiter if it is a parent. */
const causeOf = ({ kind, refused, limiter, ...limit }: BoundBy, name: string): Attributes => ({
  'llmiter.cause': refused === undefined ? kind : `${kind}.${refused}`,
  ...limitOf(limit),
  ...(limiter !== name && { 'llmiter.cause.limiter': limiter }),
})

/** The code of a limiter error, else the error's name, such as `AbortError`. */
function typeOf(error: unknown): string {
  if (error instanceof LimiterError) return error.code
  return error instanceof Error ? error.name : '_OTHER'
}
