// What an operator may say to the gateway.

import type { Duration, LimitsOptions } from 'llmiter'
import type { BudgetOptions, Prices } from 'llmiter/pool'
import { duration } from '../lib/duration.ts'
import { MAX_TIMER_MS } from '../lib/units.ts'
import type { Protocol } from './protocol.ts'

/** Where commands look for keys, ledger and snapshot. */
export const STATE_FOLDER = 'llmiter-gateway'

/** The limits of one key of a provider, or of one model. */
export interface TargetLimits extends LimitsOptions {
  /** How many calls may be in flight at once. */
  readonly maxConcurrent?: number
}

/** A key of a provider. */
export interface GatewayTarget {
  /** Its name in headers, errors, the log and statistics. */
  readonly name: string
  /** What it speaks. */
  readonly protocol: Protocol
  /** The provider's key. */
  readonly apiKey?: string | undefined
  /** Where it listens. Default: where the provider of the protocol does. */
  readonly baseUrl?: string | undefined
  /** More headers for each call to it. */
  readonly headers?: Readonly<Record<string, string>>
  /** Its share among targets of its tier. Default 1. */
  readonly weight?: number
  /** Tiers are tried in order, the lowest first. Default 1. */
  readonly tier?: number
  /** Its limits, over all models. Default: each model has limits of its own, which headers and refusals tell. */
  readonly limits?: TargetLimits
  /** Limits of single models; `default` is for the others. */
  readonly models?: Readonly<Record<string, TargetLimits>>
  /** Whether streams of chats are asked for their usage. Default true. */
  readonly includeUsage?: boolean
  /** The longest wait for an answer to begin, and the longest silence of a stream. Default 10 minutes. */
  readonly timeout?: Duration
}

/** How many calls may wait. */
interface GatewayQueue {
  /** Default 10,000. */
  readonly max?: number
  /** How many bytes the bodies of calls may have that are not over yet. Default 256 MB. */
  readonly maxBytes?: number
}

/** Where several gateways share their limits and budgets. */
export interface GatewayRedis {
  /** `redis://host:6379`, or `rediss://`. */
  readonly url: string
  /** What all keys begin with. Default 'llmiter:'. */
  readonly prefix?: string
  /** How many gateways there are: the share of one that has never reached Redis. Default: it waits. */
  readonly processes?: number
}

/** Options of a gateway. */
export interface GatewayOptions {
  /** Default '127.0.0.1'. */
  readonly host?: string
  /** Default 8787; 0 is any free port. */
  readonly port?: number
  readonly targets: readonly GatewayTarget[]
  /** Portkey's config objects, by the names that calls give in `x-portkey-config`; `default` is for the others. */
  readonly routes?: Readonly<Record<string, unknown>>
  readonly queue?: GatewayQueue
  /** The longest wait of calls that do not say it themselves. Default: as long as it takes. */
  readonly maxWait?: Duration
  /** Streams that wait get a comment so often, so that nobody in between takes the connection for dead. Default: none. */
  readonly waitComments?: Duration
  /** How long calls may go on after SIGTERM. Default 30 s. */
  readonly drain?: Duration
  /** What may be spent in all. */
  readonly budgets?: readonly BudgetOptions[]
  /** Prices for budgets in USD. */
  readonly prices?: Prices
  /** Under a budget: the output that is reserved for a call that sets no bound itself. Default 16,384 tokens. */
  readonly maxOutputTokens?: number
  /** The folder of keys, ledger and snapshot. Default: nothing is kept. */
  readonly state?: string
  /** Limits and budgets hold over all gateways that use it. */
  readonly redis?: GatewayRedis
  /** The key for `/-/`. */
  readonly adminKey?: string
}

/** The times of the options, in ms. */
export interface GatewayTimes {
  readonly maxWaitMs: number | undefined
  readonly waitCommentsMs: number | undefined
  readonly drainMs: number
}

/** @throws TypeError that names the option which is no time. */
export function timesOf({ maxWait, waitComments, drain = '30s' }: GatewayOptions): GatewayTimes {
  return {
    maxWaitMs: maxWait === undefined ? undefined : duration(maxWait, 'maxWait'),
    waitCommentsMs:
      waitComments === undefined ? undefined : Math.min(MAX_TIMER_MS, duration(waitComments, 'waitComments')),
    drainMs: Math.min(MAX_TIMER_MS, duration(drain, 'drain')),
  }
}
