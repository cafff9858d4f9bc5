// Detects which Redis client the user passed: `ioredis`, `redis` (node-redis) or `@upstash/redis`.

import { text } from '../../lib/validate.ts'
import type { Connection } from './connection.ts'
import { ioRedis, type IoRedisLike } from './ioredis.ts'
import { nodeRedis, type NodeRedisLike } from './node-redis.ts'

/** The members of a client of `@upstash/redis` that are used. */
export interface UpstashLike {
  evalsha(sha: string, keys: string[], args: string[]): Promise<unknown>
  eval(script: string, keys: string[], args: string[]): Promise<unknown>
}

/** A client of `ioredis`, `redis` or `@upstash/redis`. */
export type RedisClient = IoRedisLike | NodeRedisLike | UpstashLike

export function connect(client: RedisClient): Connection {
  const has = (name: string) => typeof (client as unknown as Record<string, unknown>)[name] === 'function'
  if (client && has('evalSha') && has('duplicate')) return nodeRedis(client as NodeRedisLike)
  if (client && has('evalsha') && has('duplicate')) return ioRedis(client as IoRedisLike)
  if (client && has('evalsha')) return upstash(client as UpstashLike)
  throw new TypeError(`redisStore needs a client of ioredis, redis or @upstash/redis, got ${text(client)}`)
}

function upstash(client: UpstashLike): Connection {
  return {
    call: (command, script, keys, args) =>
      command === 'EVALSHA' ? client.evalsha(script, keys, args) : client.eval(script, keys, args),
    close() {},
  }
}
