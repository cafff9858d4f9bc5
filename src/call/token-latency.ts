// How fast a stream comes, measured only where somebody wants to know.
//
// The stopwatch runs while somebody waits for the provider: until the answer begins, and from each time the reader
// asks until it gets. A reader that takes its time between two chunks is not the provider's slowness. Chunks
// that only open or close something carry no token, and their time counts for the next that does.

import { isFrame } from '../responses/stream-events.ts'
import type { Waiter } from './pending-call.ts'

export class Latency {
  readonly #waiter: Waiter
  #waitedMs: number
  #since: number | undefined
  #first = true

  /** For a call whose answer has just begun. */
  static of(waiter: Waiter): Latency | undefined {
    const { desk } = waiter.terms
    const wanted = desk.monitors.length > 0 || desk.events.heard('chunk')
    return wanted ? new Latency(waiter) : undefined
  }

  private constructor(waiter: Waiter) {
    this.#waiter = waiter
    this.#waitedMs = waiter.terms.desk.engine.now() - waiter.sentAt!
  }

  /** The reader asks for the next chunk. */
  ask(): void {
    this.#since ??= this.#waiter.terms.desk.engine.now()
  }

  /** It came, and so many more are asked for already. */
  chunk(chunk: unknown, reading: number, now: number): void {
    const { desk } = this.#waiter.terms
    if (this.#since !== undefined) this.#waitedMs += now - this.#since
    this.#since = reading > 0 ? now : undefined
    if (isFrame(chunk)) return
    const ms = this.#waitedMs
    const first = this.#first
    this.#waitedMs = 0
    this.#first = false
    for (const monitor of desk.monitors) monitor.sample(first ? 'ttft' : 'itl', ms, now)
    if (desk.events.heard('chunk')) desk.events.emit('chunk', { first, ms })
  }
}
