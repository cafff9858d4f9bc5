// The types that code for Bottleneck refers to.

import type { Store } from 'llmiter'

/** A connection that limiters share: a `RedisConnection` or an `IORedisConnection`. */
export interface SharedConnection {
  /** The client. */
  readonly clients: RedisClients
  /** The llmiter store that shares the limits. */
  readonly store: Store
  /** Resolves with the client. */
  ready(): Promise<RedisClients>
  /** Closes the connection. */
  disconnect(flush?: boolean): Promise<void>
}

/** What happens when the queue is full: a value of `Bottleneck.strategy`. */
export type ShedStrategy = 1 | 2 | 3 | 4

/** Options of a limiter. `null` means "not given", as in Bottleneck. */
export interface BottleneckOptions {
  /**
   * The maximum number of jobs that run at once, counted by weight.
   * @default no bound
   */
  readonly maxConcurrent?: number | null | undefined
  /**
   * The minimum time in ms between the starts of two jobs.
   * @default 0
   */
  readonly minTime?: number | null | undefined
  /**
   * The maximum number of waiting jobs.
   * @default no bound
   */
  readonly highWater?: number | null | undefined
  /**
   * What happens to a job when the queue is full.
   * @default `Bottleneck.strategy.LEAK`
   */
  readonly strategy?: ShedStrategy | object | null | undefined
  /**
   * How long `Bottleneck.strategy.BLOCK` blocks, in ms.
   * @default 15 × `minTime`, or 5000
   */
  readonly penalty?: number | null | undefined
  /**
   * How many jobs may start, counted by weight, until it is refilled.
   * @default no bound
   */
  readonly reservoir?: number | null | undefined
  /** The interval in ms at which the reservoir is set to `reservoirRefreshAmount`. */
  readonly reservoirRefreshInterval?: number | null | undefined
  /** The amount that the reservoir is set to. */
  readonly reservoirRefreshAmount?: number | null | undefined
  /** The interval in ms at which `reservoirIncreaseAmount` is added to the reservoir. */
  readonly reservoirIncreaseInterval?: number | null | undefined
  /** The amount that is added. */
  readonly reservoirIncreaseAmount?: number | null | undefined
  /**
   * The maximum amount that can be reached by additions.
   * @default no bound
   */
  readonly reservoirIncreaseMaximum?: number | null | undefined
  /** A name. Limiters of the same name in a store share their limits. */
  readonly id?: string | null | undefined
  /**
   * Whether dropped jobs reject. If not, their promises never settle.
   * @default true
   */
  readonly rejectOnDrop?: boolean | null | undefined
  /**
   * Whether finished jobs are still counted and listed.
   * @default false
   */
  readonly trackDoneStatus?: boolean | null | undefined
  /**
   * `'local'`, or `'redis'` (node-redis 4 or later) or `'ioredis'` for limits that processes share.
   * @default `'local'`
   */
  readonly datastore?: string | null | undefined
  /** An llmiter store instead of `datastore`: `redisStore(client)` of `llmiter/redis`. */
  readonly store?: Store | null | undefined
  /**
   * The class of the promises that `schedule` returns.
   * @default `Promise`
   */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- as Bottleneck's own types say
  readonly Promise?: any
  /** The options for the Redis client. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- as Bottleneck's own types say
  readonly clientOptions?: any
  /** For `'ioredis'`: the nodes of a cluster. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- as Bottleneck's own types say
  readonly clusterNodes?: any
  /**
   * The package that creates the client: `require('redis')` or `require('ioredis')`.
   * @default the installed package
   */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- as Bottleneck's own types say
  readonly Redis?: any
  /** A connection that limiters share, instead of `datastore`. */
  readonly connection?: SharedConnection | null | undefined
  /** Has no effect, because shared data expires by itself. */
  readonly clearDatastore?: boolean | null | undefined
  /** In a `Group`: unused limiters are deleted after this many ms. */
  readonly timeout?: number | null | undefined
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- as Bottleneck's own types say
  [other: string]: any
}

/** Options of a job. */
export interface BottleneckJobOptions {
  /**
   * 0 (highest) to 9 (lowest).
   * @default 5
   */
  readonly priority?: number | null | undefined
  /**
   * How many slots, and how much of the reservoir, it takes.
   * @default 1
   */
  readonly weight?: number | null | undefined
  /**
   * The maximum duration in ms.
   * @default no bound
   */
  readonly expiration?: number | null | undefined
  /** A name, for events and lists. It must be unique among the current jobs. */
  readonly id?: string | null | undefined
}

/** Options of `stop`. */
export interface BottleneckStopOptions {
  /**
   * Whether waiting jobs are dropped. If not, they are finished first.
   * @default true
   */
  readonly dropWaitingJobs?: boolean | null | undefined
  /** The error message for dropped jobs. */
  readonly dropErrorMessage?: string | null | undefined
  /** The error message for later jobs. */
  readonly enqueueErrorMessage?: string | null | undefined
}

/** The state of a job. */
export type JobStatus = 'RECEIVED' | 'QUEUED' | 'RUNNING' | 'EXECUTING' | 'DONE'

/** The number of jobs in each state. */
export interface JobCounts {
  /** Received, but not queued yet. */
  RECEIVED: number
  /** Waiting for a slot or for the reservoir. */
  QUEUED: number
  /** Have a slot, and wait for `minTime` or for the provider to accept calls again. */
  RUNNING: number
  /** Running. */
  EXECUTING: number
  /** Finished, with `trackDoneStatus`. */
  DONE?: number
}

/** The options of a job with all defaults. */
export interface KnownJobOptions {
  /** 0 to 9. */
  readonly priority: number
  /** The number of slots. */
  readonly weight: number
  /** In ms. */
  readonly expiration?: number
  /** The given or generated name. */
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
  /** The promise that `schedule` returned. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- as Bottleneck's own types say
  readonly promise: Promise<any>
}

/** The data of `queued`. */
export interface JobEventInfoQueued extends JobEventInfo {
  /** Whether the queue was full. */
  readonly reachedHWM: boolean
  /** Whether the limiter is blocked. Always false for a queued job. */
  readonly blocked: boolean
}

/** The data of the events of a running job. */
export interface JobEventInfoRetryable extends JobEventInfo {
  /** The number of retries so far. */
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
  // A listener of `failed` chooses the wait before the next attempt.
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

/** The available clients. */
export interface RedisClients {
  /** The Redis client. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- as Bottleneck's own types say
  client?: any
  /** Bottleneck's second connection. llmiter creates its own if needed. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- as Bottleneck's own types say
  subscriber?: any
}
