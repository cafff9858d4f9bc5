// `llmiter/redis`: one limit for many processes, kept in Redis or Valkey.

import type { BudgetStore, SharedSlots, Store, StoreHost } from 'llmiter'
import { redisBudgets } from './budget-store.ts'
import { connect, type RedisClient } from './detect-client.ts'
import { redisTransport } from './transport.ts'
import { gone, ownId } from '../client/process-liveness.ts'
import { FleetAgent } from '../client/agent.ts'
import { choice, fields, given, number, text } from '../../lib/validate.ts'

export { redisGuardStore, type RedisGuardStoreOptions } from './guard-store.ts'
export type { RedisClient, UpstashLike } from './detect-client.ts'
export type { IoRedisLike } from './ioredis.ts'
export type { NodeRedisLike } from './node-redis.ts'

/** Options of `redisStore`. */
export interface RedisStoreOptions {
  /**
   * The prefix of all keys and channels.
   * @default 'llmiter:'
   */
  prefix?: string | undefined
  /**
   * What happens while the store cannot be reached. `'share'`: calls continue at the limit divided by the last
   * known number of processes. `'wait'`: calls wait until the store is back. `'reject'`: every call is rejected
   * with `StoreDownError`.
   * @default 'share'
   */
  onStoreDown?: 'share' | 'wait' | 'reject' | undefined
  /**
   * How many processes share the limit, for a process that has never reached the store.
   * @default it waits for the store
   */
  processes?: number | undefined
}

const SYNONYMS = { prefix: 'keyprefix namespace', processes: 'workers instances replicas' }

/**
 * Shares the limits of a limiter with limiters of the same name in all processes that use this Redis or Valkey. As
 * the `store` of a pool, it shares the pool's budgets by name.
 *
 * `client` is an `ioredis`, `redis` (node-redis) or `@upstash/redis` client, or a cluster of the first two. The
 * store opens its own connections with that client's settings. They end with the client, or with `limiter.stop()`.
 *
 * @example
 * const store = redisStore(new Redis('redis://localhost'))
 * const gpt = new BucketRateLimiter({ name: 'gpt-5', requestsPerMinute: 500, store })
 *
 * @throws TypeError when an option is unknown or wrong, or the client is none of these.
 */
export function redisStore(client: RedisClient, options: RedisStoreOptions = {}): Store & BudgetStore {
  fields(options, 'redisStore', ['prefix', 'onStoreDown', 'processes'], SYNONYMS)
  const { prefix = 'llmiter:', onStoreDown = 'share', processes } = options
  if (typeof prefix !== 'string' || /[{}]/.test(prefix))
    throw new TypeError(`prefix must be a string without braces, got ${text(prefix)}`)
  choice(onStoreDown, 'onStoreDown', ['share', 'wait', 'reject'])
  given(processes, (value) => number(value, 'processes', 'a whole number of at least 1'))
  // Reports a wrong client here instead of at the first call.
  connect(client)
  return {
    ...redisBudgets(() => connect(client), prefix),
    open(host: StoreHost): SharedSlots {
      const random = () => host.clock.random?.() ?? Math.random()
      const transport = redisTransport(connect(client), prefix, host.name)
      return new FleetAgent(host, transport, { id: ownId(), onStoreDown, processes, random, gone })
    },
  }
}
