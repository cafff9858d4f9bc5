/**
 * Simulates Anthropic and OpenAI: each limit is a bucket that refills continuously. The capacity of the bucket
 * differs between accounts and is not documented: a whole minute, or one second.
 */
import { inputOf, outputOf, promptOrMaximum, requestsOf } from './charge.ts'
import { limitsAnd, MINUTE_MS, positive, seconds } from './check.ts'
import { BucketCounter, type QuotaCounter } from './quota-counter.ts'
import { MeteredProvider, type MeteredLimit, type RefusalOptions } from './limited-provider.ts'
import type { ProviderDimension } from './provider.ts'

/** At least one limit; each a number above 0. */
export interface TokenBucketOptions extends RefusalOptions {
  /**
   * The request limit.
   * @default none
   */
  requestsPerMinute?: number
  /**
   * One budget for input and output, as on OpenAI: charged at the start with the larger of the prompt and
   * `maxOutputTokens`, and never corrected.
   */
  tokensPerMinute?: number
  /** As on Anthropic: corrected when the call ends. */
  inputTokensPerMinute?: number
  /** As on Anthropic: actual output counts, and `maxOutputTokens` does not. Corrected when the call ends. */
  outputTokensPerMinute?: number
  /**
   * The capacity of each bucket, in ms of its refill: 60,000 for a full minute, 1,000 for a second.
   * @default 60_000
   */
  capacityMs?: number
}

const KEYS = [
  'requestsPerMinute',
  'tokensPerMinute',
  'inputTokensPerMinute',
  'outputTokensPerMinute',
  'capacityMs',
]

/**
 * Buckets for requests, tokens, input tokens and output tokens. A call must fit all that are given.
 *
 * - **Found at**: Anthropic, which documents a token bucket that is replenished continuously, and that 60 per
 *   minute may be enforced as 1 per second; OpenAI, judging by its reset headers.
 * - **Rule**: in any span of d ms at most `capacity + d · rate` is accepted, where the capacity is that of the
 *   bucket or, if larger, of one call: a full bucket accepts a larger call, and leaves a debt.
 * - **Optimum** for N calls of cost c, on the slowest of its buckets: `(N · c − max(capacity, c)) ÷ rate`.
 * - **Simplified**: output tokens are charged immediately, not while they are produced.
 *
 * `failuresCount` is false by default: a refused request leaves the bucket unchanged. If true, it takes what is
 * left, up to one request. Throws a `TypeError` that names a value that is not above 0.
 *
 * @example
 * new TokenBucketProvider({ requestsPerMinute: 600, capacityMs: 1000, retryAfter: 'seconds' })
 */
export class TokenBucketProvider extends MeteredProvider {
  constructor(options: TokenBucketOptions) {
    limitsAnd(options, 'TokenBucketProvider', KEYS)
    const { capacityMs = MINUTE_MS, retryAfter = 'exact', failuresCount = false } = options
    positive(capacityMs, 'capacityMs')
    super(`token bucket of ${seconds(capacityMs)}`, () => limitsOf(options, capacityMs), {
      retryAfter,
      failuresCount,
    })
  }
}

function limitsOf(options: TokenBucketOptions, capacityMs: number): MeteredLimit[] {
  const limits: MeteredLimit[] = []
  const counter = (of: ProviderDimension, amount: number): QuotaCounter =>
    new BucketCounter({ of, amount: positive(amount, `${of}PerMinute`), perMs: MINUTE_MS }, capacityMs)
  const { requestsPerMinute, tokensPerMinute, inputTokensPerMinute, outputTokensPerMinute } = options
  if (requestsPerMinute !== undefined) {
    limits.push({ counter: counter('requests', requestsPerMinute), charge: requestsOf })
  }
  if (tokensPerMinute !== undefined) {
    limits.push({ counter: counter('tokens', tokensPerMinute), charge: promptOrMaximum })
  }
  if (inputTokensPerMinute !== undefined) {
    limits.push({ counter: counter('inputTokens', inputTokensPerMinute), charge: inputOf, settle: inputOf })
  }
  if (outputTokensPerMinute !== undefined) {
    limits.push({
      counter: counter('outputTokens', outputTokensPerMinute),
      charge: outputOf,
      settle: outputOf,
    })
  }
  return limits
}
