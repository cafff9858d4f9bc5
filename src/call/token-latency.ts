// Measures how fast a stream arrives. Runs only if a health watcher or a listener needs it.
//
// The stopwatch runs while the reader waits for the provider: until the answer begins, and from each read until
// its chunk arrives. So a reader that pauses between chunks does not make the provider look slow. Chunks that only
// open or close something carry no token. Their time is added to the next chunk that does.

import { isFrame } from '../lib/stream-frames.ts'
import type { PendingCall } from './pending-call.ts'

export class TokenLatency {
  readonly #call: PendingCall
  #waitedMs: number
  #since: number | undefined
  #first = true

  /** Starts the measurement for a call whose answer has just begun. */
  static of(call: PendingCall): TokenLatency | undefined {
    const { runtime } = call.policy
    const wanted = runtime.monitors.length > 0 || runtime.events.heard.has('chunk')
    return wanted ? new TokenLatency(call) : undefined
  }

  private constructor(call: PendingCall) {
    this.#call = call
    this.#waitedMs = call.policy.runtime.scheduler.now() - call.sentAt!
  }

  /** The reader asks for the next chunk. */
  ask(): void {
    this.#since ??= this.#call.policy.runtime.scheduler.now()
  }

  /** A chunk arrived. `reading` is the number of further reads already waiting. */
  chunk(chunk: unknown, reading: number, now: number): void {
    const { runtime } = this.#call.policy
    if (this.#since !== undefined) this.#waitedMs += now - this.#since
    this.#since = reading > 0 ? now : undefined
    if (isFrame(chunk)) return
    const ms = this.#waitedMs
    const first = this.#first
    this.#waitedMs = 0
    this.#first = false
    for (const monitor of runtime.monitors) monitor.sample(first ? 'ttft' : 'itl', ms, now)
    if (runtime.events.heard.has('chunk')) runtime.events.emit('chunk', { first, ms })
  }
}
