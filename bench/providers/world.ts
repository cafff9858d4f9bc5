/**
 * The connection between a client and a provider (src/testing/world), with a witness. It observes when each
 * attempt is sent and arrives, so its counts do not depend on what a client reports. An answer takes the call's
 * own service time, with a heavy tail (lognormal, median 0.8 s, σ = 0.8).
 */
import { TimerHeap, type HeapTimer } from '../../src/testing/timer-heap.ts'
import type { ModelProvider, ProviderAnswer, ProviderCall, VirtualClock } from '../../src/testing/index.ts'
import type { Clock } from '../../src/index.ts'
import { Wire, type WireOptions, type WireReply } from '../../src/testing/world/wire.ts'
import { noticedAt, stalled, type Stalls } from './stalls.ts'

export interface Call {
  /** The order of arrival. */
  readonly index: number
  /** When it was passed to the client. */
  at: number
  readonly serviceMs: number
  readonly cost?: ProviderCall
  readonly tenant?: string
  /** The process of a fleet that received it. */
  readonly process?: number
  /** The client's estimate of its cost, if it has to give one. */
  readonly estimate?: Readonly<Record<string, number>>
  sentAt: number
  refusals: number
  /** How often the provider accepted it. More than once means that it was served twice. */
  admissions: number
  admittedAt: number
  end?: 'done' | 'lost'
  parked?: HeapTimer
}

export interface WorldOptions extends WireOptions {
  /** When the client's own process stalls. Default: never. */
  stalls?: Stalls | undefined
}

export class World {
  readonly clock: VirtualClock
  /** The time as seen by the client's process. */
  readonly clientClock: Clock
  readonly provider: ModelProvider
  readonly #stalls: Stalls | undefined
  readonly #wire: Wire
  /** Calls that the client knows to be refused and has not sent again, by order of arrival. */
  readonly #parked = new TimerHeap()
  /** Calls that were told to wait, and until when. Letting others go in the meantime is not a fault. */
  #told: { call: Call; until: number }[] = []
  readonly admittedAt: number[] = []
  readonly admitted: Call[] = []
  readonly refusedAt: number[] = []
  readonly hungAt: number[] = []
  readonly sentAt: number[] = []
  /** Attempts that were sent although an earlier call was parked and its told wait was over. */
  overtakings = 0

  constructor(options: WorldOptions) {
    const { clock, stalls } = options
    this.clock = clock
    this.#stalls = stalls
    this.clientClock = stalls ? stalled(clock, stalls) : clock
    this.provider = options.provider
    this.#wire = new Wire(options)
  }

  async send(call: Call): Promise<WireReply> {
    this.#leave(call)
    const reply = await this.#wire.send(call.cost, call.serviceMs, (answer, at) =>
      this.#arrive(call, answer, at),
    )
    if (!reply) return new Promise(() => {})
    const now = this.clock.now()
    if (this.#stalls) await this.clock.sleep(noticedAt(this.#stalls, now) - now)
    if (reply.status === 200) return { ...reply, body: { id: call.index, usage: usageOf(call) } }
    const parked = { call, until: this.clock.now() + toldMs(reply) + LATE_MS }
    if (toldMs(reply) > 0) this.#told.push(parked)
    else this.#park(call)
    return reply
  }

  #park(call: Call): void {
    call.parked = this.#parked.add(call.index, () => {})
  }

  /** The client has given up the call, so no other call has to wait for it. */
  forget(call: Call): void {
    if (call.parked) this.#parked.remove(call.parked)
    if (this.#told.length > 0) this.#told = this.#told.filter((one) => one.call !== call)
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
    const over = this.#told.filter(({ until }) => until <= call.sentAt)
    if (over.length > 0) this.#told = this.#told.filter(({ until }) => until > call.sentAt)
    for (const one of over) this.#park(one.call)
    const first = this.#parked.first()
    if (first && first.at < call.index) this.overtakings++
  }
}

/** Timers are late by up to this much, including those of a call that waits by itself. */
const LATE_MS = 2

function toldMs({ headers }: WireReply): number {
  return Number(headers['retry-after-ms'] ?? 1000 * Number(headers['retry-after'] ?? 0))
}

function usageOf({ cost }: Call): object | undefined {
  return cost && { input_tokens: cost.inputTokens ?? 0, output_tokens: cost.outputTokens ?? 0 }
}
