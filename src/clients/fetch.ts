// The public surface of 'llmiter/fetch': a limiter before `fetch`, for anything that takes one.

import { type Fetch, LIMITED } from './shared/attempt.ts'
import { byUsage } from './shared/charge.ts'
import { callable } from '../lib/validate.ts'
import { limitedFetch } from './shared/fetch.ts'
import { type ClientLimits, type ClientOptions, Limits } from './shared/limits.ts'

export type { ClientLimits, ClientOptions, LimitsByModel } from './shared/limits.ts'

/**
 * A `fetch` whose calls wait for their tickets. The model is read from the body of the request, or from its path; a
 * refusal waits in line and is sent again, so that its caller sees the answer alone; the ticket is held until the
 * body is over, and settled with the usage that it tells. Every POST is a call, but for those that generate nothing
 * (files, batches, counting tokens).
 *
 * An SDK above it counts the wait in line against its own timeout: give it a long one, and turn its retries off.
 *
 * @example
 * const limited = limitFetch(fetch, { models: { 'gpt-5': { requestsPerMinute: 500 } } })
 * const openai = new OpenAI({ fetch: limited, timeout: 3_600_000, maxRetries: 0 })
 *
 * @throws TypeError when an option is wrong. Calls reject with what `fetch` throws, untouched, or with a `LimiterError`.
 */
export function limitFetch<F extends typeof globalThis.fetch>(
  fetch: F,
  limits: ClientLimits,
  options: ClientOptions = {},
): F {
  callable(fetch, 'fetch', limits)
  if (LIMITED in fetch) throw new TypeError('limitFetch: this fetch is limited already')
  const limited = limitedFetch(fetch as Fetch, new Limits(limits, byUsage, options, 'limitFetch'))
  return Object.defineProperty(limited as F & { [LIMITED]?: true }, LIMITED, { value: true })
}
