// The public surface of 'llmiter/fetch': a limited `fetch`, for any code that accepts a `fetch`.

import type { Fetch } from './shared/attempt.ts'
import { byUsage } from './shared/charge.ts'
import { callable } from '../lib/validate.ts'
import { limitedFetch } from './shared/fetch.ts'
import { type Limited, limitedWith, refuseLimited } from './shared/limited.ts'
import { type ClientLimits, type ClientOptions, limitsOf } from './shared/limits.ts'

export type { ClientCallOptions, ClientLimits, ClientOptions, LimitsByModel } from './shared/limits.ts'
export type { Limited } from './shared/limited.ts'

/**
 * Returns a `fetch` whose calls wait for tickets. The model is read from the body or the path of the request. A
 * refused request waits in the queue and is sent again, so the caller sees only the final answer. The ticket is
 * held until the body ends, and settled with the usage in it. Every POST is a call, except those that generate
 * nothing (files, batches, token counting).
 *
 * An SDK that uses it counts the wait in the queue against its own timeout. Set a long timeout, and turn its
 * retries off.
 *
 * @example
 * const limited = limitFetch(fetch, { models: { 'gpt-5': { requestsPerMinute: 500 } } })
 * const openai = new OpenAI({ fetch: limited, timeout: 3_600_000, maxRetries: 0 })
 *
 * @throws TypeError when an option is wrong. Calls reject with what `fetch` throws, unchanged, or with a
 * `LimiterError`.
 */
export function limitFetch<F extends typeof globalThis.fetch>(
  fetch: F,
  limits: ClientLimits,
  options: ClientOptions = {},
): Limited<F> {
  callable(fetch, 'fetch', limits)
  refuseLimited(fetch, 'limitFetch')
  return limitedWith(
    limitsOf(limits, byUsage, options, 'limitFetch'),
    (limits) => limitedFetch(fetch as Fetch, limits) as F,
  )
}
