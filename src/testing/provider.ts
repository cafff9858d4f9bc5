/**
 * Defines a simulated model provider: its calls and its answers.
 *
 * It is reduced to what a limiter can observe: which calls are accepted, and what refusals and headers report. It
 * is pure: the time is an argument, so the same model works for an hour in virtual time and for an HTTP server in
 * real time (`startHttpProvider`). Bodies, headers and latencies are added by the code that uses it.
 */

/** The dimension of a limit. `tokens` is one budget for input and output tokens. */
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
   * Tokens of the prompt.
   * @default 0
   */
  inputTokens?: number
  /**
   * The tokens that the call is going to produce. A model knows them in advance.
   * @default 0
   */
  outputTokens?: number
  /**
   * The maximum output that the call allows, `max_tokens`.
   * @default `outputTokens`
   */
  maxOutputTokens?: number
  /**
   * The time from acceptance to the end of the answer, in ms. Only `optimumMs` uses it.
   * @default 0
   */
  serviceMs?: number
}

/** The actual usage of a call. */
export interface ProviderUsage {
  /** Input tokens. */
  inputTokens?: number
  /** Output tokens. */
  outputTokens?: number
}

/** The call was accepted. */
export interface Admitted {
  /** The call was accepted. */
  kind: 'admitted'
  /**
   * Ends the call at `now`. Call it once for each accepted call, also if the client left. Models that correct
   * their charge, or count calls in flight, do so here. Further calls have no effect.
   *
   * `usage` defaults to the tokens given with the call.
   */
  finish(now: number, usage?: ProviderUsage): void
}

interface RefusalBase {
  kind: 'refused'
  /** The wait that the refusal reports, in ms. Missing if the provider does not report it. */
  retryAfterMs?: number
}

/** The call exceeds a limit (`rate`), or could never be accepted (`oversize`). */
export interface LimitRefusal extends RefusalBase {
  /** Too much for now, or more than could ever fit. */
  why: 'rate' | 'oversize'
  /** The HTTP status. */
  status: 429
  /** The dimension of the limit. */
  of: ProviderDimension
  /** The advertised limit. */
  limit: number
  /** The used amount of the limit. */
  used: number
  /** The amount that the call needed. */
  requested: number
}

/** The provider is overloaded. `slowDown` is OpenAI's signal that traffic grew too fast. */
export interface OverloadRefusal extends RefusalBase {
  /** The provider is overloaded. */
  why: 'overload'
  /** The HTTP status. */
  status: 503 | 529
  /** Traffic grew too fast. */
  slowDown?: boolean
}

/** The credit or quota is used up, so waiting a moment does not help. */
export interface QuotaRefusal extends RefusalBase {
  /** The quota is used up. */
  why: 'quota'
  /** The HTTP status. */
  status: 429
}

/** A refusal of any kind. */
export type Refused = LimitRefusal | OverloadRefusal | QuotaRefusal

/** No answer ever arrives, and the client has to give up by itself. Nothing was charged. */
export interface Silent {
  /** No answer ever arrives. */
  kind: 'silent'
}

/** The provider's answer to a call. */
export type ProviderAnswer = Admitted | Refused | Silent

/** One limit as a client can read it from headers. A provider may have several limits of one dimension. */
export interface ProviderLimit {
  /** The dimension. */
  of: ProviderDimension
  /** `amount` per `perMs` ms. For concurrency, `amount` at the same time, and `perMs` is 0. */
  amount: number
  /** The window in ms. 0 for concurrency. */
  perMs: number
  /** The amount available now, a whole number. */
  remaining: number
  /** Ms until nothing is used any more. `Infinity` if only the end of a call frees it. */
  resetMs: number
}

/**
 * A simulated provider. Implement it to test against your own model.
 *
 * `now` is in ms from any origin, and never decreases from one call to the next.
 *
 * @example
 * const provider = new TokenBucketProvider({ requestsPerMinute: 60, capacityMs: 1000 })
 * provider.ask(0).kind    // 'admitted'
 * provider.ask(10)        // { kind: 'refused', why: 'rate', of: 'requests', retryAfterMs: 990, ... }
 * provider.ask(1000).kind // 'admitted'
 */
export interface ModelProvider {
  /** The model and its parameters, for reports: `token bucket of 1 s, exact Retry-After`. */
  readonly name: string
  /** Sends a call. Its tokens are charged by the rule of the model. */
  ask(now: number, call?: ProviderCall): ProviderAnswer
  /** The limits that headers would report at `now`. */
  limits(now: number): ProviderLimit[]
  /**
   * The ms until `call` would be accepted if no other call is sent. 0 if it would be accepted now. Real clients
   * cannot know this. Reading it changes nothing.
   *
   * It is never too long. It may be too short if the limits change on the way, so check again at that time.
   * `Infinity` if only the end of another call, or nothing, can help.
   */
  waitMs(now: number, call?: ProviderCall): number
  /** An unused provider with the same limits. */
  unused(): ModelProvider
  /**
   * The theoretical optimum: the minimum time in ms from `now` within which an unused provider can accept `calls`
   * calls like `call`, or the calls that a function gives by their index, in this order. Each finishes after its
   * `serviceMs`. `Infinity` if one of them can never fit.
   *
   * No client can be faster, so `optimumMs ÷ measured` is a client's goodput.
   */
  optimumMs(now: number, calls: number, call?: ProviderCall | ((index: number) => ProviderCall)): number
}
