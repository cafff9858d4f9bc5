// Finds which limiter a call of a client uses, what it costs there, and what it used in the end.

import {
  type AnyLimiter,
  type BucketRateLimiter,
  type CallOptions,
  type Cost,
  type Duration,
  estimateTokens,
  type LimiterGroup,
  limiterGroup,
  type LimitedService,
  type LimiterLike,
  type LimiterOptions,
  type ModelLimits,
  perModel,
  type RateLimitedService,
  shared,
  type Ticket,
  type Usage,
} from 'llmiter'
import type { Charge } from './charge.ts'
import { context } from '../../lib/async-context.ts'
import { CALL_SYNONYMS } from '../../lib/synonyms.ts'
import { defined, callable, choice, fields, kindOf, text } from '../../lib/validate.ts'

/**
 * A limiter for each model. `'gpt-5*'` is one limiter shared by a family. `default` applies to models that are not
 * listed.
 */
export interface LimitsByModel {
  /**
   * The limits of each model. `'gpt-5*'` is one limiter shared by a family. `default` applies to models that are
   * not listed.
   */
  models: Record<string, ModelLimits>
  /** The account's limiter, above all models. */
  parent?: AnyLimiter | undefined
}

/** Limits by model, or one limiter for all calls: a limiter, a service, or the options for a new limiter. */
export type ClientLimits = LimitsByModel | LimiterLike

/** Options for all calls of a limited client. */
export interface ClientOptions {
  /**
   * Counts the input tokens of a request's body.
   * @default an estimate, corrected by actual usage
   */
  countTokens?: ((request: unknown) => number) | undefined
  /** Reads the tenant from the body of a request. Tenants of one limiter take fair turns. */
  tenant?: ((request: unknown) => string | undefined) | undefined
  /**
   * Higher goes first.
   * @default 0
   */
  priority?: number | undefined
  /**
   * The maximum wait for a ticket, including waits after refusals. After it the call rejects with
   * `WaitTimeoutError`.
   * @default no bound
   */
  maxWaitMs?: Duration | undefined
  /**
   * How calls that generate nothing (lists, files, batches) are charged. `'requests'`: each takes a request.
   * @default 'free'
   */
  otherCalls?: 'free' | 'requests' | undefined
  /**
   * Whether each text of an embedding batch takes a request, as Gemini counts them, or the whole call takes one.
   * Only Gemini's clients send such batches.
   * @default 'per-text'
   */
  countEmbeddings?: 'per-text' | 'per-call' | undefined
}

/** The options for some of a client's calls: see `withLimiterOptions`. */
export type ClientCallOptions = Pick<
  CallOptions,
  'priority' | 'tenant' | 'maxWaitMs' | 'maxRefusals' | 'cost' | 'timeoutMs' | 'retry'
>

const CALL_OPTIONS = ['priority', 'tenant', 'maxWaitMs', 'maxRefusals', 'cost', 'timeoutMs', 'retry']
const OPTIONS = ['countTokens', 'tenant', 'priority', 'maxWaitMs', 'otherCalls', 'countEmbeddings']
const NO_TOKENS = { requests: 1, tokens: 0, inputTokens: 0, outputTokens: 0 }

/** The properties of a call that matter for its limits. */
export interface LimitedCall {
  model: string | undefined
  /** The body of the request. */
  request: unknown
  /** Whether it generates something. Otherwise `otherCalls` applies. */
  generates: boolean
  signal: AbortSignal | undefined
  /** Options for this call only. */
  options?: ClientCallOptions
  /** The charging rule, for a client that serves several providers. */
  charge?: Charge
}

/** The right to make one call, and how to settle it. */
export interface ClientTicket {
  readonly ticket: Ticket
  /** What was used of the limits, given the usage in the answer. */
  used(usage: Usage): Usage
}

export class Limits {
  /** All limiters of these calls that are known so far. */
  readonly group: LimiterGroup
  /** Finds the limiter of a model's calls. */
  readonly service: RateLimitedService
  readonly #charge: Charge
  readonly #options: ClientOptions
  readonly #call: ClientCallOptions

  constructor(service: GroupedService, charge: Charge, options: ClientOptions, call: ClientCallOptions) {
    this.group = service.group
    this.service = service
    // Its calls may be nested in calls of the same limiter.
    context.wanted = true
    this.#charge = charge
    this.#options = options
    this.#call = call
  }

