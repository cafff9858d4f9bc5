// A target: one key of one provider, with a limiter for each scope that the provider limits.

import { BucketRateLimiter, type Store } from 'llmiter'
import { duration } from '../lib/duration.ts'
import { MAX_TIMER_MS } from '../lib/units.ts'
import { text } from '../lib/validate.ts'
import { http } from './node-http.ts'
import type { GatewayTarget, TargetLimits } from './options.ts'
import { PROTOCOLS, type ProtocolRules } from './protocol.ts'
import { type Address, addressOf } from './upstream.ts'
import type { GatewayTargetStatus } from './admin.ts'
import type { TargetState } from 'llmiter/pool'

/** Used until the provider's limit is known. Most tiers allow this much, and refusals and headers correct it. */
const UNKNOWN: TargetLimits & { discover: true } = { requestsPerMinute: 300, discover: true }
/** Clients may send any model name. Models beyond this number share one limiter. */
const MOST_MODELS = 200
const OTHERS = 'other models'
const TIMEOUT = '10m'
const SECRET_NAME = /auth|key|token|secret/i

export class Target {
  readonly name: string
  options: GatewayTarget
  readonly rules: ProtocolRules
  readonly address: Address
  headers: Readonly<Record<string, string>>
  timeoutMs: number
  readonly limiters = new Map<string, BucketRateLimiter>()
  readonly #store: Store | undefined
  readonly #made: (limiter: BucketRateLimiter) => void

  constructor(
    options: GatewayTarget,
    made: (limiter: BucketRateLimiter) => void,
    store: Store | undefined = undefined,
  ) {
    const { name, protocol, baseUrl } = options
    this.name = name
    this.options = options
    this.rules = PROTOCOLS[protocol]
    this.address = addressOf(baseUrl ?? this.rules.baseUrl)
    this.headers = this.#headersOf(options)
    this.timeoutMs = timeoutOf(options)
    this.#made = made
    this.#store = store
  }

  /**
   * Applies other options for the same provider. Waiting calls keep their places, and their limits change. Returns
   * false if the target now points to another provider.
   */
  adopt(options: GatewayTarget): boolean {
    const { protocol, baseUrl } = this.options
    if (options.protocol !== protocol || options.baseUrl !== baseUrl) return false
    this.options = options
    this.headers = this.#headersOf(options)
    this.timeoutMs = timeoutOf(options)
    for (const [name, limiter] of this.limiters) {
      const limits = this.#limitsOf(name === this.name ? undefined : name.slice(this.name.length + 1))
      if (limits.name === name) limiter.update(limits.limits)
    }
    return true
  }

  #headersOf({ apiKey, headers }: GatewayTarget): Readonly<Record<string, string>> {
    for (const [name, value] of Object.entries(headers ?? {}))
      checkHeader(`headers[${text(name)}]`, name, value)
    const own = apiKey === undefined ? {} : this.rules.credentials(apiKey)
    for (const [name, value] of Object.entries(own)) checkHeader('what apiKey names', name, value)
    return { ...own, ...headers }
  }

  /** Whether a limit counts tokens, so that they must be estimated. */
  get countsTokens(): boolean {
    const { limits, models = {} } = this.options
    return [limits, ...Object.values(models)].some((one) =>
      Object.keys(one ?? {}).some((name) => /tokens/i.test(name)),
    )
  }

  status(states: readonly TargetState[]): GatewayTargetStatus {
    return {
      name: this.name,
      protocol: this.options.protocol,
      states: states.map((one) => ({ state: one.state, ...('until' in one && { until: one.until }) })),
      limiters: [...this.limiters.values()].map((limiter) => limiter.stats()),
    }
  }

  /** Values that must not appear in any answer. */
  get secrets(): string[] {
    const { apiKey, headers = {} } = this.options
    const inHeaders = Object.entries(headers).filter(([name]) => SECRET_NAME.test(name))
    return [...(apiKey === undefined ? [] : [apiKey]), ...inHeaders.map(([, value]) => value)]
  }

  /** The limiter for a model. */
  limiterFor(model: string | undefined): BucketRateLimiter {
    const { name, limits } = this.#limitsOf(model)
    const known = limits !== UNKNOWN || this.limiters.has(name) || this.limiters.size < MOST_MODELS
    return this.#limiter(known ? name : `${this.name}/${OTHERS}`, limits)
  }

  #limitsOf(model: string | undefined): { name: string; limits: TargetLimits } {
    const { limits, models } = this.options
    const own = model !== undefined && models && Object.hasOwn(models, model) ? models[model] : undefined
    if (own) return { name: `${this.name}/${model}`, limits: own }
    const rest = models?.['default'] ?? limits
    if (rest) return { name: this.name, limits: rest }
    return { name: `${this.name}/${model ?? OTHERS}`, limits: UNKNOWN }
  }

  #limiter(name: string, limits: TargetLimits): BucketRateLimiter {
    const known = this.limiters.get(name)
    if (known) return known
    const limiter = new BucketRateLimiter({
      name,
      // The operator has configured the limit, or the first answer will reveal it, so a slow start would only cost
      // time.
      ramp: false,
      ...limits,
      ...(this.#store && { store: this.#store }),
    })
    this.limiters.set(name, limiter)
    this.#made(limiter)
    return limiter
  }
}

/** Headers that belong to a connection or to the body. */
const NOT_OURS =
  /^(host|connection|content-length|transfer-encoding|upgrade|te|trailer|expect|keep-alive|proxy-.*)$/i

/** @throws TypeError that does not show the value. */
function checkHeader(what: string, name: string, value: string): void {
  if (NOT_OURS.test(name)) throw new TypeError(`${what}: this header is set by the gateway`)
  try {
    http.validateHeaderName(name)
    http.validateHeaderValue(name, value)
  } catch {
    throw new TypeError(`${what} cannot be a header: it holds characters that no header may have`)
  }
}

const timeoutOf = ({ name, timeout = TIMEOUT }: GatewayTarget): number =>
  Math.min(MAX_TIMER_MS, duration(timeout, `${name}.timeout`))
