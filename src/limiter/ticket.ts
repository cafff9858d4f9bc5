// A ticket for code that runs its call itself.

import { concede, learnFrom, settle, tellUsage } from '../call/outcome.ts'
import { admit, backOff, bounded, readBody, verdictOf, within } from '../call/execute.ts'
import { needsBody } from '../responses/classify.ts'
import { billedOf } from '../responses/billed.ts'
import type { Usage } from '../responses/usage.ts'
import { TicketOverError } from '../call/errors.ts'
import { hold } from '../call/stream-ticket.ts'
import { PendingCall } from '../call/pending-call.ts'

/**
 * The right to make one call now. Return it exactly once. Further returns do nothing.
 *
 * @example
 * using ticket = await limiter.acquire()
 * const response = await fetch(url)
 * ticket.finish({ headers: response.headers })
 */
export class Ticket {
  readonly #call: PendingCall
  #over = false

  private constructor(call: PendingCall) {
    this.#call = call
  }

  /** @internal */
  static of(this: void, call: PendingCall): Ticket {
    admit(call)
    const ticket = new Ticket(call)
    dropped?.register(ticket, call, ticket)
    return ticket
  }

  /**
   * Makes one attempt of the call. After `timeoutMs` it rejects with a `CallTimeoutError`, and the signal of
   * `work` aborts. The ticket is not returned.
   *
   * @internal
   */
  attempt<T>(work: (signal: AbortSignal | undefined) => PromiseLike<T>): Promise<T> {
    const { signal, timeoutMs } = this.#call.policy
    if (timeoutMs === Infinity) return Promise.resolve(within(this.#call, work, signal))
    return bounded(this.#call, work) as Promise<T>
  }

  /** The provider answered. `usage` replaces what was reserved. The limiter learns from `headers`. */
  finish({ usage, headers }: { usage?: Usage | undefined; headers?: unknown } = {}): void {
    if (!this.#giveBack()) return
    if (headers !== undefined) learnFrom({ headers }, this.#call)
    if (usage) tellUsage(this.#call, () => billedOf(undefined, usage))
    settle(this.#call, usage)
  }

  /**
   * The provider has begun to answer, long before the answer is complete, so it accepts calls. The limiter learns
   * from `headers`. The ticket is not returned.
   */
  accepted({ headers }: { headers?: unknown } = {}): void {
    if (this.#done) return
    const { runtime } = this.#call.policy
    if (headers !== undefined) learnFrom({ headers }, this.#call)
    runtime.answered(this.#call)
  }

  /**
   * Keeps the ticket until this stream ends, fails, is left, or is not read for five minutes, unless you return it
   * earlier. `usage` is called with each chunk, and with `undefined` at the end. Its last result replaces what was
   * reserved. A stream that was left or failed is charged what was reserved.
   *
   * Returns the stream to read instead. If the value is not a stream, the ticket is returned immediately.
   */
  hold<S extends object>(stream: S, usage?: (chunk: unknown) => Usage | undefined): S {
    if (this.#done) return stream
    dropped?.unregister(this)
    const held = hold(this.#call, stream, usage)
    if (!held) this.finish()
    return (held ?? stream) as S
  }

  /**
   * The call failed with this error or `Response`. After a refusal it waits at the front of the queue for a new
   * ticket. After a transient failure (5xx, lost connection, `CallTimeoutError`) it does so as configured by
   * `retry`. Rejects with the error or `Response` itself if there is no further attempt (quota, too large, no
   * `retry`). A `Response` can still be read.
   *
   * `body` is the text of the response from which an SDK made the error. The error may contain only parts of it.
   */
  async refuse(answer: unknown, body?: string): Promise<Ticket> {
    // A nested call has taken over the ticket and has already handled this answer.
    if (this.#call.waitState?.heir) throw answer
    const call = this.#call
    const { runtime } = call.policy
    if (!this.#giveBack()) {
      const message = `'${runtime.name}': this ticket was already returned`
      throw new TicketOverError(
        `${message}: call refuse() only once, instead of finish(), fail() or release(), or get another ticket with again()`,
      )
    }
    const outcome = needsBody(answer)
      ? { value: answer, body: await readBody(call, answer as Response) }
      : { error: answer, body }
    const verdict = verdictOf(call, outcome)
    if (!verdict || (verdict.kind === 'transient' && !backOff(call, answer, verdict))) {
      concede(call, answer, verdict)
      learnFrom(answer, call)
      throw answer
    }
    if (verdict.kind !== 'transient') runtime.refuse(call, verdict, answer)
    // Must not happen earlier: the headers may release other calls, and the refused call must be queued ahead of
    // them.
    learnFrom(answer, call)
    return Ticket.of(call.standing.is === 'waiting' ? await runtime.scheduler.ticket(call) : call)
  }

  /**
   * The call failed, perhaps in the middle of its answer, and does not wait for another ticket. The limiter still
   * learns from the error, and a refusal closes the gate.
   */
  fail(error: unknown): void {
    if (!this.#giveBack()) return
    concede(this.#call, error)
    learnFrom(error, this.#call)
  }

  /**
   * Returns a new ticket for the same call, at its original place in the queue. For a call that is retried by
   * other rules, such as those of an SDK. Returns this ticket first if needed.
   */
  again(): Promise<Ticket> {
    this.fail(undefined)
    const { policy, cost, seq, waitState } = this.#call
    const { runtime } = policy
    const now = runtime.scheduler.now()
    const call = new PendingCall(policy, cost, undefined, now)
    call.seq = seq
    if (waitState)
      call.waitState = { failures: 0, refusals: waitState.refusals, waitedMs: waitState.waitedMs }
    const { is } = runtime.enqueue(call, now)
    return (is === 'waiting' ? runtime.scheduler.ticket(call) : Promise.resolve(call)).then(Ticket.of)
  }

  /** The call was never made: refunds everything that was reserved. */
  release(): void {
    if (this.#giveBack()) this.#call.policy.runtime.release(this.#call)
  }

  [Symbol.dispose](): void {
    this.finish()
  }

  /** Whether it was returned, or a nested call took it over. */
  get #done(): boolean {
    return this.#over || this.#call.waitState?.heir !== undefined
  }

  #giveBack(): boolean {
    const first = !this.#done
    this.#over = true
    dropped?.unregister(this)
    return first
  }
}

/** A ticket that was garbage collected can no longer be returned, so its call has ended. */
const dropped =
  typeof FinalizationRegistry === 'function'
    ? new FinalizationRegistry((call: PendingCall) => {
        if (call.state !== 'in flight') return
        const { runtime } = call.policy
        runtime.events.emit('stuck', {
          ...call.named,
          refusals: 0,
          parkedMs: 0,
          reason: 'a ticket was dropped without finish()',
        })
        runtime.lose(call)
      })
    : undefined