  /** The same limits, for calls with their own options. */
  withOptions(options: ClientCallOptions): Limits {
    checkCallOptions(options, 'withLimiterOptions')
    const service = { ...this.service, group: this.group }
    return new Limits(service, this.#charge, this.#options, { ...this.#call, ...defined(options) })
  }

  /** Whether a call of this kind needs a ticket. */
  covers({ generates }: Pick<LimitedCall, 'generates'>): boolean {
    return generates || this.#options.otherCalls === 'requests'
  }

  /** Waits for a ticket. Rejects with a `LimiterError`, or with the reason of the call's signal. */
  async grant(call: LimitedCall): Promise<ClientTicket> {
    const { generates, request, model, signal, charge = this.#charge } = call
    const limiter = this.#limiterFor(model)
    const own = { ...this.#call, ...call.options }
    const cost = generates ? { ...this.#cost(request, limiter, charge), ...own.cost } : NO_TOKENS
    const { tenant = this.#options.tenant?.(request) } = own
    const ticket = await limiter.acquire({ ...own, cost, request, signal, tenant })
    return { ticket, used: (usage) => (generates ? charge.used(usage, cost) : NO_TOKENS) }
  }

  #limiterFor(model: string | undefined): BucketRateLimiter {
    const service = this.service
    // The limiter may be from another copy of the package, with the same methods.
    const limiter = service.limiterFor(model) as BucketRateLimiter
    if (service.isBlocked && !probing.has(limiter)) {
      probing.add(limiter)
      limiter.update({ probe: async (signal) => !(await service.isBlocked!(signal)) })
    }
    return limiter
  }

  #cost(request: unknown, limiter: BucketRateLimiter, charge: Charge): Partial<Cost> {
    const limits = limiter.stats().limits.filter(({ of }) => /token/i.test(of))
    const { countTokens, countEmbeddings } = this.#options
    const counted = countTokens?.(request)
    const estimate = estimateTokens([request])
    const inputTokens =
      counted ?? Math.min(estimate.inputTokens, ...limits.map(({ amount }) => Math.floor(amount)))
    return {
      ...(counted !== undefined && { inputTokens: counted }),
      ...charge.cost({ request, inputTokens, maxOutputTokens: estimate.maxOutputTokens }),
      ...(countEmbeddings === 'per-call' && { requests: 1 }),
    }
  }
}

/** Limiters that already ask their service whether the provider accepts calls again. */
const probing = new WeakSet<AnyLimiter>()

/** Creates the limits of a client from the user's options. */
export function limitsOf(
  limits: ClientLimits,
  charge: Charge,
  options: ClientOptions,
  name: string,
  more: readonly string[] = [],
): Limits {
  fields(options, name, [...OPTIONS, ...more], CALL_SYNONYMS)
  const { priority, maxWaitMs, otherCalls = 'free', countEmbeddings = 'per-text' } = options
  for (const key of ['countTokens', 'tenant'] as const) {
    const given = options[key]
    if (given !== undefined) callable(given, key)
  }
  choice(otherCalls, 'otherCalls', ['free', 'requests'])
  choice(countEmbeddings, 'countEmbeddings', ['per-text', 'per-call'])
  // Its calls may be nested in calls of the same limiter.
  context.wanted = true
  return new Limits(grouped(serviceOf(limits, name)), charge, options, {
    ...(priority !== undefined && { priority }),
    ...(maxWaitMs !== undefined && { maxWaitMs }),
  })
}

export function checkCallOptions(options: ClientCallOptions, name: string): void {
  fields(options, name, CALL_OPTIONS, CALL_SYNONYMS)
  if (options.tenant !== undefined && typeof options.tenant !== 'string')
    throw new TypeError(`tenant must be a string, got ${text(options.tenant)}`)
}

type GroupedService = RateLimitedService & { group: LimiterGroup }

/** Adds a group to a user-defined service, whose limiters become known as they are used. */
function grouped(service: RateLimitedService): GroupedService {
  // Not spread, because a service may be an instance of a class.
  const isBlocked = service.isBlocked && ((signal: AbortSignal) => service.isBlocked!(signal))
  const asked = { name: service.name, ...(isBlocked && { isBlocked }) }
  if ('onLimiter' in service)
    return { ...asked, group: service as LimitedService, limiterFor: (model) => service.limiterFor(model) }
  const { add, group } = limiterGroup()
  return {
    ...asked,
    group,
    limiterFor(model) {
      const limiter = service.limiterFor(model)
      add(limiter as BucketRateLimiter)
      return limiter
    },
  }
}

/** Options without a name get that of the wrapper, unless that would share them with other processes. */
const namedAfter = (name: string, options: LimiterOptions): LimiterOptions =>
  options.store === undefined ? { name, ...options } : options

function serviceOf(limits: ClientLimits, name: string): RateLimitedService {
  const isService = 'limiterFor' in Object(limits) || 'acquire' in Object(limits)
  const kind = isService ? undefined : kindOf(limits)
  if (typeof limits !== 'object' || limits === null || kind) {
    const got = kind ? `an instance of ${kind}` : text(limits)
    const hint = kind || typeof limits === 'function' ? ' (are the arguments swapped?)' : ''
    throw new TypeError(
      `limits must be { models }, a BucketRateLimiter, a RateLimitedService or options, got ${got}${hint}`,
    )
  }
  if ('models' in limits) {
    const { models, parent, ...others } = limits
    const [stray] = Object.keys(others)
    if (stray !== undefined)
      throw new TypeError(
        `${text(stray)} cannot be given next to models, only parent can. If it is the name of a model, put it into models`,
      )
    return perModel(models, { name, ...(parent && { parent }) })
  }
  if ('limiterFor' in limits) return limits
  if ('acquire' in limits) {
    const limiter = limits as unknown as BucketRateLimiter
    return { name, limiterFor: () => limiter, ...limiterGroup(limiter).group }
  }
  try {
    return shared(namedAfter(name, limits as LimiterOptions))
  } catch (error) {
    if (error instanceof TypeError) error.message += `. Limits by model: { models: { 'gpt-5': { … } } }`
    throw error
  }
}
