// A ticket in the hands of code that runs its call itself.

import { concede, judge, settle } from '../call/outcome.ts'
import { admit, readBody } from '../call/execute.ts'
import { needsBody } from '../responses/classify.ts'
import type { Usage } from '../responses/usage.ts'
import { hold } from '../call/stream-ticket.ts'
import { learnFrom } from '../call/apply-headers.ts'
import { Waiter } from '../call/pending-call.ts'

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
  finish({ usage, headers }: { usage?: Usage | undefined; headers?: unknown } = {}): void {
    if (!this.#giveBack()) return
    if (headers !== undefined) learnFrom({ headers }, this.#waiter)
    settle(this.#waiter, usage)
  }

  /**
   * The provider has begun to answer, long before it is done: so it accepts calls. `headers` tell the limits. The
   * ticket stays out.
   */
  accepted({ headers }: { headers?: unknown } = {}): void {
    if (this.#over) return
    const { desk } = this.#waiter.terms
    if (headers !== undefined) learnFrom({ headers }, this.#waiter)
    desk.answered(this.#waiter)
  }

  /**
   * The answer is this stream: the ticket comes back when it ends, fails, is left, or is not read for five minutes,
   * unless you give it back before. `usage` is given each chunk, and `undefined` at the end; what it returned last
   * settles what was reserved. A stream that was left, or broke, has used what was reserved.
   *
   * Returns what to read in the stream's place. What is no stream gives the ticket back at once.
   */
  hold<S extends object>(stream: S, usage?: (chunk: unknown) => Usage | undefined): S {
    if (this.#over) return stream
    dropped?.unregister(this)
    const held = hold(this.#waiter, stream, usage)
    if (!held) this.finish()
    return (held ?? stream) as S
  }

  /**
   * The provider refused, with this error or `Response`: waits at the front of the line for a new ticket. Rejects
   * with the error or `Response` itself when waiting does not help (quota, too large, not a refusal at all). A
   * `Response` can still be read.
   */
  async refuse(answer: unknown): Promise<Ticket> {
    if (!this.#giveBack()) throw new Error('this ticket was given back already')
    const waiter = this.#waiter
    const { desk } = waiter.terms
    const outcome = needsBody(answer)
      ? { value: answer, body: await readBody(waiter, answer as Response) }
      : { error: answer }
    const verdict = judge(waiter, outcome)
    if (!verdict || verdict.kind === 'transient') {
      concede(waiter, answer, verdict)
      learnFrom(answer, waiter)
      throw answer
    }
    desk.refuse(waiter, verdict, answer)
    // Only now: what headers tell may let others go, and the refused call must stand before them.
    learnFrom(answer, waiter)
    return Ticket.of(waiter.state === 'parked' ? await desk.engine.ticket(waiter) : waiter)
  }

  /**
   * The call failed, perhaps in the middle of its answer, and does not wait for another ticket here. The limiter
   * learns what the error tells: a refusal closes the gate as ever.
   */
  fail(error: unknown): void {
    if (!this.#giveBack()) return
    concede(this.#waiter, error)
    learnFrom(error, this.#waiter)
  }

  /**
   * A new ticket for the same call, at the place in line that it first had: for a call that failed and is tried again
   * by somebody else's rules, such as those of an SDK. Gives this one back if it is still out.
   */
  again(): Promise<Ticket> {
    this.fail(undefined)
    const { terms, cost, seq, extra } = this.#waiter
    const { desk } = terms
    const now = desk.engine.now()
    const waiter = new Waiter(terms, cost, undefined, now)
    waiter.seq = seq
    if (extra) waiter.extra = { failures: 0, refusals: extra.refusals, waitedMs: extra.waitedMs }
    desk.enqueue(waiter, now)
    return (waiter.queue ? desk.engine.ticket(waiter) : Promise.resolve(waiter)).then(Ticket.of)
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
