/**
 * Decides as providers do that promise a minute and count seconds: 600 a minute means 10 in each second, and
 * whoever keeps asking while refused uses up the minute as well.
 */
import { requestsOf } from './charge.ts'
import { limitsAnd, MINUTE_MS, positive, seconds } from './check.ts'
import { minuteWindows, type FixedWindowOptions } from './fixed-window.ts'
import { FixedWindowCounter } from './quota-counter.ts'
import { MeteredProvider, type MeteredLimit } from './limited-provider.ts'

/** Options of `ShortQuantumProvider`. */
export interface ShortQuantumOptions extends FixedWindowOptions {
  /** The limit of requests. */
  requestsPerMinute: number
  /**
   * Length of the short windows in ms; seen are 1,000 and 10,000.
   * @default 1_000
   */
  quantumMs?: number
}

/**
 * Counts requests in fixed windows of 1 s or 10 s inside the minute, and in the minute; tokens in the minute
 * only.
 *
 * - **Who behaves so**: Azure OpenAI, which documents that it evaluates requests over a small period of time,
 *   typically 1 or 10 seconds. OpenAI documents that refused requests count against the minute.
 * - **The law it keeps**: at most n in each minute of its own and q in each quantum, where q is the quantum's
 *   share of n, rounded up to a whole request: else 119 a minute would admit 60.
 * - **Optimum** for N calls: as in a fixed window, of q calls for each quantum and n for each minute.
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
