// Simulates a program without a limiter: workers take one call after the other, and OpenAI's SDK retries each by
// its own rules. This is a model of those rules, so that the command does not need the SDK. A test compares it
// with the real one.
//
// After a refusal the SDK waits as long as the provider asks, up to a minute. If it asks for nothing, or for more,
// the SDK waits 0.5 s, doubling up to 8 s, each shortened by up to a quarter. When its retries are used up, the
// call is lost.

import type { Recorder } from './recorder.ts'
import type { SimulatedCall, World } from './world.ts'

const MIN_MS = 500
const MAX_MS = 8000
const JITTER = 0.25
const LONGEST_TOLD_MS = 60_000

export interface SdkOptions {
  retries: number
  workers: number
  random: () => number
}

/** How long the SDK waits before its next attempt. `tries` is the number of retries so far. */
export function retryDelayMs(headers: Record<string, string>, tries: number, random: () => number): number {
  const told = Number(headers['retry-after-ms'] ?? Number(headers['retry-after'] ?? NaN) * 1000)
  if (told >= 0 && told <= LONGEST_TOLD_MS) return told
  return Math.min(MIN_MS * 2 ** tries, MAX_MS) * (1 - JITTER * random())
}

export class Sdk {
  readonly #world: World
  readonly #options: SdkOptions
  readonly #line: (() => void)[] = []
  #served = 0
  #busy = 0
  #parked = 0
  recorder: Recorder | undefined

  constructor(world: World, options: SdkOptions) {
    this.#world = world
    this.#options = options
  }

  levels() {
    const line = this.#line.length - this.#served
    return {
      waiting: line + this.#parked,
      parked: this.#parked,
      inFlight: this.#busy - this.#parked,
      gate: 'open' as const,
    }
  }

  async call(call: SimulatedCall): Promise<void> {
    this.recorder?.count('requests')
    if (this.#busy >= this.#options.workers) await new Promise<void>((go) => this.#line.push(go))
    else this.#busy++
    try {
      await this.#tryUntilDone(call)
      this.recorder?.count('finished')
    } catch (error) {
      this.recorder?.count('failed')
      throw error
    } finally {
      const next = this.#line[this.#served]
      if (next) {
        this.#served++
        next()
      } else this.#busy--
    }
  }

  async #tryUntilDone(call: SimulatedCall): Promise<void> {
    const { clock } = this.#world
    const { retries, random } = this.#options
    for (let tries = 0; ; tries++) {
      this.recorder?.issued(clock.now() - call.job.at)
      const reply = await this.#world.send(call)
      if (reply?.status === 200) return
      if (reply) this.recorder?.count('refused')
      if (tries === retries)
        throw new Error(`${reply ? `refused (${reply.status})` : 'no answer'} after ${retries} retries`)
      this.#parked++
      await clock.sleep(retryDelayMs(reply?.headers ?? {}, tries, random))
      this.#parked--
    }
  }
}
