// A target: one key of one provider, with a limiter for each thing that its provider limits.

import { BucketRateLimiter, type Clock } from 'llmiter'
import { duration } from '../lib/duration.ts'
import type { GatewayTarget, TargetLimits } from './options.ts'
import { PROTOCOLS, type ProtocolRules } from './protocol.ts'
import { type Address, addressOf } from './upstream.ts'

/** Until the provider has told its limit: most tiers allow this much, and a refusal or a header teaches better. */
const UNKNOWN: TargetLimits & { discover: true } = { requestsPerMinute: 300, discover: true }
/** Clients name models as they like. Those that come later share one limiter. */
const MOST_MODELS = 200
const OTHERS = 'other models'
const TIMEOUT = '10m'
const SECRET_NAME = /auth|key|token|secret/i

export class Target {
  readonly name: string
  readonly options: GatewayTarget
  readonly rules: ProtocolRules
  readonly address: Address
  readonly headers: Readonly<Record<string, string>>
  readonly timeoutMs: number
  readonly limiters = new Map<string, BucketRateLimiter>()
  readonly #clock: Clock | undefined
  readonly #made: (limiter: BucketRateLimiter) => void

  constructor(
    options: GatewayTarget,
    made: (limiter: BucketRateLimiter) => void,
    clock: Clock | undefined = undefined,
  ) {
    const { name, protocol, apiKey, baseUrl, headers } = options
    this.name = name
    this.options = options
    this.rules = PROTOCOLS[protocol]
    this.address = addressOf(baseUrl ?? this.rules.baseUrl)
    this.headers = { ...(apiKey !== undefined && this.rules.credentials(apiKey)), ...headers }
    this.timeoutMs = duration(options.timeout ?? TIMEOUT, `${name}.timeout`)
    this.#made = made
    this.#clock = clock
  }

  /** What must stand in no answer. */
  get secrets(): string[] {
    const { apiKey, headers = {} } = this.options
    const inHeaders = Object.entries(headers).filter(([name]) => SECRET_NAME.test(name))
    return [...(apiKey === undefined ? [] : [apiKey]), ...inHeaders.map(([, value]) => value)]
  }

  /** The limiter whose limits hold for a model. */
  limiterFor(model: string | undefined): BucketRateLimiter {
    const { limits, models } = this.options
    const own = model !== undefined && models && Object.hasOwn(models, model) ? models[model] : undefined
    if (own) return this.#limiter(`${this.name}/${model}`, own)
    const rest = models?.['default'] ?? limits
    if (rest) return this.#limiter(this.name, rest)
    const name = `${this.name}/${model ?? OTHERS}`
    const known = this.limiters.has(name) || this.limiters.size < MOST_MODELS
    return this.#limiter(known ? name : `${this.name}/${OTHERS}`, UNKNOWN)
  }

  #limiter(name: string, limits: TargetLimits): BucketRateLimiter {
    const known = this.limiters.get(name)
    if (known) return known
    // Where the operator has said what the provider allows, nothing is gained by a slow start.
    const ramp = limits === UNKNOWN ? {} : { ramp: false as const }
    const limiter = new BucketRateLimiter({
      name,
      ...ramp,
      ...limits,
      ...(this.#clock && { clock: this.#clock }),
    })
    this.limiters.set(name, limiter)
    this.#made(limiter)
    return limiter
  }
}
