/**
 * Simulates Amazon Bedrock: the whole of `max_tokens` is reserved at the start, and each output token is finally
 * charged several times.
 */
import { inputOf, outputOf, promptAndMaximum, requestsOf } from './charge.ts'
import { limitsAnd, MINUTE_MS, positive } from './check.ts'
import { BucketCounter } from './quota-counter.ts'
import { MeteredProvider, type MeteredLimit, type RefusalOptions } from './limited-provider.ts'
import type { ProviderDimension, ProviderUsage } from './provider.ts'

/** Options of `BurndownProvider`. */
export interface BurndownOptions extends RefusalOptions {
  /** The token limit. */
  tokensPerMinute: number
  /**
   * The request limit.
   * @default none
   */
  requestsPerMinute?: number
  /**
   * How many quota tokens an output token costs: 5 for Claude from 3.7 on, otherwise 1.
   * @default 5
   */
  burndown?: number
}

/**
 * Reserves input + `maxOutputTokens` at the start and settles to input + `burndown` × output at the end.
 *
 * - **Found at**: Amazon Bedrock, which documents both (How tokens are counted in Amazon Bedrock). Its
 *   `ThrottlingException` does not say when to come back.
 * - **Rule**: a call is accepted only if its reservation fits into what is left of the minute. The excess of its
 *   cost over its reservation becomes a debt. So a small `max_tokens` does not help a client with long answers,
 *   and a large one blocks quota while the call runs.
 * - **Optimum** for N calls that reserve e and cost a, each finishing immediately: `((N − 1) · a + e − n) ÷ rate`
 *   for a quota of n per minute, or the optimum of the request limit if it is later.
 * - **Simplified**: the quota refills continuously and starts full. Bedrock does not document how it refills.
 *   Cache reads and writes and the daily quota are not modelled.
 *
 * `failuresCount` is false and `retryAfter` `'none'` by default. Throws a `TypeError` that names a value that is
 * not above 0.
 *
 * @example
 * const provider = new BurndownProvider({ tokensPerMinute: 200_000, requestsPerMinute: 100 })
 * const call = provider.ask(0, { inputTokens: 1000, maxOutputTokens: 4000 })               // 5,000 reserved
 * if (call.kind === 'admitted') call.finish(9000, { inputTokens: 1000, outputTokens: 300 }) // 2,500 charged
 */
export class BurndownProvider extends MeteredProvider {
  constructor(options: BurndownOptions) {
    limitsAnd(options, 'BurndownProvider', ['tokensPerMinute', 'requestsPerMinute', 'burndown'])
    const { burndown = 5, retryAfter = 'none', failuresCount = false } = options
    positive(burndown, 'burndown')
    super(`burndown × ${burndown}`, () => limitsOf(options, burndown), { retryAfter, failuresCount })
  }
}

function limitsOf({ tokensPerMinute, requestsPerMinute }: BurndownOptions, burndown: number): MeteredLimit[] {
  const counter = (of: ProviderDimension, amount: number) =>
    new BucketCounter({ of, amount: positive(amount, `${of}PerMinute`), perMs: MINUTE_MS }, MINUTE_MS)
  const settle = (usage: ProviderUsage) => inputOf(usage) + burndown * outputOf(usage)
  const limits: MeteredLimit[] = [
    { counter: counter('tokens', tokensPerMinute), charge: promptAndMaximum, settle },
  ]
  if (requestsPerMinute !== undefined) {
    limits.push({ counter: counter('requests', requestsPerMinute), charge: requestsOf })
  }
  return limits
}
