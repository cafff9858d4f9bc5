// `redisGuardStore`: the counts of endpoint guards (`llmiter/inbound`), for all processes that use one Redis.
//
// It works like the counter in one process: a log of the requests that passed, so no window contains more than the
// limit. One atomic step on the store's clock checks all limits of a request and counts it in all or in none. Each
// key is a list of at most as many times as the limit allows, and expires one window after the last of them.
//
// Redis serves no other client while the script runs, so it does little work however long a list is. Entries that
// left the window are found by binary search and cut off in one step, and no list is ever read or rewritten as a
// whole.

import type { GuardAnswer, GuardStore } from 'llmiter'
import { connect, type RedisClient } from './detect-client.ts'
import { cachedScript } from './cached-script.ts'
import { fields, text } from '../../lib/validate.ts'

/** Options of `redisGuardStore`. */
export interface RedisGuardStoreOptions {
  /**
   * The prefix of all keys.
   * @default 'llmiter:guard:'
   */
  prefix?: string | undefined
}

// Times are in µs: in ms, two requests could be up to 1 ms less than a window apart. If the clock was set back,
// the times of this client continue from the last one, by a shift stored in the last key. Otherwise nobody would
// be let in until the clock reaches that time again.
const SCRIPT = `
local time = redis.call('TIME')
local shiftKey = KEYS[#KEYS]
local shift = tonumber(redis.call('GET', shiftKey) or 0)
local now = time[1] * 1000000 + time[2] + shift
local limits, longest = {}, 0
for i = 1, #KEYS - 1 do
  local key = KEYS[i]
  local limit = { key = key, amount = tonumber(ARGV[2 * i - 1]), window = tonumber(ARGV[2 * i]) }
  limit.last = tonumber(redis.call('LINDEX', key, -1) or 0)
  longest = math.max(longest, limit.window)
  limits[i] = limit
end
for _, limit in ipairs(limits) do
  if limit.last > now then
    shift = shift + limit.last - now
    now = limit.last
    redis.call('SET', shiftKey, string.format('%.0f', shift), 'PX', math.ceil(longest / 1000))
  end
end
local function timeAt(limit, index) return tonumber(redis.call('LINDEX', limit.key, index)) end
local allowed = 1
for _, limit in ipairs(limits) do
  if limit.last + limit.window <= now then
    redis.call('DEL', limit.key)
    limit.used = 0
  else
    limit.used = redis.call('LLEN', limit.key)
    limit.first = timeAt(limit, 0)
    if limit.first + limit.window <= now then
      local low, high = 0, limit.used - 1
      while high - low > 1 do
        local middle = math.floor((low + high) / 2)
        if timeAt(limit, middle) + limit.window <= now then low = middle else high = middle end
      end
      redis.call('LTRIM', limit.key, high, -1)
      limit.used = limit.used - high
      limit.first = timeAt(limit, 0)
    end
  end
  if limit.used >= limit.amount then allowed = 0 end
end
local answer = { allowed }
if allowed == 1 and shift > 0 then redis.call('PEXPIRE', shiftKey, math.ceil(longest / 1000)) end
for i, limit in ipairs(limits) do
  if allowed == 1 then
    redis.call('RPUSH', limit.key, string.format('%.0f', now))
    redis.call('PEXPIRE', limit.key, math.ceil(limit.window / 1000))
    limit.used = limit.used + 1
    limit.first = limit.first or now
  end
  answer[2 * i] = limit.used
  answer[2 * i + 1] = limit.first and limit.first + limit.window - now or 0
end
return answer`

/**
 * Shares the counts of a guard with guards of the same name in all processes that use this Redis or Valkey.
 *
 * `client` is an `ioredis`, `redis` (node-redis) or `@upstash/redis` client, or a cluster of the first two. The
 * store opens its own connection with that client's settings, which ends with the client.
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
      // All limits of a client share its hash tag, so that in a cluster they are on one node.
      const tag = `${prefix}{${name.replace(/[{}%:]/g, encodeURIComponent)}:${key.replace(/[{}%]/g, encodeURIComponent)}}`
      const keys = [...limits.map(({ amount, windowMs }) => `${tag}:${amount}/${windowMs}`), `${tag}:shift`]
      const args = limits.flatMap(({ amount, windowMs }) => [`${amount}`, `${Math.round(windowMs * 1000)}`])
      const [allowed, ...numbers] = ((await ask(keys, args)) as unknown[]).map(Number)
      const counts = limits.map((_, i) => ({ used: numbers[2 * i]!, resetMs: numbers[2 * i + 1]! / 1000 }))
      return { allowed: allowed === 1, counts } satisfies GuardAnswer
    },
  }
}
