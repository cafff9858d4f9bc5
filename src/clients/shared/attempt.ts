// One attempt of a call on its way through an SDK, with its ticket and its outcome.
//
// The ticket is awaited where the SDK has a hook for it, outside its timer. The request is sent much later, in the
// SDK's `fetch`. In between, the attempt travels with the request as a symbol in the options of `fetch`. A request
// that reaches `fetch` without an attempt bypassed the hook, and waits for its ticket there.

import { BodyReader } from './body.ts'
import type { ClientTicket } from './limits.ts'

export const ATTEMPT = Symbol('llmiter.attempt')

/** Statuses that are always a refusal. SDKs would retry them themselves, bypassing the queue. */
const REFUSED = [429, 498, 503, 529]
/** Statuses that may be a refusal, depending on the body. SDKs do not retry them. */
const DENIED = [400, 402, 403, 413]

export type Fetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>

export type Marked = RequestInit & { [ATTEMPT]?: Attempt | undefined }

/** The same options with an additional signal. */
export const withSignal = (
  init: RequestInit | undefined,
  signal: AbortSignal | undefined,
): RequestInit | undefined => {
  if (!signal || signal === init?.signal) return init
  return { ...init, signal: init?.signal ? AbortSignal.any([init.signal, signal]) : signal }
}

export class Attempt {
  /** `refused`: waits for the error that the SDK makes of the answer. `failed`: has ended and may be retried. */
  state: 'unsent' | 'sent' | 'refused' | 'failed' | 'answered' = 'unsent'
  readonly #grant: ClientTicket
  readonly #alone: boolean
  #restore: (() => void) | undefined
  /** The full text of a refusal. The SDK's error has only parts of it. */
  #body: string | undefined

  /** `alone`: the SDK does not retry, so a failure waits as the limiter's `retry` says. */
  constructor(grant: ClientTicket, alone = false) {
    this.#grant = grant
    this.#alone = alone
  }

  /** Sends the request and watches the answer. */
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

  /** Reads the body of a refusal. Starts before the SDK reads it, and ends before the SDK does. */
  async #read(response: Response): Promise<void> {
    try {
      this.#body = await response.clone().text()
    } catch {
      // The body was cut off or cannot be copied, so only the SDK's error is available.
    }
  }

  /** Restores the retry headers in the SDK's error, which were changed to prevent a retry. */
  restoreHeaders(): void {
    this.#restore?.()
  }

  /** The attempt ended without an answer. */
  fail(error: unknown): void {
    if (this.state === 'failed') return
    const { ticket } = this.#grant
    if (this.state === 'unsent') ticket.release()
    else ticket.fail(error)
    this.state = 'failed'
  }

  /** Waits in the queue after a refusal. Rejects with the refusal itself if waiting cannot resolve it. */
  async refuse(error: unknown): Promise<ClientTicket> {
    this.state = 'failed'
    return { ...this.#grant, ticket: await this.#grant.ticket.refuse(error, this.#body) }
  }

  /** Waits for another ticket, at the original place of the call in the queue. */
  async again(): Promise<ClientTicket> {
    this.fail(undefined)
    return { ...this.#grant, ticket: await this.#grant.ticket.again() }
  }

  /** Passes the answer on, and holds the ticket until its body ends. */
  #watch(response: Response, signal: AbortSignal | null | undefined): Response {
    this.state = 'answered'
    // The SDK's own signal, one per request. It also aborts when a stream is left before it was read.
    signal?.addEventListener('abort', () => this.#grant.ticket.fail(signal.reason), { once: true })
    return watch(response, this.#grant)
  }
}

/** Holds the ticket until the body of the response ends. Returns the response for the caller. */
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

/** Changes the headers so that the SDK does not retry. Returns a function that restores them in the SDK's error. */
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

/** Removes the attempt from the options of `fetch`, so that it is not used twice. */
export function unmark(init: Marked | undefined): {
  attempt: Attempt | undefined
  init: RequestInit | undefined
} {
  if (!init || !(ATTEMPT in init)) return { attempt: undefined, init }
  const { [ATTEMPT]: attempt, ...rest } = init
  return { attempt: attempt?.state === 'unsent' ? attempt : undefined, init: rest }
}
