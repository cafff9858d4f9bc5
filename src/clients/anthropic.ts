// The public surface of 'llmiter/anthropic': the official client with a limiter inside.

import type { BaseAnthropic } from '@anthropic-ai/sdk'
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
  name: 'limitAnthropic',
  sdk: '@anthropic-ai/sdk 0.20 or later',
  generates: (path) => /\/v1\/(messages|complete)$/.test(path),
  modelOf: ({ body }) => modelOf(body),
}

/**
 * Returns a client whose calls go to the first client of a pool with room. Each target of the pool has a `client`
 * of this kind. Lists, files and batches go to the first target, or to the one named by `withLimiterOptions({
 * target })`.
 *
 * @example
 * const anthropic = limitAnthropic(createPool({ targets: [{ name: 'a', limiter: a, client: clientA }, { name: 'b',
 * limiter: b, client: clientB }] }))
 */
export function limitAnthropic<C extends BaseAnthropic>(
  pool: ClientPool<C>,
  options?: ClientOptions,
): Pooled<C>
/**
 * Returns a copy of the client whose calls wait for tickets. `instanceof`, types, streams, `.withResponse()` and
 * all helpers work unchanged. The original client is not limited.
 *
 * @example
 * const anthropic = limitAnthropic(new Anthropic(), {
 *   models: { 'claude-sonnet-5*': { requestsPerMinute: 50, inputTokensPerMinute: 30_000, outputTokensPerMinute:
 *   8000 } },
 * })
 *
 * @throws TypeError when an option is wrong. Calls reject with the SDK's own errors, or with a `LimiterError`.
 */
export function limitAnthropic<C extends BaseAnthropic>(
  client: C,
  limits: ClientLimits,
  options?: ClientOptions,
): Limited<C>
export function limitAnthropic<C extends BaseAnthropic>(
  clientOrPool: C | ClientPool<C>,
  limitsOrOptions: ClientLimits | ClientOptions = {},
  options: ClientOptions = {},
): Limited<C> | Pooled<C> {
  const limited = (client: C, limits: ClientLimits, options: ClientOptions) =>
    limitClient(client, limitsOf(limits, byUsage, options, 'limitAnthropic'), () => dialect)
  if (!isPool<C>(clientOrPool)) return limited(clientOrPool, limitsOrOptions as ClientLimits, options)
  return poolClient(
    clientOrPool,
    (client, limiter) => limited(client, limiter, limitsOrOptions as ClientOptions),
    () => dialect,
  )
}
