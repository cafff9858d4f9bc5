/**
 * Decides as Amazon Bedrock does: the whole of `max_tokens` is reserved at the start, and in the end a token
 * that was produced burns several of the quota.
 */
import { inputOf, outputOf, promptAndMaximum, requestsOf } from './charge.ts'
import { limitsAnd, MINUTE_MS, positive } from './check.ts'
import { BucketCounter } from './quota-counter.ts'
import { MeteredProvider, type MeteredLimit, type RefusalOptions } from './limited-provider.ts'
import type { ProviderDimension, ProviderUsage } from './provider.ts'

/** Options of `BurndownProvider`. */
export interface BurndownOptions extends RefusalOptions {
  /** The limit of tokens. */
  tokensPerMinute: number
  /**
   * The limit of requests.
   * @default none
   */
  requestsPerMinute?: number
  /**
   * How many tokens of the quota an output token burns: 5 for Claude from 3.7 on, else 1.
   * @default 5
   */
  burndown?: number
}

/**
 * Reserves input + `maxOutputTokens` at the start and settles to input + `burndown` × output at the end.
 *
 * - **Who behaves so**: Amazon Bedrock, which documents both (How tokens are counted in Amazon Bedrock), and
 *   whose `ThrottlingException` does not say when to come back.
 * - **The law it keeps**: a call is let in only when its reservation fits what is left of the minute. What it
 *   burns above its reservation becomes a debt, so short `max_tokens` do not help a client that produces much,
 *   and large ones idle the quota while the call runs.
 * - **Optimum** for N calls that reserve e and burn a, each finishing at once:
 *   `((N − 1) · a + e − n) ÷ rate` for a quota of n a minute, or that of the requests if it is later.
 * - **Simplified**: the quota refills continuously, from a full minute; Bedrock does not document how it does.
 *   Cache reads and writes are not modelled, nor the daily quota.
 *
 * `failuresCount` is false and `retryAfter` `'none'` by default. Throws a `TypeError` that names a value that is
 * not above 0.
 *
 * @example
 * const provider = new BurndownProvider({ tokensPerMinute: 200_000, requestsPerMinute: 100 })
 * const call = provider.ask(0, { inputTokens: 1000, maxOutputTokens: 4000 })               // 5,000 reserved
 * if (call.kind === 'admitted') call.finish(9000, { inputTokens: 1000, outputTokens: 300 }) // 2,500 burnt
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
