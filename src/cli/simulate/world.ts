// A simulated client's connection to the provider. Outcomes are counted here, independent of what a client
// reports.

import type { ProviderCall, VirtualClock } from 'llmiter/testing'
import { Wire, type WireOptions, type WireReply } from '../../testing/world/wire.ts'
import { SideBySide } from './side-by-side.ts'
import type { Job } from './workloads.ts'

/** A call without an answer is aborted after ten minutes, as OpenAI's SDK does. */
const TIMEOUT_MS = 600_000

/** A job on its way through a client. */
export interface SimulatedCall {
  readonly job: Job
  readonly cost: ProviderCall
  /** When its last attempt was sent. */
  sentAt: number
}

/** Where a call is sent. */
export interface Way {
  send(call: SimulatedCall): Promise<WireReply | undefined>
}

export class World implements Way {
  readonly clock: VirtualClock
  /** One per target of a pool. Otherwise there is one. */
  readonly #wires: readonly Wire[]
  refused = 0
  /** When a call was last accepted. */
  progressAt = 0

  constructor(options: WireOptions) {
    this.clock = options.clock
    const { provider } = options
    const all = provider instanceof SideBySide ? provider.providers : [provider]
    this.#wires = all.map((one) => new Wire({ ...options, provider: one }))
  }

  /** Undefined: there was no answer in time. */
  async send(call: SimulatedCall, target = 0): Promise<WireReply | undefined> {
    call.sentAt = this.clock.now()
    const reply = await this.#wires[target]!.send(call.cost, call.job.serviceMs, ({ kind }, at) => {
      if (kind === 'refused') this.refused++
      if (kind === 'admitted') this.progressAt = at
    })
    if (!reply) await this.clock.sleep(TIMEOUT_MS)
    return reply
  }

  /** The connection to one target of a pool. */
  at(target: number): Way {
    return { send: (call) => this.send(call, target) }
  }
}
