// What people may say to a guard: the types, their defaults, and one check.

import type { Clock, Duration, GuardStore } from 'llmiter'
import { type GuardLimitOption, milliseconds, type NamedLimit, parseLimits } from './limit.ts'
import { parseTrust, type Trust, type TrustProxy } from './trust-proxy.ts'
import { sha256 } from '../lib/sha256.ts'
import { callable, choice, fields, notNumber, text } from '../lib/validate.ts'
import type { Verdict } from './decision.ts'

/** `R` is the request as your framework hands it: of Node, a `Request`, or the context of Hono. */
export interface GuardOptions<R = unknown> {
  /** `'30 per 60s'`, `'15/minute'`, `{ amount: 30, per: '60s' }`, or several of them, which hold all together. */
  limit: GuardLimitOption | readonly GuardLimitOption[]
  /** For events, and with a store: guards of one name share their counts. Default `'guard'`; required with a store. */
  name?: string | undefined
  /**
   * Who asks. Default: the address of the client. Where it gives undefined or an empty string, the address too. Use
   * what you have verified: whoever can make up keys has as many limits.
   */
  key?: ((request: R) => string | number | undefined | Promise<string | number | undefined>) | undefined
  /** Where the runtime does not say who is connected: on Cloudflare, `cf-connecting-ip`. Default: the socket's. */
  address?: ((request: R) => string | undefined) | undefined
  /**
   * Whose `X-Forwarded-For` is believed: so many proxies before the server, or their addresses and networks. Default:
   * nobody's. A number is safe only where nobody reaches the server but through them.
   */
  trustProxy?: TrustProxy | undefined
  /** Requests that pass uncounted. */
  skip?: ((request: R) => boolean | Promise<boolean>) | undefined
  /** Where processes share the counts: `redisGuardStore(client)` of `llmiter/redis`. Default: this process alone. */
  store?: GuardStore | undefined
  /**
   * While the store does not answer: each process counts for itself (`'local'`, default), all pass (`'open'`), or none
   * does (`'closed'`).
   */
  onStoreDown?: 'local' | 'open' | 'closed' | undefined
  /** How long the store may take before it counts as down. Default 500 ms. */
  storeTimeoutMs?: Duration | undefined
  /**
   * How many clients each limit remembers, and counts exactly. When more come, new IPv6 clients are known by their /56 or
   * /48, and for each that comes one is forgotten that is far from its limit. Nobody is locked out.
   * @default 100_000
   */
  maxKeys?: number | undefined
  /**
   * By how many bits of its address an IPv6 client is known, 32 to 128: all addresses that begin alike are one client.
   * @default 64
   */
  ipv6Prefix?: number | undefined
  /**
   * Whether a client's key stands in the store and in events as a hash (`sha256:` and 32 digits), so that tokens and
   * addresses cannot be read there. `false` shows the keys as they are.
   * @default true
   */
  hashKeys?: boolean | undefined
  /** The JSON of a refusal. Default: a problem of RFC 9457. */
  body?: ((verdict: Verdict) => unknown) | undefined
  /**
   * Where time comes from, for tests.
   * @default the system's clock
   */
  clock?: GuardClock | undefined
}

/** Where a guard's time comes from. */
export type GuardClock = Pick<Clock, 'now' | 'setTimer'>

export interface Settings {
  readonly name: string
  readonly limits: readonly NamedLimit[]
  readonly trust: Trust
  readonly maxKeys: number
  readonly ipv6Prefix: number
  /** A client's key as the store and listeners see it. */
  readonly shownKey: (key: string) => string
  readonly onStoreDown: 'local' | 'open' | 'closed'
  readonly storeTimeoutMs: number
  readonly clock: GuardClock
}

const KEYS = Object.keys({
  ...{ limit: 1, name: 1, key: 1, address: 1, trustProxy: 1, skip: 1, store: 1, onStoreDown: 1 },
  ...{ storeTimeoutMs: 1, maxKeys: 1, ipv6Prefix: 1, hashKeys: 1, body: 1, clock: 1 },
} as const satisfies Record<keyof GuardOptions, 1>)

/** Other guards' words. */
const SYNONYMS = {
  "limit: '30 per 60s'":
    'max windowms window per amount points duration rate ratelimit rpm requestsperminute requests interval every',
  key: 'keygenerator identifier id by user userid',
  address: 'ip ipaddress clientip',
  trustProxy: 'proxy proxies trust',
  ipv6Prefix: 'ipv6subnet subnet prefix prefixlength',
  body: 'message handler response',
  store: 'redis storeclient client',
}

/** 128 bits: nobody finds two keys that are taken for one. */
const hashed = (key: string) => `sha256:${sha256(key).slice(0, 32)}`

const systemClock: GuardClock = {
  now: () => performance.now(),
  setTimer(fn, ms) {
    const timer = setTimeout(fn, ms)
    return () => clearTimeout(timer)
  },
}

/** Throws a `TypeError` that names the first option that is wrong. */
export function settingsOf<R>(options: GuardOptions<R>): Settings {
  fields(options, 'guard', KEYS, SYNONYMS)
  const { name = 'guard', store, maxKeys = 100_000, onStoreDown = 'local', storeTimeoutMs = 500 } = options
  const limits = parseLimits(options.limit)
  if (typeof name !== 'string' || !name)
    throw new TypeError(`name must be a name for the guard, got ${text(name)}`)
  if (store !== undefined && typeof store?.take !== 'function')
    throw new TypeError(
      `store must have take(), like redisGuardStore(client) of llmiter/redis, got ${text(store)}`,
    )
  if (store && options.name === undefined)
    throw new TypeError('with a store a guard needs a name: guards of one name share their counts')
  for (const option of ['key', 'address', 'skip', 'body'] as const) {
    const value: unknown = options[option]
    if (value !== undefined) callable(value, option)
  }
  if (!Number.isInteger(maxKeys) || maxKeys < 1 || maxKeys > 16_000_000)
    throw new TypeError(`maxKeys must be a whole number from 1 to 16,000,000, got ${notNumber(maxKeys)}`)
  const { ipv6Prefix = 64, hashKeys = true } = options
  if (!Number.isInteger(ipv6Prefix) || ipv6Prefix < 32 || ipv6Prefix > 128)
    throw new TypeError(`ipv6Prefix must be a whole number from 32 to 128, got ${notNumber(ipv6Prefix)}`)
  choice(hashKeys, 'hashKeys', [true, false])
  choice(onStoreDown, 'onStoreDown', ['local', 'open', 'closed'])
  const timeoutMs = milliseconds(storeTimeoutMs)
  if (!(timeoutMs > 0 && timeoutMs < 2 ** 31))
    throw new TypeError(
      `storeTimeoutMs must be more than 0 (ms or like '1s'), got ${notNumber(storeTimeoutMs)}`,
    )
  const clock: unknown = options.clock ?? systemClock
  for (const method of ['now', 'setTimer'] as const) {
    if (typeof (clock as Partial<GuardClock>)[method] !== 'function')
      throw new TypeError(`clock must have now() and setTimer(), got ${text(clock)}`)
  }
  return {
    ...{ name, limits, maxKeys, ipv6Prefix, onStoreDown },
    shownKey: hashKeys ? hashed : (key) => key,
    trust: parseTrust(options.trustProxy),
    storeTimeoutMs: timeoutMs,
    clock: clock as GuardClock,
  }
}
