/**
 * The world between a client and a provider, in virtual time: how long a call is on its way, when its refusal or
 * its answer is back, and what was seen of it.
 *
 * - **On the way**: 10 ms and up to `jitterMs` more, drawn for each try: calls overtake each other.
 * - **A refusal** is back within 10–40 ms.
 * - **An answer** takes the call's own service time, with a heavy tail (lognormal, median 0.8 s, σ = 0.8).
 * - **Headers** with the limits (OpenAI's names) come with every answer where the case says so.
 *
 * It is also the witness: it sees each try leave and arrive, so what it counts does not depend on what a client
 * says of itself.
 */
import { limitHeaders, refusalBody, retryHeaders } from '../../src/testing/openai/refusal.ts'
import { TimerHeap, type HeapTimer } from '../../src/testing/timer-heap.ts'
import type { ModelProvider, ProviderCall, VirtualClock } from '../../src/testing/index.ts'

export interface Call {
  /** The order of arrival. */
  readonly index: number
  /** When it was given to the client. */
  at: number
  readonly serviceMs: number
  readonly cost?: ProviderCall
  readonly tenant?: string
  /** Which process of a fleet it came to. */
  readonly process?: number
  /** What the client believes that it costs, where it has to say. */
  readonly estimate?: Readonly<Record<string, number>>
  sentAt: number
  refusals: number
  /** How often the provider let it in: once, or something was served twice. */
  admissions: number
  admittedAt: number
  end?: 'done' | 'lost'
  parked?: HeapTimer
}

export interface Reply {
  status: number
  headers: Record<string, string>
  body: unknown
}

export interface WorldOptions {
  clock: VirtualClock
  provider: ModelProvider
  random: () => number
  jitterMs: number
  headers?: boolean
  /** The fewest ms until a refusal is back, and as many again at most. Default: 10 to 40. */
  refusalMs?: number
}

export class World {
  readonly clock: VirtualClock
  readonly provider: ModelProvider
  readonly #options: WorldOptions
  readonly #random: () => number
  /** Calls that the client knows to be refused and has not sent again, by their order of arrival. */
  readonly #parked = new TimerHeap()
  readonly admittedAt: number[] = []
  readonly admitted: Call[] = []
  readonly refusedAt: number[] = []
  readonly hungAt: number[] = []
  readonly sentAt: number[] = []
  /** Tries that went although a call that had arrived earlier was parked. */
  overtakings = 0

  constructor(options: WorldOptions) {
    this.clock = options.clock
    this.provider = options.provider
    this.#random = options.random
    this.#options = options
  }

  async send(call: Call): Promise<Reply> {
    const { clock, provider } = this
    const { jitterMs } = this.#options
    this.#leave(call)
    await clock.sleep(10 + this.#random() * jitterMs)
    const arrived = clock.now()
    const answer = provider.ask(arrived, call.cost)
    const told = this.#options.headers ? limitHeaders(provider.limits(arrived)) : {}
    if (answer.kind === 'silent') {
      this.hungAt.push(arrived)
      return new Promise(() => {})
    }
    if (answer.kind === 'refused') {
      this.refusedAt.push(arrived)
      call.refusals++
      const { refusalMs } = this.#options
      await clock.sleep(refusalMs === undefined ? 10 + this.#random() * 30 : refusalMs * (1 + this.#random()))
      call.parked = this.#parked.add(call.index, () => {})
      return {
        status: answer.status,
        headers: { ...told, ...retryHeaders(answer) },
        body: refusalBody(answer, 'gpt-5'),
      }
    }
    this.admittedAt.push(arrived)
    this.admitted.push(call)
    call.admissions++
    call.admittedAt = arrived
    await clock.sleep(call.serviceMs)
    answer.finish(clock.now())
    return { status: 200, headers: told, body: { id: call.index, usage: usageOf(call) } }
  }

  /** The client has given it up: nobody has to wait for it. */
  forget(call: Call): void {
    if (call.parked) this.#parked.remove(call.parked)
  }

  #leave(call: Call): void {
    call.sentAt = this.clock.now()
    this.sentAt.push(call.sentAt)
    this.forget(call)
    const first = this.#parked.first()
    if (first && first.at < call.index) this.overtakings++
  }
}

function usageOf({ cost }: Call): object | undefined {
  return cost && { input_tokens: cost.inputTokens ?? 0, output_tokens: cost.outputTokens ?? 0 }
}
