/**
 * Decides how limits change under a running client: at given moments, told by headers or behind its back.
 */
import { playBacklog } from './optimum.ts'
import { choice, fields, finite, positive, provider, seconds, text } from './check.ts'
import type { MeteredProvider } from './limited-provider.ts'
import type { ModelProvider, ProviderAnswer, ProviderCall, ProviderLimit } from './provider.ts'

/** From `atMs` on the limits are `factor` times what they were at first. */
export interface LimitStep {
  /** A moment of the `now` that the provider is asked with, in ms. */
  atMs: number
  /** The limits are so many times what they were at first. */
  factor: number
}

/** Options of `StepChangeProvider`. */
export interface StepChangeOptions {
  /** In any order. Halving for ten minutes: `[{ atMs: t, factor: 0.5 }, { atMs: t + 600_000, factor: 1 }]`. */
  steps: readonly LimitStep[]
  /**
   * Whether headers and refusals tell the limits of the moment, or go on telling the first.
   * @default true
   */
  told?: boolean
}

/**
 * Any metered provider, with limits that change at given moments.
 *
 * - **Who behaves so**: Gemini's and Azure's dynamic quotas, which follow the load of the region; every provider
 *   when an account changes its tier or a key gets company. OpenAI's and Anthropic's headers tell it.
 * - **The law it keeps**: that of the provider within, with the limits of the moment. What was used stays used: a
 *   window that had let in 600 of 600 lets nobody in when the limit becomes 300. A bucket keeps what it holds, if
 *   that still fits. A call that is larger than the limit of the moment is refused as oversize.
 * - **Optimum** for N calls: by playing the backlog across the steps. What could be had before a step is gone
 *   after it, so nobody gains by waiting. A single tight bucket of rate r that halves from t1 to t2 lets in
 *   `(t2 − t1) · r ÷ 2` less.
 * - **Simplified**: the change is abrupt, and a refusal's wait does not foresee the next one.
 *
 * Throws a `TypeError` that names a factor that is not above 0, or a moment that is not finite.
 *
 * @example
 * new StepChangeProvider(new TokenBucketProvider({ requestsPerMinute: 600, capacityMs: 1000 }), {
 *   steps: [{ atMs: 120_000, factor: 0.5 }, { atMs: 480_000, factor: 1 }],
 *   told: false,
 * })
 */
export class StepChangeProvider implements ModelProvider {
  readonly name: string
  readonly #provider: MeteredProvider
  readonly #steps: readonly LimitStep[]
  readonly #told: boolean
  #taken = 0

  /** `within` becomes this one's own: nobody else should ask it. */
  constructor(within: MeteredProvider, options: StepChangeOptions) {
    provider(within, 'provider', 'scale')
    fields(options, 'StepChangeProvider', ['steps', 'told'])
    const { steps, told = true } = options
    choice(told, 'told', [true, false])
    if (!Array.isArray(steps))
      throw new TypeError(`steps must be an array like [{ atMs: 60_000, factor: 0.5 }], got ${text(steps)}`)
    for (const step of steps as readonly LimitStep[]) {
      fields(step, 'a step', ['atMs', 'factor'])
      const { atMs, factor } = step
      finite(atMs, 'atMs of a step')
      positive(factor, 'factor of a step')
    }
    this.#provider = within
    this.#steps = steps.toSorted((a, b) => a.atMs - b.atMs)
    this.#told = told
    const changes = this.#steps.map(({ atMs, factor }) => `× ${factor} from ${seconds(atMs)}`)
    this.name = [within.name, ...changes, told ? 'told' : 'not told'].join(', ')
  }

  ask(now: number, call: ProviderCall = {}): ProviderAnswer {
    this.#changeUntil(now)
    const answer = this.#provider.ask(now, call)
    if (this.#told || answer.kind !== 'refused' || !('of' in answer)) return answer
    const factor = this.#factor()
    return { ...answer, limit: answer.limit / factor, used: Math.ceil(answer.used / factor) }
  }

  limits(now: number): ProviderLimit[] {
    this.#changeUntil(now)
    const limits = this.#provider.limits(now)
    if (this.#told) return limits
    const factor = this.#factor()
    return limits.map((limit) => ({
      ...limit,
      amount: limit.amount / factor,
      remaining: Math.floor(limit.remaining / factor),
    }))
  }

  waitMs(now: number, call: ProviderCall = {}): number {
    this.#changeUntil(now)
    const waitMs = this.#provider.waitMs(now, call)
    return Math.min(waitMs, (this.#steps[this.#taken]?.atMs ?? Infinity) - now)
  }

  unused(): StepChangeProvider {
    return new StepChangeProvider(this.#provider.unused(), { steps: this.#steps, told: this.#told })
  }

  optimumMs(now: number, calls: number, call: ProviderCall | ((index: number) => ProviderCall) = {}): number {
    return playBacklog(this.unused(), now, calls, call)
  }

  /** Each step at its own moment, also when nobody asked meanwhile: a bucket refills by the new rate from there. */
  #changeUntil(now: number): void {
    for (let step = this.#steps[this.#taken]; step && step.atMs <= now; step = this.#steps[this.#taken]) {
      this.#provider.scale(step.atMs, step.factor)
      this.#taken++
    }
  }

  #factor(): number {
    return this.#steps[this.#taken - 1]?.factor ?? 1
  }
}
