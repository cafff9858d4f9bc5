// Calls after a transient failure: they leave the queue until their next try, and then return to their place.

import type { CallContext, PendingCall } from './pending-call.ts'

export class RetryQueue {
  readonly #runtime: CallContext
  readonly #waiters = new Set<PendingCall>()

  constructor(runtime: CallContext) {
    this.#runtime = runtime
  }

  get waiters(): PendingCall[] {
    return [...this.#waiters]
  }

  add(call: PendingCall, delayMs: number, now: number): void {
    const { scheduler, issuer, chain } = this.#runtime
    this.#waiters.add(call)
    for (const at of chain) at.backingOff++
    const back = () => {
      this.remove(call)
      const then = scheduler.now()
      issuer.enqueue(call, then)
      scheduler.pump(then)
    }
    call.more().backoff = scheduler.at(now + delayMs, back, true)
  }

  remove(call: PendingCall): void {
    if (this.#waiters.delete(call)) for (const at of this.#runtime.chain) at.backingOff--
  }
}
