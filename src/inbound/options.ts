// The options of a guard: types, defaults and checks.

import type { Clock, Duration, GuardStore } from 'llmiter'
import { type GuardLimitOption, milliseconds, type NamedLimit, parseLimits } from './limit.ts'
import { parseTrust, type Trust, type TrustProxy } from './trust-proxy.ts'
import { sha256 } from '../lib/sha256.ts'
import { callable, choice, fields, notNumber, text } from '../lib/validate.ts'
import type { Verdict } from './decision.ts'

/** The options of a guard. `R` is the request as your framework passes it: Node's, a `Request`, or Hono's context. */
export interface GuardOptions<R = unknown> {
  /** `'30 per 60s'`, `'15/minute'`, `{ amount: 30, per: '60s' }`, or several limits that all apply. */
  limit: GuardLimitOption | readonly GuardLimitOption[]
  /**
   * The name in events. With a store, guards of the same name share their counts.
   * @default `'guard'`; required with a store
   */
  name?: string | undefined
  /**
   * Returns the key of a request's client. Use only verified values: a client that can invent keys gets a new
   * limit with each key.
   * @default the client's address, also if this returns undefined or an empty string
   */
  key?: ((request: R) => string | number | undefined | Promise<string | number | undefined>) | undefined
  /**
   * Returns the client's address if the runtime does not provide it. On Cloudflare, use `cf-connecting-ip`.
   * @default the socket's address
   */
  address?: ((request: R) => string | undefined) | undefined
  /**
   * Which proxies are trusted to send `X-Forwarded-For`: their number, or their addresses and networks. A number
   * is safe only if all clients connect through them.
   * @default none
   */
  trustProxy?: TrustProxy | undefined
  /** Selects requests that pass without being counted. */
  skip?: ((request: R) => boolean | Promise<boolean>) | undefined
  /**
   * Shares the counts between processes: `redisGuardStore(client)` of `llmiter/redis`.
   * @default this process counts alone
   */
  store?: GuardStore | undefined
  /**
   * What happens while the store does not answer: each process counts for itself (`'local'`), all requests pass
   * (`'open'`), or none do (`'closed'`).
   * @default 'local'
   */
  onStoreDown?: 'local' | 'open' | 'closed' | undefined
  /**
   * How long the store may take to answer before it counts as down.
   * @default 500 ms
   */
  storeTimeoutMs?: Duration | undefined
  /**
   * How many clients each limit counts exactly. Beyond that, new IPv6 clients are counted by their /56 or /48, and
   * for each new client one that is far from its limit is forgotten. No client is locked out.
   * @default 100_000
   */
  maxKeys?: number | undefined
  /**
   * The prefix length that identifies an IPv6 client, 32 to 128 bits. All addresses with the same prefix are one
   * client.
   * @default 64
   */
  ipv6Prefix?: number | undefined
  /**
   * Whether the store and events get a hash of the client's key (`sha256:` and 32 digits), so that they contain no
   * tokens or addresses. `false` uses the keys themselves.
   * @default true
   */
  hashKeys?: boolean | undefined
  /**
   * Returns the JSON body of a rejection.
   * @default a problem document of RFC 9457
   */
  body?: ((verdict: Verdict) => unknown) | undefined
  /**
   * The clock, for tests.
   * @default the system clock
   */
  clock?: GuardClock | undefined
}

/** The clock of a guard. */
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

/** Option names of other packages, by our name for each. */
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

/** 128 bits, so that nobody can find two keys with the same hash. */
const hashed = (key: string) => `sha256:${sha256(key).slice(0, 32)}`

const systemClock: GuardClock = {
  now: () => performance.now(),
  setTimer(fn, ms) {
    const timer = setTimeout(fn, ms)
    return () => clearTimeout(timer)
  },
}

/** Checks the options. Throws a `TypeError` that names the first invalid option. */
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
    throw new TypeError('name is required with a store: guards of the same name share their counts')
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
