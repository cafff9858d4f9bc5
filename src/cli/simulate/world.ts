// A simulated client's view of the wire, and what is counted there: it does not depend on what a client says of itself.

import type { ProviderCall, VirtualClock } from 'llmiter/testing'
import { Wire, type WireOptions, type WireReply } from '../../testing/world/wire.ts'
import { SideBySide } from './side-by-side.ts'
import type { Job } from './workloads.ts'

/** A call that no answer comes to is given up after ten minutes, as OpenAI's SDK does. */
const TIMEOUT_MS = 600_000

/** A job on its way through a client. */
export interface SimulatedCall {
  readonly job: Job
  readonly cost: ProviderCall
  /** When it last left. */
  sentAt: number
}

/** Where a call is sent. */
export interface Way {
  send(call: SimulatedCall): Promise<WireReply | undefined>
}

export class World implements Way {
  readonly clock: VirtualClock
  /** One for each target of a pool; else there is one. */
  readonly #wires: readonly Wire[]
  refused = 0
  /** When somebody last got in. */
  progressAt = 0

  constructor(options: WireOptions) {
    this.clock = options.clock
    const { provider } = options
    const all = provider instanceof SideBySide ? provider.providers : [provider]
    this.#wires = all.map((one) => new Wire({ ...options, provider: one }))
  }

  /** Undefined is silence: nobody answered in time. */
  async send(call: SimulatedCall, target = 0): Promise<WireReply | undefined> {
    call.sentAt = this.clock.now()
    const reply = await this.#wires[target]!.send(call.cost, call.job.serviceMs, ({ kind }, at) => {
      if (kind === 'refused') this.refused++
      if (kind === 'admitted') this.progressAt = at
    })
    if (!reply) await this.clock.sleep(TIMEOUT_MS)
    return reply
  }

  /** The way to one target of a pool. */
  at(target: number): Way {
    return { send: (call) => this.send(call, target) }
  }
}
