/**
 * What an answer can mean to a limiter, and nothing of what a limiter does about it.
 *
 * A refusal is one of four kinds because four different things follow from it: `rate` waits and teaches
 * the rate, `overload` waits and teaches nothing, `quota` and `oversize` never get better by waiting in
 * line. A transient failure is no refusal: the provider did not say "later", it broke.
 */

export type RefusalKind = 'rate' | 'overload' | 'quota' | 'oversize'

/** The provider turned a call away. */
export interface Refusal {
  /** What follows from it: wait, wait for a busy provider, give up for now, or give this call up. */
  kind: RefusalKind
  /** The dimension that the provider named: 'requests', 'tokens', 'inputTokens', 'outputTokens', 'concurrency'. */
  of?: string
  /** How long the provider asks to wait. */
  waitMs?: number
  /** The limit that it named. */
  limit?: number
  /** The window of that limit, when it named one: 60000 for tokens per minute. */
  perMs?: number
  /** The load grew too fast (OpenAI `slow_down`): go back to the earlier rate. */
  slowDown?: true
  /** The HTTP status, if there was one. */
  status?: number
  /** For people: '429 rate_limit_exceeded: tokens per min'. */
  reason: string
}

/** 5xx, 408, 409, connection lost, timeout: worth another try when the user asks for one. */
export interface Transient {
  /** It broke; the next try may succeed. */
  kind: 'transient'
  /** How long the provider asks to wait, in ms. */
  waitMs?: number
  /** The HTTP status, if there was one. */
  status?: number
  /** For people: '500', or 'ECONNRESET: socket hang up'. */
  reason: string
}

/** What an answer means to a limiter. */
export type Verdict = Refusal | Transient

/**
 * What a call came to. `body` is the parsed JSON or the text of the response: of one that was returned, or of the one
 * from which an SDK made its error.
 */
export type Outcome = { error: unknown; body?: unknown } | { value: unknown; body?: unknown }
