/**
 * The wire between a client and a provider (src/testing/world), with a witness: it sees each try leave and arrive,
 * so what it counts does not depend on what a client says of itself. An answer takes the call's own service time,
 * with a heavy tail (lognormal, median 0.8 s, σ = 0.8).
 */
import { TimerHeap, type HeapTimer } from '../../src/testing/timer-heap.ts'
import type { ModelProvider, ProviderAnswer, ProviderCall, VirtualClock } from '../../src/testing/index.ts'
import { Wire, type WireOptions, type WireReply } from '../../src/testing/world/wire.ts'

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

export class World {
  readonly clock: VirtualClock
  readonly provider: ModelProvider
  readonly #wire: Wire
  /** Calls that the client knows to be refused and has not sent again, by their order of arrival. */
  readonly #parked = new TimerHeap()
  readonly admittedAt: number[] = []
  readonly admitted: Call[] = []
  readonly refusedAt: number[] = []
  readonly hungAt: number[] = []
  readonly sentAt: number[] = []
  /** Tries that went although a call that had arrived earlier was parked. */
  overtakings = 0

  constructor(options: WireOptions) {
    this.clock = options.clock
    this.provider = options.provider
    this.#wire = new Wire(options)
  }

  async send(call: Call): Promise<WireReply> {
    this.#leave(call)
    const reply = await this.#wire.send(call.cost, call.serviceMs, (answer, at) =>
      this.#arrive(call, answer, at),
    )
    if (!reply) return new Promise(() => {})
    if (reply.status === 200) return { ...reply, body: { id: call.index, usage: usageOf(call) } }
    call.parked = this.#parked.add(call.index, () => {})
    return reply
  }

  /** The client has given it up: nobody has to wait for it. */
  forget(call: Call): void {
    if (call.parked) this.#parked.remove(call.parked)
  }

  #arrive(call: Call, { kind }: ProviderAnswer, at: number): void {
    if (kind === 'silent') this.hungAt.push(at)
    if (kind === 'refused') {
      this.refusedAt.push(at)
      call.refusals++
    }
    if (kind === 'admitted') {
      this.admittedAt.push(at)
      this.admitted.push(call)
      call.admissions++
      call.admittedAt = at
    }
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
