/**
 * Decides what lies between a client and a provider, in virtual time: how long a call is on its way, and when its
 * refusal or its answer is back. The benches, the pictures of docs/ and `llmiter simulate` all use this one.
 *
 * - **On the way**: 10 ms and up to `jitterMs` more, drawn for each try, so that calls overtake each other.
 * - **A refusal** is back within 10–40 ms.
 * - **An answer** takes the call's own service time.
 * - **Headers** with the limits (OpenAI's names) come with every reply, where the options say so.
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
   * Whether replies tell the limits.
   * @default false
   */
  headers?: boolean
  /**
   * How long a refusal takes to come back: the least and the most, in ms.
   * @default [10, 40]
   */
  refusedMs?: readonly [least: number, most: number]
}

/** What a client gets back. */
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
   * Sends a call. `seen` is told what the provider says at the moment when it says it, before the client knows.
   * Resolves to undefined, at that moment, when the provider stays silent.
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
