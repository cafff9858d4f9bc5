/**
 * Decides what a model provider is: what it is asked, and what it can answer.
 *
 * A model provider is the other side of the wire, reduced to what a limiter can feel: which calls are let in,
 * what a refusal says, and what the headers tell. It is pure: the time comes in as an argument, so the same
 * model serves a simulation of an hour in virtual time and an HTTP server in real time (`startHttpProvider`).
 * Bodies, headers and latencies are the business of whoever speaks for it.
 */

/** What a provider can run out of. `tokens` is one budget for the tokens of both directions. */
export type ProviderDimension = 'requests' | 'tokens' | 'inputTokens' | 'outputTokens' | 'concurrency'

/** A call as the provider sees it. All counts are 0 or more. */
export interface ProviderCall {
  /**
   * @default 1
   */
  /**
   * How many requests it counts as.
   * @default 1
   */
  requests?: number
  /**
   * The prompt.
   * @default 0
   */
  inputTokens?: number
  /**
   * What the call is going to produce: a model knows it beforehand.
   * @default 0
   */
  outputTokens?: number
  /**
   * The most that the call asks for, `max_tokens`.
   * @default `outputTokens`
   */
  maxOutputTokens?: number
  /**
   * From the admission to the end of the answer, in ms; only `optimumMs` asks for it.
   * @default 0
   */
  serviceMs?: number
}

/** What a call turned out to use. */
export interface ProviderUsage {
  /** Input tokens. */
  inputTokens?: number
  /** Output tokens. */
  outputTokens?: number
}

/** The call is in. */
export interface Admitted {
  /** The call is in. */
  kind: 'admitted'
  /**
   * The call is over at `now`: tell it once for each admitted call, also when the client left. Models that
   * correct their charge, or count the calls inside, do so here; a second time changes nothing.
   *
   * `usage` defaults to what the call announced.
   */
  finish(now: number, usage?: ProviderUsage): void
}

interface RefusalBase {
  kind: 'refused'
  /** The wait that the refusal tells the client, in ms; absent when the provider keeps it to itself. */
  retryAfterMs?: number
}

/** Over a limit (`rate`), or a call that no empty provider could take (`oversize`). */
export interface LimitRefusal extends RefusalBase {
  /** Too many for now, or more than could ever fit. */
  why: 'rate' | 'oversize'
  /** The HTTP status. */
  status: 429
  /** The dimension of the limit. */
  of: ProviderDimension
  /** The limit as the provider advertises it, what of it is used, and what this call wanted. */
  limit: number
  /** What of the limit is used. */
  used: number
  /** What the call wanted. */
  requested: number
}

/** The provider is busy with others; `slowDown` is OpenAI's way to say that traffic grew too fast. */
export interface OverloadRefusal extends RefusalBase {
  /** The provider is busy. */
  why: 'overload'
  /** The HTTP status. */
  status: 503 | 529
  /** Traffic grew too fast. */
  slowDown?: boolean
}

/** No money or no quota left: waiting a moment does not help. */
export interface QuotaRefusal extends RefusalBase {
  /** The quota is used up. */
  why: 'quota'
  /** The HTTP status. */
  status: 429
}

/** A refusal of any kind. */
export type Refused = LimitRefusal | OverloadRefusal | QuotaRefusal

/** A black hole: no answer ever comes, and the client has to give up by itself. No limit was charged. */
export interface Silent {
  /** No answer ever comes. */
  kind: 'silent'
}

/** What a provider answers to a call. */
export type ProviderAnswer = Admitted | Refused | Silent

/** One limit as a client may read it from headers. A provider may have several of one dimension. */
export interface ProviderLimit {
  /** The dimension. */
  of: ProviderDimension
  /** `amount` per `perMs` ms; of concurrency, `amount` at once, and `perMs` is 0. */
  amount: number
  /** The window in ms; 0 for concurrency. */
  perMs: number
  /** What a call could take at once, a whole number. */
  remaining: number
  /** Ms until nothing is used any more; `Infinity` where only the end of a call frees it. */
  resetMs: number
}

/**
 * A provider in a nutshell. Implement it to test against a provider of your own.
 *
 * `now` is in ms, from any origin, and never goes back from one call to the next.
 *
 * @example
 * const provider = new TokenBucketProvider({ requestsPerMinute: 60, capacityMs: 1000 })
 * provider.ask(0).kind    // 'admitted'
 * provider.ask(10)        // { kind: 'refused', why: 'rate', of: 'requests', retryAfterMs: 990, ... }
 * provider.ask(1000).kind // 'admitted'
 */
export interface ModelProvider {
  /** The model and its parameters, as a bench prints them: `token bucket of 1 s, exact Retry-After`. */
  readonly name: string
  /** A call arrives. Its tokens are charged by the rule of the model. */
  ask(now: number, call?: ProviderCall): ProviderAnswer
  /** What headers would tell at `now`. */
  limits(now: number): ProviderLimit[]
  /**
   * What no real client can ask: the ms until `call` gets in if nobody else comes, 0 when it gets in now. Asking
   * costs nothing.
   *
   * Never too long. It may be too short where the limits change on the way, so ask again then; `Infinity` when
   * only the end of another call, or nothing, can help.
   */
  waitMs(now: number, call?: ProviderCall): number
  /** Another one with the same limits, that nobody has used yet. */
  unused(): ModelProvider
  /**
   * The theoretical optimum: the fewest ms from `now` within which a provider that nobody has used can admit
   * `calls` calls like `call`, or the calls that a function tells by their index, in this order. Each finishes
   * after its `serviceMs`. `Infinity` when one of them can never fit.
   *
   * No client can be faster, so `optimumMs ÷ measured` is a client's goodput.
   */
  optimumMs(now: number, calls: number, call?: ProviderCall | ((index: number) => ProviderCall)): number
}
