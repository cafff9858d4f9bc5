/** Simulates limits that change while a client runs, with or without notice in headers. */
import { playBacklog } from './optimum.ts'
import { choice, fields, finite, positive, provider, seconds, text } from './check.ts'
import type { MeteredProvider } from './limited-provider.ts'
import type { ModelProvider, ProviderAnswer, ProviderCall, ProviderLimit } from './provider.ts'

/** From `atMs` on, the limits are `factor` times their initial values. */
export interface LimitStep {
  /** The time of the change, on the `now` passed to the provider, in ms. */
  atMs: number
  /** The factor on the initial limits. */
  factor: number
}

/** Options of `StepChangeProvider`. */
export interface StepChangeOptions {
  /**
   * The changes, in any order. Halving for ten minutes: `[{ atMs: t, factor: 0.5 }, { atMs: t + 600_000, factor: 1
   * }]`.
   */
  steps: readonly LimitStep[]
  /**
   * Whether headers and refusals report the current limits. If not, they keep reporting the initial ones.
   * @default true
   */
  told?: boolean
}

/**
 * Any metered provider, with limits that change at given times.
 *
 * - **Found at**: Gemini's and Azure's dynamic quotas, which follow the load of the region; every provider, if an
 *   account changes its tier or a key is shared. OpenAI's and Anthropic's headers report the change.
 * - **Rule**: the rule of the inner provider with the current limits. Past usage still counts: a window that
 *   accepted 600 of 600 accepts nothing when the limit becomes 300. A bucket keeps its content as far as it still
 *   fits. A call larger than the current limit is refused as oversize.
 * - **Optimum** for N calls: by simulating the backlog across the changes. Unused capacity before a change is
 *   lost, so waiting never helps. A single small bucket of rate r that halves from t1 to t2 accepts `(t2 − t1) · r
 *   ÷ 2` less.
 * - **Simplified**: the change is abrupt, and the wait of a refusal does not take the next change into account.
 *
 * Throws a `TypeError` that names a factor that is not above 0, or a time that is not finite.
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

  /** Takes over `within`, which must not be used elsewhere. */
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

  /** Applies each step at its own time, even without calls, because a bucket refills at the new rate from there. */
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
