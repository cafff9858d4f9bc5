// The types that code for Bottleneck names.

import type { Store } from 'llmiter'

/** A connection that limiters share: a `RedisConnection` or an `IORedisConnection`. */
export interface SharedConnection {
  /** The client. */
  readonly clients: RedisClients
  /** What llmiter shares limits by. */
  readonly store: Store
  /** Resolves with the client. */
  ready(): Promise<RedisClients>
  /** Closes the connection. */
  disconnect(flush?: boolean): Promise<void>
}

/** What a full queue does: a value of `Bottleneck.strategy`. */
export type ShedStrategy = 1 | 2 | 3 | 4

/** Options of a limiter. `null` is "not given", as in Bottleneck. */
export interface BottleneckOptions {
  /**
   * How many jobs may run at once, counted by weight.
   * @default any number
   */
  readonly maxConcurrent?: number | null | undefined
  /**
   * The time in ms from the start of a job to that of the next one.
   * @default 0
   */
  readonly minTime?: number | null | undefined
  /**
   * How many jobs may wait.
   * @default any number
   */
  readonly highWater?: number | null | undefined
  /**
   * What happens to the next one.
   * @default `Bottleneck.strategy.LEAK`
   */
  readonly strategy?: ShedStrategy | object | null | undefined
  /**
   * How long `Bottleneck.strategy.BLOCK` blocks, in ms.
   * @default 15 × `minTime`, or 5000
   */
  readonly penalty?: number | null | undefined
  /**
   * How many jobs may start, by weight, until it is refilled.
   * @default any number
   */
  readonly reservoir?: number | null | undefined
  /** The time in ms after which the reservoir is set to `reservoirRefreshAmount` again. */
  readonly reservoirRefreshInterval?: number | null | undefined
  /** What the reservoir is set to. */
  readonly reservoirRefreshAmount?: number | null | undefined
  /** The time in ms after which `reservoirIncreaseAmount` is added to the reservoir. */
  readonly reservoirIncreaseInterval?: number | null | undefined
  /** What is added. */
  readonly reservoirIncreaseAmount?: number | null | undefined
  /**
   * The most that additions make of it.
   * @default no bound
   */
  readonly reservoirIncreaseMaximum?: number | null | undefined
  /** A name. Limiters that share a store share their limits by it. */
  readonly id?: string | null | undefined
  /**
   * Whether dropped jobs reject; else their promises never settle.
   * @default true
   */
  readonly rejectOnDrop?: boolean | null | undefined
  /**
   * Whether jobs that are done are still counted and listed.
   * @default false
   */
  readonly trackDoneStatus?: boolean | null | undefined
  /**
   * `'local'`, or `'redis'` (node-redis 4 or later) or `'ioredis'`: limits that processes share.
   * @default `'local'`
   */
  readonly datastore?: string | null | undefined
  /** A store of llmiter, in place of `datastore`: `redisStore(client)` of `llmiter/redis`. */
  readonly store?: Store | null | undefined
  /**
   * The class of the promises that `schedule` returns.
   * @default `Promise`
   */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- as Bottleneck's own types say
  readonly Promise?: any
  /** What the client of Redis is made with. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- as Bottleneck's own types say
  readonly clientOptions?: any
  /** For `'ioredis'`: the nodes of a cluster. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- as Bottleneck's own types say
  readonly clusterNodes?: any
  /**
   * The package that makes the client: `require('redis')` or `require('ioredis')`.
   * @default it is looked up
   */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- as Bottleneck's own types say
  readonly Redis?: any
  /** A connection to share among limiters, in place of `datastore`. */
  readonly connection?: SharedConnection | null | undefined
  /** Has no effect: what is shared ends by itself. */
  readonly clearDatastore?: boolean | null | undefined
  /** In a `Group`: a limiter that has not been used for this long is deleted. */
  readonly timeout?: number | null | undefined
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- as Bottleneck's own types say
  [other: string]: any
}

