/**
 * What an answer can mean to a limiter, independent of how the limiter reacts.
 *
 * Refusals have four kinds because the reactions differ: after `rate` the limiter waits and lowers its rate; after
 * `overload` it waits and keeps its rate; `quota` and `oversize` do not improve by waiting in the queue. A
 * transient failure is not a refusal: the provider failed instead of asking for a later call.
 */

export type RefusalKind = 'rate' | 'overload' | 'quota' | 'oversize'

/** The provider refused a call. */
export interface Refusal {
  /** What to do: wait, wait for an overloaded provider, stop all calls for now, or reject this call. */
  kind: RefusalKind
  /** The dimension that the provider named: 'requests', 'tokens', 'inputTokens', 'outputTokens', 'concurrency'. */
  of?: string
  /** How long the provider asks to wait. */
  waitMs?: number
  /** The limit that the provider named. */
  limit?: number
  /** The window of that limit in ms, if the provider named one: 60000 for tokens per minute. */
  perMs?: number
  /** The load grew too fast (OpenAI `slow_down`): return to the earlier rate. */
  slowDown?: true
  /** The HTTP status, if there was one. */
  status?: number
  /** For humans: '429 rate_limit_exceeded: tokens per min'. */
  reason: string
}

/** 5xx, 408, 409, lost connection, timeout: worth a retry if the user asks for one. */
export interface Transient {
  /** The attempt failed, and the next one may succeed. */
  kind: 'transient'
  /** How long the provider asks to wait, in ms. */
  waitMs?: number
  /** The HTTP status, if there was one. */
  status?: number
  /** For humans: '500', or 'ECONNRESET: socket hang up'. */
  reason: string
}

/** What an answer means to a limiter. */
export type Verdict = Refusal | Transient

/**
 * The outcome of a call. `body` is the parsed JSON or the text of the response: the returned one, or the one from
 * which an SDK made its error.
 */
export type Outcome = { error: unknown; body?: unknown } | { value: unknown; body?: unknown }
