/**
 * The connection between a client and a provider in virtual time: how long a call, its refusal or its answer
 * takes. Used by the benches, the pictures of docs/ and `llmiter simulate`.
 *
 * - **A call** takes 10 ms plus a random delay of up to `jitterMs` per attempt, so that calls may overtake each
 *   other.
 * - **A refusal** arrives within 10–40 ms.
 * - **An answer** takes the call's own service time.
 * - **Headers** with the limits (OpenAI's names) come with every reply, if the options say so.
 */
import type { VirtualClock } from '../clock.ts'
import { limitHeaders, refusalBody, retryHeaders } from '../openai/refusal.ts'
import type { ModelProvider, ProviderAnswer, ProviderCall } from '../provider.ts'

const WAY_MS = 10
const REFUSED_MS = [10, 40] as const

export interface WireOptions {
  clock: VirtualClock
  provider: ModelProvider
  /** Numbers in [0, 1). */
  random: () => number
  jitterMs: number
  /**
   * Whether replies report the limits.
   * @default false
   */
  headers?: boolean
  /**
   * The minimum and maximum time that a refusal takes to arrive, in ms.
   * @default [10, 40]
   */
  refusedMs?: readonly [least: number, most: number]
}

/** The reply that a client receives. */
export interface WireReply {
  status: number
  headers: Record<string, string>
  body: object
}

export class Wire {
  readonly #options: WireOptions

  constructor(options: WireOptions) {
    this.#options = options
  }

  /**
   * Sends a call. `seen` is called with the provider's answer when the provider gives it, before the client
   * receives it. Resolves to undefined at that time if the provider does not answer.
   */
  async send(
    cost: ProviderCall | undefined,
    serviceMs: number,
    seen: (answer: ProviderAnswer, at: number) => void,
  ): Promise<WireReply | undefined> {
    const { clock, provider, random, jitterMs, headers, refusedMs = REFUSED_MS } = this.#options
    await clock.sleep(WAY_MS + random() * jitterMs)
    const arrived = clock.now()
    const answer = provider.ask(arrived, cost)
    const limits = headers ? limitHeaders(provider.limits(arrived)) : {}
    seen(answer, arrived)
    if (answer.kind === 'silent') return undefined
    if (answer.kind === 'refused') {
      const [least, most] = refusedMs
      await clock.sleep(least + random() * (most - least))
      const { status } = answer
      return { status, headers: { ...limits, ...retryHeaders(answer) }, body: refusalBody(answer, 'model') }
    }
    await clock.sleep(serviceMs)
    answer.finish(clock.now())
    return { status: 200, headers: limits, body: {} }
  }
}
