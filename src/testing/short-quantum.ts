/**
 * Simulates providers that advertise limits per minute but count by the second: 600 per minute means 10 in each
 * second. A client that keeps sending refused calls also uses up the minute.
 */
import { requestsOf } from './charge.ts'
import { limitsAnd, MINUTE_MS, positive, seconds } from './check.ts'
import { minuteWindows, type FixedWindowOptions } from './fixed-window.ts'
import { FixedWindowCounter } from './quota-counter.ts'
import { MeteredProvider, type MeteredLimit } from './limited-provider.ts'

/** Options of `ShortQuantumProvider`. */
export interface ShortQuantumOptions extends FixedWindowOptions {
  /** The request limit. */
  requestsPerMinute: number
  /**
   * The length of the short windows in ms. 1,000 and 10,000 have been observed.
   * @default 1_000
   */
  quantumMs?: number
}

/**
 * Counts requests in fixed windows of 1 s or 10 s within the minute, and in the minute. Counts tokens only in the
 * minute.
 *
 * - **Found at**: Azure OpenAI, which documents that it evaluates requests over a small period of time, typically
 *   1 or 10 seconds. OpenAI documents that refused requests count against the minute.
 * - **Rule**: at most n per minute and q per quantum, where q is the quantum's share of n, rounded up to a whole
 *   request. (Rounded down, 119 per minute would allow only 60.)
 * - **Optimum** for N calls: as for a fixed window, of q calls per quantum and n per minute.
 *
 * `failuresCount` is true by default. Throws a `TypeError` that names a value that is not above 0.
 *
 * @example
 * new ShortQuantumProvider({ requestsPerMinute: 600, quantumMs: 10_000 })
 */
export class ShortQuantumProvider extends MeteredProvider {
  constructor(options: ShortQuantumOptions) {
    limitsAnd(options, 'ShortQuantumProvider', [
      'requestsPerMinute',
      'tokensPerMinute',
      'phaseMs',
      'quantumMs',
    ])
    const { quantumMs = 1000, retryAfter = 'exact', failuresCount = true } = options
    positive(quantumMs, 'quantumMs')
    super(
      `windows of ${seconds(quantumMs)} in the minute`,
      () => [quantum(options, quantumMs), ...minuteWindows(options)],
      {
        retryAfter,
        failuresCount,
      },
    )
  }
}

function quantum({ requestsPerMinute, phaseMs = 0 }: ShortQuantumOptions, quantumMs: number): MeteredLimit {
  const amount = Math.ceil((positive(requestsPerMinute, 'requestsPerMinute') * quantumMs) / MINUTE_MS)
  return {
    counter: new FixedWindowCounter({ of: 'requests', amount, perMs: quantumMs }, phaseMs),
    charge: requestsOf,
  }
}
