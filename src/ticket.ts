// A ticket in the hands of code that runs its call itself.

import { judge, settle } from './attempt.ts'
import { headersOf, readLimits } from './feedback/headers.ts'
import type { Usage } from './feedback/usage.ts'
import type { Waiter } from './waiter.ts'

/**
 * The right to make one call now. Give it back exactly once; a second time does nothing.
 *
 * @example
 * using ticket = await limiter.acquire()
 * const response = await fetch(url)
 * ticket.finish({ headers: response.headers })
 */
export class Ticket {
  readonly #waiter: Waiter

  private constructor(waiter: Waiter) {
    this.#waiter = waiter
  }

  static of(this: void, waiter: Waiter): Ticket {
    if (waiter.extra?.failure) throw waiter.extra.failure.error
    return new Ticket(waiter)
  }

  /** The provider answered. `usage` settles what was reserved; `headers` tell the limits. */
  finish({ usage, headers }: { usage?: Usage; headers?: unknown } = {}): void {
    const { desk } = this.#waiter.terms
    if (headers !== undefined) desk.told(readLimits(headersOf({ headers }), desk.engine.clock.wall()))
    settle(this.#waiter, usage, 'ok')
  }

  /**
   * The provider refused, with this error or response: waits at the front of the line for a new ticket. Rejects
   * with the error itself when waiting does not help (quota, too large, not a refusal at all).
   */
  async refuse(error: unknown): Promise<Ticket> {
    const waiter = this.#waiter
    const { desk } = waiter.terms
    const verdict = judge(waiter, { error })
    if (!verdict || verdict.kind === 'transient') {
      desk.finish(waiter, undefined, 'failed')
      throw error
    }
    desk.refuse(waiter, verdict, error)
    return Ticket.of(waiter.state === 'parked' ? await waiter.terms.desk.engine.ticket(waiter) : waiter)
  }

  /** The call was never made: all that was reserved comes back. */
  release(): void {
    this.#waiter.terms.desk.finish(this.#waiter, 'unsent', 'failed')
  }

  [Symbol.dispose](): void {
    this.finish()
  }
}
