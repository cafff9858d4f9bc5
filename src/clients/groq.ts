// The public surface of 'llmiter/groq': the official client with a limiter inside.

import type { Groq } from 'groq-sdk'
import { byUsage } from './shared/charge.ts'
import { type ClientLimits, type ClientOptions, limitsOf } from './shared/limits.ts'
import type { Limited } from './shared/limited.ts'
import { modelOf } from './shared/request.ts'
import { type Dialect, limitClient } from './shared/stainless.ts'

export type { ClientCallOptions, ClientLimits, ClientOptions, LimitsByModel } from './shared/limits.ts'
export type { Limited } from './shared/limited.ts'

const dialect: Dialect = {
  name: 'limitGroq',
  sdk: 'groq-sdk 0.3 or later',
  generates: (path) =>
    /\/(completions|responses|embeddings|audio\/(speech|transcriptions|translations))$/.test(path),
  modelOf: ({ body }) => modelOf(body),
}

/**
 * The same client, whose calls wait for their tickets: `instanceof`, types, streams, `.withResponse()` and all helpers
 * are as they were. The client that was passed in stays without limits.
 *
 * @example
 * const groq = limitGroq(new Groq(), { models: { 'llama-3.3-70b-versatile': { requestsPerMinute: 30 } } })
 *
 * @throws TypeError when an option is wrong. Calls reject with the SDK's own errors, or with a `LimiterError`.
 */
export function limitGroq<C extends Groq>(
  client: C,
  limits: ClientLimits,
  options: ClientOptions = {},
): Limited<C> {
  return limitClient(client, limitsOf(limits, byUsage, options, 'limitGroq'), () => dialect)
}
