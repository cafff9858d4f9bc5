// Calls that wait for a retry after a transient failure, or after a refusal that did not affect other calls. They
// leave the queue until their next attempt, and then return to their place in it.

import type { CallContext, PendingCall } from './pending-call.ts'

export class RetryQueue {
  readonly #runtime: CallContext
  /** Each waiting call, and whether it was refused. */
  readonly #waiters = new Map<PendingCall, boolean>()

  constructor(runtime: CallContext) {
    this.#runtime = runtime
  }

  get waiters(): PendingCall[] {
    return [...this.#waiters.keys()]
  }

  add(call: PendingCall, delayMs: number, refused: boolean, now: number): void {
    const { scheduler, chain } = this.#runtime
    this.#waiters.set(call, refused)
    for (const at of chain) at.backingOff++
    const back = () => {
      const then = scheduler.now()
      this.#return(call, then)
      scheduler.pump(then)
    }
    call.more().backoff = scheduler.at(now + delayMs, back, true)
  }

  /** The gate has closed for other calls too, so refused calls go back to their places in the queue. */
  recall(now: number): void {
    for (const [call, refused] of this.#waiters) {
      if (!refused) continue
      this.#runtime.scheduler.forget(call.more().backoff!)
      this.#return(call, now)
    }
  }

  #return(call: PendingCall, now: number): void {
    this.remove(call)
    call.more().backoff = undefined
    this.#runtime.issuer.enqueue(call, now)
  }

  remove(call: PendingCall): void {
    if (this.#waiters.delete(call)) for (const at of this.#runtime.chain) at.backingOff--
  }
}
