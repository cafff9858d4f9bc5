// A ticket in the hands of code that runs its call itself.

import { judge, settle } from './answer.ts'
import { admit } from './attempt.ts'
import { learnFrom } from './learning.ts'
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
  #over = false

  private constructor(waiter: Waiter) {
    this.#waiter = waiter
  }

  /** @internal */
  static of(this: void, waiter: Waiter): Ticket {
    admit(waiter)
    const ticket = new Ticket(waiter)
    dropped?.register(ticket, waiter, ticket)
    return ticket
  }

  /** The provider answered. `usage` settles what was reserved; `headers` tell the limits. */
  finish({ usage, headers }: { usage?: Usage; headers?: unknown } = {}): void {
    if (!this.#giveBack()) return
    if (headers !== undefined) learnFrom({ headers }, this.#waiter)
    settle(this.#waiter, usage, 'ok')
  }

  /**
   * The provider refused, with this error or response: waits at the front of the line for a new ticket. Rejects
   * with the error itself when waiting does not help (quota, too large, not a refusal at all).
   */
  async refuse(error: unknown): Promise<Ticket> {
    if (!this.#giveBack()) throw new Error('this ticket was given back already')
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
    if (this.#giveBack()) this.#waiter.terms.desk.finish(this.#waiter, 'unsent', 'failed')
  }

  [Symbol.dispose](): void {
    this.finish()
  }

  #giveBack(): boolean {
    const first = !this.#over
    this.#over = true
    dropped?.unregister(this)
    return first
  }
}

/** A ticket that nobody holds any more cannot be given back: then the call is over. */
const dropped =
  typeof FinalizationRegistry === 'function'
    ? new FinalizationRegistry((waiter: Waiter) => {
        if (waiter.state !== 'in flight') return
        const { desk } = waiter.terms
        desk.events.emit('stuck', {
          refusals: 0,
          parkedMs: 0,
          reason: 'a ticket was dropped without finish()',
        })
        desk.finish(waiter, undefined, 'lost')
      })
    : undefined
