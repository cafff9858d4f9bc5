// The public surface of 'llmiter/groq': the official client with a limiter inside.

import type { Groq } from 'groq-sdk'
import { byUsage } from './shared/charge.ts'
import { type ClientLimits, type ClientOptions, limitsOf } from './shared/limits.ts'
import type { Limited } from './shared/limited.ts'
import { type ClientPool, isPool, type Pooled, poolClient } from './shared/pooled.ts'
import { modelOf } from './shared/request.ts'
import { type Dialect, limitClient } from './shared/stainless.ts'

export type { ClientCallOptions, ClientLimits, ClientOptions, LimitsByModel } from './shared/limits.ts'
export type { Limited } from './shared/limited.ts'
export type { ClientPool, Pooled, PooledCallOptions } from './shared/pooled.ts'

const dialect: Dialect = {
  name: 'limitGroq',
  sdk: 'groq-sdk 0.3 or later',
  generates: (path) =>
    /\/(completions|responses|embeddings|audio\/(speech|transcriptions|translations))$/.test(path),
  modelOf: ({ body }) => modelOf(body),
}

/**
 * Returns a client whose calls go to the first client of a pool with room. Each target of the pool has a `client`
 * of this kind. Lists, files and batches go to the first target, or to the one named by `withLimiterOptions({
 * target })`.
 *
 * @example
 * const groq = limitGroq(createPool({ targets: [{ name: 'a', limiter: a, client: clientA }, { name: 'b', limiter:
 * b, client: clientB }] }))
 */
export function limitGroq<C extends Groq>(pool: ClientPool<C>, options?: ClientOptions): Pooled<C>
/**
 * Returns a copy of the client whose calls wait for tickets. `instanceof`, types, streams, `.withResponse()` and
 * all helpers work unchanged. The original client is not limited.
 *
 * @example
 * const groq = limitGroq(new Groq(), { models: { 'llama-3.3-70b-versatile': { requestsPerMinute: 30 } } })
 *
 * @throws TypeError when an option is wrong. Calls reject with the SDK's own errors, or with a `LimiterError`.
 */
export function limitGroq<C extends Groq>(
  client: C,
  limits: ClientLimits,
  options?: ClientOptions,
): Limited<C>
export function limitGroq<C extends Groq>(
  clientOrPool: C | ClientPool<C>,
  limitsOrOptions: ClientLimits | ClientOptions = {},
  options: ClientOptions = {},
): Limited<C> | Pooled<C> {
  const limited = (client: C, limits: ClientLimits, options: ClientOptions) =>
    limitClient(client, limitsOf(limits, byUsage, options, 'limitGroq'), () => dialect)
  if (!isPool<C>(clientOrPool)) return limited(clientOrPool, limitsOrOptions as ClientLimits, options)
  return poolClient(
    clientOrPool,
    (client, limiter) => limited(client, limiter, limitsOrOptions as ClientOptions),
    () => dialect,
  )
}
