// The public surface of 'llmiter/bottleneck': code for Bottleneck runs on llmiter's limiters after changing its
// import.

import { Batcher as BaseBatcher } from './batcher.ts'
import { IORedisConnection as Io, RedisConnection as NodeRedis } from './connection.ts'
import { BottleneckError as BaseError } from './errors.ts'
import { Events as BaseEvents } from './events.ts'
import { Group as BaseGroup, type KeyedLimiter } from './group.ts'
import { Bottleneck as Limiter } from './limiter.ts'
import { strategy } from './settings.ts'
import type * as Types from './types.ts'

/** Limiters with the same options, one per key. */
class Group extends BaseGroup {
  /** Creates a group without limiters. */
  constructor(options: Types.BottleneckOptions = {}) {
    super(options, (own) => new Bottleneck(own))
  }
}

/** Bottleneck's class: `import Bottleneck from 'llmiter/bottleneck'`. */
class Bottleneck extends Limiter {
  /** The class itself, for `require`. */
  static readonly default = Bottleneck
  /** What happens to jobs when `highWater` is reached. */
  static readonly strategy = strategy
  /** The event emitter. */
  static readonly Events = BaseEvents
  /** Limiters by key. */
  static readonly Group = Group
  /** Collects items into batches. */
  static readonly Batcher = BaseBatcher
  /** Errors of the limiter. */
  static readonly BottleneckError = BaseError
  /** A connection through node-redis. */
  static readonly RedisConnection = NodeRedis
  /** A connection through ioredis. */
  static readonly IORedisConnection = Io
}

// eslint-disable-next-line @typescript-eslint/no-namespace -- code for Bottleneck names its types so
declare namespace Bottleneck {
  export type ConstructorOptions = Types.BottleneckOptions
  export type JobOptions = Types.BottleneckJobOptions
  export type StopOptions = Types.BottleneckStopOptions
  export type Callback<R> = Types.JobCallback<R>
  export type ClientsList = Types.RedisClients
  export type GroupLimiterPair = KeyedLimiter
  export type Strategy = Types.ShedStrategy
  export type EventInfo = Types.JobEventInfo
  export type EventInfoDropped = Types.JobEventInfoDropped
  export type EventInfoQueued = Types.JobEventInfoQueued
  export type EventInfoRetryable = Types.JobEventInfoRetryable
  export type Status = Types.JobStatus
  export type Counts = Types.JobCounts
  export type Group = BaseGroup
  export type Batcher = InstanceType<typeof Bottleneck.Batcher>
  export type BottleneckError = InstanceType<typeof Bottleneck.BottleneckError>
  export type RedisConnection = InstanceType<typeof Bottleneck.RedisConnection>
  export type IORedisConnection = InstanceType<typeof Bottleneck.IORedisConnection>
}

export default Bottleneck
