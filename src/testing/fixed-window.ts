/**
 * Simulates Azure OpenAI's token limits: a counter for each clock minute, charged with the maximum of each call
 * when it arrives.
 */
import { promptAndMaximum, requestsOf } from './charge.ts'
import { finite, limitsAnd, MINUTE_MS, positive } from './check.ts'
import { FixedWindowCounter } from './quota-counter.ts'
import { MeteredProvider, type MeteredLimit, type RefusalOptions } from './limited-provider.ts'

/** The limits of `FixedWindowProvider`: at least one, each a number above 0. */
export interface FixedWindowOptions extends RefusalOptions {
  /**
   * The request limit.
   * @default none
   */
  requestsPerMinute?: number
  /** Charged at the start with the prompt and `maxOutputTokens`. Nothing is refunded. */
  tokensPerMinute?: number
  /**
   * The provider's position within its minute at time 0, in ms. Clients cannot know it, so use a random value:
   * `60_000 * random()`.
   * @default 0
   */
  phaseMs?: number
}

/**
 * Counts requests and tokens in fixed windows of 60 s.
 *
 * - **Found at**: Azure OpenAI for tokens, which adds up the estimated maximum of each request and starts from
 *   zero every minute; many gateways.
 * - **Rule**: at most n in each window. Two bursts around an edge may total 2 n within a moment, as with all fixed
 *   windows.
 * - **Optimum** for N calls, n of which fit a window: 0 if N ≤ n, otherwise the rest of the first window and then
 *   `(⌈N ÷ n⌉ − 2) · 60 s`.
 *
 * `failuresCount` is false by default. Throws a `TypeError` that names a value that is not above 0.
 *
 * @example
 * new FixedWindowProvider({ requestsPerMinute: 600, tokensPerMinute: 200_000, phaseMs: 60_000 * random() })
 */
export class FixedWindowProvider extends MeteredProvider {
  constructor(options: FixedWindowOptions) {
    limitsAnd(options, 'FixedWindowProvider', ['requestsPerMinute', 'tokensPerMinute', 'phaseMs'])
    const { retryAfter = 'exact', failuresCount = false } = options
    super('fixed window of 60 s', () => minuteWindows(options), { retryAfter, failuresCount })
  }
}

/** The counters per minute, which the short quantum model also uses. */
export function minuteWindows(options: FixedWindowOptions): MeteredLimit[] {
  const { requestsPerMinute, tokensPerMinute, phaseMs = 0 } = options
  finite(phaseMs, 'phaseMs')
  const limits: MeteredLimit[] = []
  if (requestsPerMinute !== undefined) {
    const amount = positive(requestsPerMinute, 'requestsPerMinute')
    limits.push({
      counter: new FixedWindowCounter({ of: 'requests', amount, perMs: MINUTE_MS }, phaseMs),
      charge: requestsOf,
    })
  }
  if (tokensPerMinute !== undefined) {
    const amount = positive(tokensPerMinute, 'tokensPerMinute')
    limits.push({
      counter: new FixedWindowCounter({ of: 'tokens', amount, perMs: MINUTE_MS }, phaseMs),
      charge: promptAndMaximum,
    })
  }
  return limits
}
