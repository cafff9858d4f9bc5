// `redisGuardStore`: the counts of the guards of endpoints (`llmiter/inbound`), for all processes that use one Redis.
//
// The same law as in one process: a log of those that passed, so no window of any phase holds more than the limit. One
// atomic step on the store's clock asks all limits of a request and counts it in all or in none. Each key is a list of
// at most as many times as the limit allows, and goes by itself one window after the last of them.

import type { GuardAnswer, GuardStore } from 'llmiter'
import { connect, type RedisClient } from './detect-client.ts'
import { cachedScript } from './cached-script.ts'
import { fields, text } from '../../lib/validate.ts'

/** Options of `redisGuardStore`. */
export interface RedisGuardStoreOptions {
  /** What all keys begin with. Default `'llmiter:guard:'`. */
  prefix?: string | undefined
}

// Times are µs: in ms, two requests a window apart could be one ms closer than that. A clock that was set back takes the
// log with it: else nobody would be let in until the time that was is there again.
const SCRIPT = `
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local allowed = 1
local answer = { 1 }
local function resets(key, window)
  local first = redis.call('LINDEX', key, 0)
  return first and tonumber(first) + window - now or 0
end
for i, key in ipairs(KEYS) do
  local window = tonumber(ARGV[2 * i])
  local last = tonumber(redis.call('LINDEX', key, -1) or 0)
  if last > now then
    local times = redis.call('LRANGE', key, 0, -1)
    for at, was in ipairs(times) do
      redis.call('LSET', key, at - 1, string.format('%.0f', tonumber(was) - (last - now)))
    end
    redis.call('PEXPIRE', key, math.ceil(window / 1000))
  elseif last + window <= now then
    redis.call('DEL', key)
  end
  local first = redis.call('LINDEX', key, 0)
  while first and tonumber(first) + window <= now do
    redis.call('LPOP', key)
    first = redis.call('LINDEX', key, 0)
  end
  local used = redis.call('LLEN', key)
  if used >= tonumber(ARGV[2 * i - 1]) then allowed = 0 end
  answer[2 * i] = used
  answer[2 * i + 1] = resets(key, window)
end
answer[1] = allowed
if allowed == 1 then
  for i, key in ipairs(KEYS) do
    local window = tonumber(ARGV[2 * i])
    redis.call('RPUSH', key, string.format('%.0f', now))
    redis.call('PEXPIRE', key, math.ceil(window / 1000))
    answer[2 * i] = answer[2 * i] + 1
    answer[2 * i + 1] = resets(key, window)
  end
end
return answer`

/**
 * Shares the counts of a guard with the guards of the same name in all processes that use this Redis or Valkey.
 *
 * `client` is one of `ioredis`, `redis` (node-redis) or `@upstash/redis`, or a cluster of the first two. The store opens
 * a connection of its own with that client's settings, which ends with the client.
 *
 * @example
 * const store = redisGuardStore(new Redis('redis://localhost'))
 * app.post('/chat', guard({ name: 'chat', limit: '30 per 60s', store }), chat)
 *
 * @throws TypeError when an option is unknown or wrong, or the client is none of these.
 */
export function redisGuardStore(client: RedisClient, options: RedisGuardStoreOptions = {}): GuardStore {
  fields(options, 'redisGuardStore', ['prefix'], { prefix: 'keyprefix namespace' })
  const { prefix = 'llmiter:guard:' } = options
  if (typeof prefix !== 'string' || /[{}]/.test(prefix))
    throw new TypeError(`prefix must be a string without braces, got ${text(prefix)}`)
  const connection = connect(client)
  const ask = cachedScript(connection, SCRIPT)
  return {
    async take({ name, key, limits }) {
      // All limits of a client share its hash tag: in a cluster they live on one node.
      const tag = `${prefix}{${name.replace(/[{}%:]/g, encodeURIComponent)}:${key.replace(/[{}%]/g, encodeURIComponent)}}`
      const keys = limits.map(({ amount, windowMs }) => `${tag}:${amount}/${windowMs}`)
      const args = limits.flatMap(({ amount, windowMs }) => [`${amount}`, `${Math.round(windowMs * 1000)}`])
      const [allowed, ...numbers] = ((await ask(keys, args)) as unknown[]).map(Number)
      const counts = limits.map((_, i) => ({ used: numbers[2 * i]!, resetMs: numbers[2 * i + 1]! / 1000 }))
      return { allowed: allowed === 1, counts } satisfies GuardAnswer
    },
  }
}
