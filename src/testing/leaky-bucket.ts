/**
 * Simulates providers that estimate first and correct later: a call is charged its estimated usage, and the
 * difference is refunded at the end.
 */
import { inputAndOutput, promptAndMaximum } from './charge.ts'
import { callableOrNone, limitsAnd, MINUTE_MS, positive, seconds } from './check.ts'
import { BucketCounter } from './quota-counter.ts'
import { MeteredProvider, type MeteredLimit, type RefusalOptions } from './limited-provider.ts'
import type { ProviderCall } from './provider.ts'

/** Options of `LeakyBucketProvider`. */
export interface LeakyBucketOptions extends RefusalOptions {
  /** The token limit. */
  tokensPerMinute: number
  /**
   * The capacity of the bucket, in ms of its leak.
   * @default 60_000
   */
  capacityMs?: number
  /**
   * Returns the provider's estimate for a call when it arrives, in tokens. It may be too high or too low.
   * @default the prompt plus `maxOutputTokens`
   */
  estimate?: (call: ProviderCall) => number
}

/**
 * A bucket of tokens that leaks continuously and must not overflow. The estimate is added at the start and
 * corrected when the call ends.
 *
 * - **Found at**: Anthropic, which documents that input tokens are estimated at the start of a request and
 *   adjusted during it, and once documented the same for output tokens and `max_tokens`. Azure OpenAI reports the
 *   wait in `retry-after-ms`. Outside of models, Shopify charges queries in this way.
 * - **Rule**: when a call is accepted, the charged amount that has not leaked or been refunded is at most the
 *   capacity. So in any span of d ms, at most `capacity + d · rate` of estimates is accepted, plus refunds. A call
 *   larger than the capacity is accepted by an empty bucket, and leaves a debt.
 * - **Optimum** for N calls of estimate e and actual cost a, each finishing immediately: `((N − 1) · a + e −
 *   max(capacity, e)) ÷ rate`. Filling the bucket earlier does not make it drain later.
 * - **Simplified**: one budget for input and output. A refund to an empty bucket is lost.
 *
 * `failuresCount` is false by default and has no effect, because there is no request limit. Throws a `TypeError`
 * that names a value that is not above 0.
 *
 * @example
 * const provider = new LeakyBucketProvider({ tokensPerMinute: 200_000 })
 * const call = provider.ask(0, { inputTokens: 500, maxOutputTokens: 4000 })
 * if (call.kind === 'admitted') call.finish(2000, { inputTokens: 500, outputTokens: 300 }) // 3,700 are refunded
 */
export class LeakyBucketProvider extends MeteredProvider {
  constructor(options: LeakyBucketOptions) {
    limitsAnd(options, 'LeakyBucketProvider', ['tokensPerMinute', 'capacityMs', 'estimate'])
    const { tokensPerMinute, estimate = promptAndMaximum } = options
    callableOrNone(options.estimate, 'estimate')
    const { capacityMs = MINUTE_MS, retryAfter = 'exact', failuresCount = false } = options
    positive(tokensPerMinute, 'tokensPerMinute')
    positive(capacityMs, 'capacityMs')
    const limits = (): MeteredLimit[] => [
      {
        counter: new BucketCounter({ of: 'tokens', amount: tokensPerMinute, perMs: MINUTE_MS }, capacityMs),
        charge: estimate,
        settle: inputAndOutput,
      },
    ]
    super(`leaky bucket of ${seconds(capacityMs)}`, limits, { retryAfter, failuresCount })
  }
}
