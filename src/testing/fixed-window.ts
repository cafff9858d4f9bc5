/**
 * Decides as Azure OpenAI does for tokens: a counter for each clock minute, and what a call might use is gone
 * when it arrives.
 */
import { promptAndMaximum, requestsOf } from './charge.ts'
import { finite, limitsAnd, MINUTE_MS, positive } from './check.ts'
import { FixedWindowCounter } from './quota-counter.ts'
import { MeteredProvider, type MeteredLimit, type RefusalOptions } from './limited-provider.ts'

/** At least one limit; each a number above 0. */
export interface FixedWindowOptions extends RefusalOptions {
  /**
   * The limit of requests.
   * @default none
   */
  requestsPerMinute?: number
  /** Charged at the start with the prompt and `maxOutputTokens`; nothing comes back. */
  tokensPerMinute?: number
  /**
   * How far inside its minute the provider is at time 0, in ms. No client can know it, so draw it:
   * `60_000 * random()`. Default: 0.
   */
  phaseMs?: number
}

/**
 * Counts requests and tokens in fixed windows of 60 s.
 *
 * - **Who behaves so**: Azure OpenAI for tokens, which adds up the estimated maximum of each request and starts
 *   from zero every minute; many gateways.
 * - **The law it keeps**: at most n in each of its windows. Two bursts across an edge may bring 2 n within a
 *   moment: that is how fixed windows are.
 * - **Optimum** for N calls, n of which fit a window: 0 if N ≤ n, else the rest of the first window and then
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

/** The counters for the minute, which the short quantum has too. */
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