/** Options of a job. */
export interface BottleneckJobOptions {
  /**
   * 0 (most urgent) to 9.
   * @default 5
   */
  readonly priority?: number | null | undefined
  /**
   * How many places and how much of the reservoir it takes.
   * @default 1
   */
  readonly weight?: number | null | undefined
  /**
   * How long it may run, in ms.
   * @default any time
   */
  readonly expiration?: number | null | undefined
  /** A name, for events and lists. No two jobs may have the same at a time. */
  readonly id?: string | null | undefined
}

/** Options of `stop`. */
export interface BottleneckStopOptions {
  /**
   * Whether jobs that wait are dropped; else they are done first.
   * @default true
   */
  readonly dropWaitingJobs?: boolean | null | undefined
  /** The message of the error of dropped jobs. */
  readonly dropErrorMessage?: string | null | undefined
  /** The message of the error of jobs that come later. */
  readonly enqueueErrorMessage?: string | null | undefined
}

/** Where a job stands. */
export type JobStatus = 'RECEIVED' | 'QUEUED' | 'RUNNING' | 'EXECUTING' | 'DONE'

/** How many jobs stand where. */
export interface JobCounts {
  /** Just came. */
  RECEIVED: number
  /** Wait for a place, or for the reservoir. */
  QUEUED: number
  /** Have a place, and wait for `minTime` or for the provider to accept again. */
  RUNNING: number
  /** Are being done. */
  EXECUTING: number
  /** Are done, with `trackDoneStatus`. */
  DONE?: number
}

/** The options of a job, with those that were not given. */
export interface KnownJobOptions {
  /** 0 to 9. */
  readonly priority: number
  /** Places. */
  readonly weight: number
  /** ms. */
  readonly expiration?: number
  /** Its name, or one that was made up. */
  readonly id: string
}

/** The data of a job's events. */
export interface JobEventInfo {
  /** The arguments of the job. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- as Bottleneck's own types say
  readonly args: any[]
  /** Its options. */
  readonly options: KnownJobOptions
}

/** The data of `dropped`. */
export interface JobEventInfoDropped extends JobEventInfo {
  /** The function that was not called. */
  // eslint-disable-next-line @typescript-eslint/no-unsafe-function-type -- as Bottleneck's own types say
  readonly task: Function
  /** What `schedule` returned. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- as Bottleneck's own types say
  readonly promise: Promise<any>
}

/** The data of `queued`. */
export interface JobEventInfoQueued extends JobEventInfo {
  /** Whether the queue was full. */
  readonly reachedHWM: boolean
  /** Whether the limiter is blocked: always false for a job that is queued. */
  readonly blocked: boolean
}

/** The data of the events of a running job. */
export interface JobEventInfoRetryable extends JobEventInfo {
  /** How often it was tried again. */
  readonly retryCount: number
}

/** The listeners of each event. */
export interface Listeners {
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- as Bottleneck's own types say
  error: (error: any) => void
  empty: () => void
  idle: () => void
  depleted: (empty: boolean) => void
  message: (message: string) => void
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- as Bottleneck's own types say
  debug: (message: string, info: any) => void
  dropped: (dropped: JobEventInfoDropped) => void
  received: (info: JobEventInfo) => void
  queued: (info: JobEventInfoQueued) => void
  scheduled: (info: JobEventInfo) => void
  executing: (info: JobEventInfoRetryable) => void
  // A listener of `failed` chooses the wait before the next try.
  failed: (
    // eslint-disable-next-line @typescript-eslint/no-explicit-any -- as Bottleneck's own types say
    error: any,
    info: JobEventInfoRetryable,
  ) => Promise<number | void | null> | number | void | null
  retry: (message: string, info: JobEventInfoRetryable) => void
  done: (info: JobEventInfoRetryable) => void
}

/** The callback of a function for `submit`. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- as Bottleneck's own types say
export type JobCallback<R> = (error: any, result: R) => void

/** What clients there are. */
export interface RedisClients {
  /** The client of Redis. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- as Bottleneck's own types say
  client?: any
  /** Bottleneck's second connection; llmiter makes its own where it needs one. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- as Bottleneck's own types say
  subscriber?: any
}
