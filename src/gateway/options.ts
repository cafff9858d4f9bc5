// The options of a gateway.

import type { Duration, LimitsOptions } from 'llmiter'
import type { BudgetOptions, Prices } from 'llmiter/pool'
import { duration } from '../lib/duration.ts'
import { MAX_TIMER_MS } from '../lib/units.ts'
import type { Protocol } from './protocol.ts'

/** The folder in which commands look for keys, ledger and snapshot. */
export const STATE_FOLDER = 'llmiter-gateway'

/** The limits of one key of a provider, or of one model. */
export interface TargetLimits extends LimitsOptions {
  /** The maximum number of calls in flight. */
  readonly maxConcurrent?: number
}

/** A key of a provider. */
export interface GatewayTarget {
  /** The name in headers, errors, the ledger and statistics. */
  readonly name: string
  /** The protocol it speaks. */
  readonly protocol: Protocol
  /** The provider's key. */
  readonly apiKey?: string | undefined
  /**
   * The base URL.
   * @default the address of the protocol's provider
   */
  readonly baseUrl?: string | undefined
  /** Additional headers for each call to it. */
  readonly headers?: Readonly<Record<string, string>>
  /**
   * Its share among the targets of its tier.
   * @default 1
   */
  readonly weight?: number
  /**
   * Tiers are tried in order, the lowest first.
   * @default 1
   */
  readonly tier?: number
  /**
   * Its limits over all models.
   * @default each model has its own limits, learned from headers and refusals
   */
  readonly limits?: TargetLimits
  /** Limits of single models. `default` applies to the others. */
  readonly models?: Readonly<Record<string, TargetLimits>>
  /**
   * Whether chat streams are asked for their usage.
   * @default true
   */
  readonly includeUsage?: boolean
  /**
   * The maximum wait until an answer begins, and the maximum silence of a stream.
   * @default 10 minutes
   */
  readonly timeout?: Duration
}

/** How many calls may wait. */
interface GatewayQueue {
  /**
   * The maximum number of waiting calls.
   * @default 10,000
   */
  readonly max?: number
  /**
   * The maximum size in bytes of the bodies of all unfinished calls.
   * @default 256 MB
   */
  readonly maxBytes?: number
}

/** The Redis in which several gateways share their limits and budgets. */
export interface GatewayRedis {
  /** `redis://host:6379`, or `rediss://`. */
  readonly url: string
  /**
   * The prefix of all keys.
   * @default 'llmiter:'
   */
  readonly prefix?: string
  /**
   * The number of gateways, which sets the share of one that has never reached Redis.
   * @default it waits
   */
  readonly processes?: number
}

/** Options of a gateway. */
export interface GatewayOptions {
  /**
   * The address to listen on.
   * @default '127.0.0.1'
   */
  readonly host?: string
  /**
   * The port. 0 selects a free one.
   * @default 8787
   */
  readonly port?: number
  readonly targets: readonly GatewayTarget[]
  /** Portkey config objects, by the names in the header `x-portkey-config`. `default` applies to other calls. */
  readonly routes?: Readonly<Record<string, unknown>>
  readonly queue?: GatewayQueue
  /**
   * The maximum wait of calls that do not set one themselves.
   * @default no bound
   */
  readonly maxWait?: Duration
  /**
   * How often a waiting stream gets a comment, so that proxies do not close the connection as idle.
   * @default never
   */
  readonly waitComments?: Duration
  /**
   * How long calls may continue after SIGTERM.
   * @default 30 s
   */
  readonly drain?: Duration
  /** Budgets over all calls. */
  readonly budgets?: readonly BudgetOptions[]
  /** Prices for budgets in USD. */
  readonly prices?: Prices
  /**
   * Under a budget: the output tokens reserved for a call that does not limit its output.
   * @default 16,384 tokens
   */
  readonly maxOutputTokens?: number
  /**
   * The folder of keys, ledger and snapshot.
   * @default nothing is stored
   */
  readonly state?: string
  /** Shares limits and budgets between all gateways that use it. */
  readonly redis?: GatewayRedis
  /** The key for paths below `/-/`. */
  readonly adminKey?: string
}

/** The durations among the options, in ms. */
export interface GatewayTimes {
  readonly maxWaitMs: number | undefined
  readonly waitCommentsMs: number | undefined
  readonly drainMs: number
}

/** @throws TypeError that names the option which is not a duration. */
export function timesOf({ maxWait, waitComments, drain = '30s' }: GatewayOptions): GatewayTimes {
  return {
    maxWaitMs: maxWait === undefined ? undefined : duration(maxWait, 'maxWait'),
    waitCommentsMs:
      waitComments === undefined ? undefined : Math.min(MAX_TIMER_MS, duration(waitComments, 'waitComments')),
    drainMs: Math.min(MAX_TIMER_MS, duration(drain, 'drain')),
  }
}
