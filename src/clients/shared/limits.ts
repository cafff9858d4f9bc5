// What the calls of a client are held against: which limiter a call belongs to, what it takes of it, and what it
// has used in the end.

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

/** A limiter for each model; `'gpt-5*'` is one that a family shares, `default` is for each that is not listed. */
export interface LimitsByModel {
  /** The limits of each model; `'gpt-5*'` is a family that shares one, `default` is for all others. */
  models: Record<string, ModelLimits>
  /** The account's limiter, above all models. */
  parent?: AnyLimiter | undefined
}

/** Limits by model, or one limiter for all calls: a limiter, a service, or the options of a limiter to be made. */
export type ClientLimits = LimitsByModel | LimiterLike

/** Options for all calls of a limited client. */
export interface ClientOptions {
  /**
   * Counts the input tokens of a request's body.
   * @default an estimate, corrected by what calls really use
   */
  countTokens?: ((request: unknown) => number) | undefined
  /** The tenant of a request, read from its body. Tenants of one limiter get fair turns. */
  tenant?: ((request: unknown) => string | undefined) | undefined
  /**
   * Higher goes first.
   * @default 0
   */
  priority?: number | undefined
  /**
   * The longest wait for a ticket, refusals included: then `WaitTimeoutError`.
   * @default as long as it takes
   */
  maxWaitMs?: Duration | undefined
  /** Calls that generate nothing (lists, files, batches): `'free'` (default), or `'requests'`: each takes a request. */
  otherCalls?: 'free' | 'requests' | undefined
  /**
   * Whether each text of a batch of embeddings takes a request, as Gemini counts them, or the whole call takes one.
   * Only Gemini's clients send such batches.
   * @default 'per-text'
   */
  countEmbeddings?: 'per-text' | 'per-call' | undefined
}

/** What the calls of one client may have of their own: see `withLimiterOptions`. */
export type ClientCallOptions = Pick<
  CallOptions,
  'priority' | 'tenant' | 'maxWaitMs' | 'maxRefusals' | 'cost' | 'timeoutMs' | 'retry'
>

const CALL_OPTIONS = ['priority', 'tenant', 'maxWaitMs', 'maxRefusals', 'cost', 'timeoutMs', 'retry']
const OPTIONS = ['countTokens', 'tenant', 'priority', 'maxWaitMs', 'otherCalls', 'countEmbeddings']
const NO_TOKENS = { requests: 1, tokens: 0, inputTokens: 0, outputTokens: 0 }

/** A call, as far as its limits go. */
export interface LimitedCall {
  model: string | undefined
  /** The body of the request. */
  request: unknown
  /** Whether it generates something; otherwise `otherCalls` applies. */
  generates: boolean
  signal: AbortSignal | undefined
  /** Options of this call alone. */
  options?: ClientCallOptions
  /** By whose rule, where one client speaks to several providers. */
  charge?: Charge
}

/** The right to make a call, and how to settle it. */
export interface ClientTicket {
  readonly ticket: Ticket
  /** What was used of the limits, by what the answer says. */
  used(usage: Usage): Usage
}

export class Limits {
  /** All limiters of these calls, as far as they are known. */
  readonly group: LimiterGroup
  /** Says which of them a model's calls belong to. */
  readonly service: RateLimitedService
  readonly #charge: Charge
  readonly #options: ClientOptions
  readonly #call: ClientCallOptions

  constructor(service: GroupedService, charge: Charge, options: ClientOptions, call: ClientCallOptions) {
    this.group = service.group
    this.service = service
    // Its calls may be made within calls of the same limiter.
    context.wanted = true
    this.#charge = charge
    this.#options = options
    this.#call = call
  }

  /** The same limits, for calls with options of their own. */
  withOptions(options: ClientCallOptions): Limits {
    checkCallOptions(options, 'withLimiterOptions')
    const service = { ...this.service, group: this.group }
    return new Limits(service, this.#charge, this.#options, { ...this.#call, ...defined(options) })
  }

  /** Whether a call of this kind waits for a ticket at all. */
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
    // Of whichever copy of the package: its methods are the same.
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

/** Limiters that ask their service whether it accepts again. */
const probing = new WeakSet<AnyLimiter>()

/** The limits of a client, from the options of its caller. */
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
  // Its calls may be made within calls of the same limiter.
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

/** The limiters of a service of the user's own become known one by one, as they are used. */
function grouped(service: RateLimitedService): GroupedService {
  // Not by spreading: a service may be an instance of a class.
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

/** Options without a name get that of the wrapper, unless processes would share them by it. */
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
        `${text(stray)} cannot be given beside models, only parent can: is it the name of a model?`,
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
