// The wire between a client and a provider, in virtual time: how long a call is on its way, and when its refusal or
// its answer is back. It is the witness too: what is counted here does not depend on what a client says of itself.
//
// - On the way: 10 ms and up to `jitterMs` more, drawn for each try, so that calls overtake each other.
// - A refusal is back within 10–40 ms; an answer after the call's own time.
// - A call that no answer comes to is given up after ten minutes, as OpenAI's SDK does.

import type { ModelProvider, ProviderCall, VirtualClock } from 'llmiter/testing'
import { limitHeaders, refusalBody, retryHeaders } from '../../testing/openai/refusal.ts'
import type { Job } from './workloads.ts'

const WAY_MS = 10
const REFUSED_MS = [10, 40] as const
const TIMEOUT_MS = 600_000

/** A job on its way through a client. */
export interface Call {
  readonly job: Job
  readonly cost: ProviderCall
  /** When it last left. */
  sentAt: number
}

/** Status 0 is silence: nobody answered in time. */
export interface Reply {
  status: number
  headers: Record<string, string>
  body: object
}

export interface WorldOptions {
  clock: VirtualClock
  provider: ModelProvider
  random: () => number
  jitterMs: number
  /** Whether answers tell the limits, by OpenAI's names. */
  headers: boolean
}

export class World {
  readonly clock: VirtualClock
  readonly #options: WorldOptions
  refused = 0
  /** When somebody last got in. */
  progressAt = 0

  constructor(options: WorldOptions) {
    this.clock = options.clock
    this.#options = options
  }

  async send(call: Call): Promise<Reply> {
    const { clock, provider, random, jitterMs, headers } = this.#options
    call.sentAt = clock.now()
    await clock.sleep(WAY_MS + random() * jitterMs)
    const arrived = clock.now()
    const answer = provider.ask(arrived, call.cost)
    const told = headers ? limitHeaders(provider.limits(arrived)) : {}
    switch (answer.kind) {
      case 'silent':
        await clock.sleep(TIMEOUT_MS)
        return { status: 0, headers: {}, body: {} }
      case 'refused': {
        this.refused++
        const [least, most] = REFUSED_MS
        await clock.sleep(least + random() * (most - least))
        return {
          status: answer.status,
          headers: { ...told, ...retryHeaders(answer) },
          body: refusalBody(answer, 'model'),
        }
      }
      case 'admitted': {
        this.progressAt = arrived
        await clock.sleep(call.job.serviceMs)
        answer.finish(clock.now())
        return { status: 200, headers: told, body: {} }
      }
    }
  }
}
