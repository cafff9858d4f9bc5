// One attempt of a call on its way through an SDK: its ticket, and what has become of it.
//
// The ticket is awaited where the SDK has a place for it, outside its timer, and the request goes out far below,
// in the SDK's `fetch`. Between the two the attempt travels with the request itself, as a symbol among the options
// of `fetch`. A request that comes to `fetch` without one has found another way, and waits there for its ticket.

import { BodyReader } from './body.ts'
import type { ClientTicket } from './limits.ts'

export const ATTEMPT = Symbol('llmiter.attempt')

/** Statuses that are always a refusal. SDKs would retry them by themselves, around the queue. */
const REFUSED = [429, 498, 503, 529]
/** Statuses that may be a refusal: the body decides. SDKs do not retry them. */
const DENIED = [400, 402, 403, 413]

export type Fetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>

export type Marked = RequestInit & { [ATTEMPT]?: Attempt | undefined }

/** The same options, with one signal more. */
export const withSignal = (
  init: RequestInit | undefined,
  signal: AbortSignal | undefined,
): RequestInit | undefined => {
  if (!signal || signal === init?.signal) return init
  return { ...init, signal: init?.signal ? AbortSignal.any([init.signal, signal]) : signal }
}

export class Attempt {
  /** `refused`: it waits for what its SDK makes of the answer. `failed`: over, and may be tried again. */
  state: 'unsent' | 'sent' | 'refused' | 'failed' | 'answered' = 'unsent'
  readonly #grant: ClientTicket
  readonly #alone: boolean
  #restore: (() => void) | undefined
  /** What a refusal says in full: the SDK's error has parts of it only. */
  #body: string | undefined

  /** `alone`: the SDK does not try again, so that a failure waits for what the limiter's `retry` says. */
  constructor(grant: ClientTicket, alone = false) {
    this.#grant = grant
    this.#alone = alone
  }

  /** Sends the request, and watches the answer. */
  async send(fetch: Fetch, input: string | URL | Request, init: RequestInit | undefined): Promise<Response> {
    this.state = 'sent'
    let response: Response
    try {
      response = await this.#grant.ticket.attempt((signal) => fetch(input, withSignal(init, signal)))
    } catch (error) {
      if (this.#alone) this.state = 'refused'
      else this.fail(error)
      throw error
    }
    const { ok, status } = response
    if (ok) return this.#watch(response, init?.signal)
    if (REFUSED.includes(status)) this.#restore = forbidRetry(response)
    if (DENIED.includes(status) || REFUSED.includes(status)) {
      this.state = 'refused'
      void this.#read(response)
    } else if (status >= 500 || status === 408 || status === 409) {
      if (this.#alone) this.state = 'refused'
      else this.fail(response)
    }
    return response
  }

  /** Begins before the SDK reads, and is over before the SDK is. */
  async #read(response: Response): Promise<void> {
    try {
      this.#body = await response.clone().text()
    } catch {
      // Cut off, or not to be copied: then the SDK's error must do.
    }
  }

  /** The SDK has not retried: hides from its caller how it was told not to. */
  restoreHeaders(): void {
    this.#restore?.()
  }

  /** The attempt is over without an answer. */
  fail(error: unknown): void {
    if (this.state === 'failed') return
    const { ticket } = this.#grant
    if (this.state === 'unsent') ticket.release()
    else ticket.fail(error)
    this.state = 'failed'
  }

  /** Waits in the queue after a refusal. Rejects with the refusal itself when waiting does not help. */
  async refuse(error: unknown): Promise<ClientTicket> {
    this.state = 'failed'
    return { ...this.#grant, ticket: await this.#grant.ticket.refuse(error, this.#body) }
  }

  /** Waits for another ticket, at the place in the queue that the call first had. */
  async again(): Promise<ClientTicket> {
    this.fail(undefined)
    return { ...this.#grant, ticket: await this.#grant.ticket.again() }
  }

  /** Gives the answer on, and holds the ticket until its body is over. */
  #watch(response: Response, signal: AbortSignal | null | undefined): Response {
    this.state = 'answered'
    // The SDK's own signal, one for each request. It also aborts when a stream is left before it was read.
    signal?.addEventListener('abort', () => this.#grant.ticket.fail(signal.reason), { once: true })
    return watch(response, this.#grant)
  }
}

/** Holds the ticket until the body of the response is over. Returns the response to give on. */
export function watch(response: Response, { ticket, used }: ClientTicket): Response {
  const { body, headers } = response
  ticket.accepted({ headers })
  // Nothing reads an empty body, and a Node stream is read by whatever it is piped to.
  if (!body || !('getReader' in body) || headers.get('content-length') === '0') {
    ticket.finish()
    return response
  }
  const reader = new BodyReader(headers.get('content-type') ?? '', {
    done: (usage) => ticket.finish({ usage: usage && used(usage) }),
    failed: (error) => ticket.fail(error),
  })
  const watched = ticket.hold(body, (chunk) => {
    const usage = reader.read(chunk)
    return usage && used(usage)
  })
  return watched === body ? response : renewed(response, watched)
}

/** The same response with another body. */
export function renewed(response: Response, body: ReadableStream): Response {
  const { status, statusText, headers, url, redirected, type } = response
  const fresh = new Response(body, { status, statusText, headers })
  for (const [key, value] of Object.entries({ url, redirected, type }))
    Object.defineProperty(fresh, key, { value, configurable: true })
  return fresh
}

/** Tells the SDK not to retry by itself. Returns what takes that back, from the error that it has made of it. */
function forbidRetry(response: Response): () => void {
  const said = response.headers.get('x-should-retry')
  const headers = new Headers(response.headers)
  headers.set('x-should-retry', 'false')
  Object.defineProperty(response, 'headers', { value: headers, configurable: true })
  return () => {
    if (said === null) headers.delete('x-should-retry')
    else headers.set('x-should-retry', said)
  }
}

/** Takes the attempt from the options of `fetch`, so that it is not used twice. */
export function unmark(init: Marked | undefined): {
  attempt: Attempt | undefined
  init: RequestInit | undefined
} {
  if (!init || !(ATTEMPT in init)) return { attempt: undefined, init }
  const { [ATTEMPT]: attempt, ...rest } = init
  return { attempt: attempt?.state === 'unsent' ? attempt : undefined, init: rest }
}
