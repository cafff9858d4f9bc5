/**
 * Decides as providers do that guess first and correct later: a call is charged what it might use, and when it
 * is over the difference comes back.
 */
import { inputAndOutput, promptAndMaximum } from './charge.ts'
import { callableOrNone, limitsAnd, MINUTE_MS, positive, seconds } from './check.ts'
import { BucketCounter } from './quota-counter.ts'
import { MeteredProvider, type MeteredLimit, type RefusalOptions } from './limited-provider.ts'
import type { ProviderCall } from './provider.ts'

/** Options of `LeakyBucketProvider`. */
export interface LeakyBucketOptions extends RefusalOptions {
  /** The limit of tokens. */
  tokensPerMinute: number
  /**
   * How much the bucket holds, in ms of its leak.
   * @default 60_000
   */
  capacityMs?: number
  /**
   * What the provider takes a call for when it arrives, in tokens. It may be wrong either way. Default: the
   * prompt and `maxOutputTokens`.
   */
  estimate?: (call: ProviderCall) => number
}

/**
 * A bucket of tokens that leaks all the time and must not run over. The estimate is poured in at the start and
 * corrected when the call finishes.
 *
 * - **Who behaves so**: Anthropic, which documents that input tokens are estimated at the start of a request and
 *   adjusted during it, and once documented the same of output tokens and `max_tokens`. Azure OpenAI is the one
 *   to tell the wait in `retry-after-ms`. Outside of models it is Shopify's way of charging queries.
 * - **The law it keeps**: when a call is let in, what was charged and has not leaked or come back is at most the
 *   capacity. So in any span of d ms at most `capacity + d · rate` of estimates gets in, plus what came back. A
 *   call larger than the capacity gets into an empty bucket, and owes.
 * - **Optimum** for N calls of estimate e and true cost a, each finishing at once:
 *   `((N − 1) · a + e − max(capacity, e)) ÷ rate`. It takes a bucket no longer to drain for being filled sooner.
 * - **Simplified**: one budget for both directions. What comes back when the bucket is empty already is lost.
 *
 * `failuresCount` is false by default, and true changes nothing, for there is no limit on requests. Throws a
 * `TypeError` that names a value that is not above 0.
 *
 * @example
 * const provider = new LeakyBucketProvider({ tokensPerMinute: 200_000 })
 * const call = provider.ask(0, { inputTokens: 500, maxOutputTokens: 4000 })
 * if (call.kind === 'admitted') call.finish(2000, { inputTokens: 500, outputTokens: 300 }) // 3,700 come back
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
