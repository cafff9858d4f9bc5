// The public surface of 'llmiter/bottleneck': code for Bottleneck runs on limiters of llmiter when its import is changed.

import { Batcher as BaseBatcher } from './batcher.ts'
import { IORedisConnection as Io, RedisConnection as NodeRedis } from './connection.ts'
import { BottleneckError as BaseError } from './errors.ts'
import { Events as BaseEvents } from './events.ts'
import { Group as BaseGroup, type GroupLimiterPair as Pair } from './group.ts'
import { Bottleneck as Limiter } from './limiter.ts'
import { strategy } from './settings.ts'
import type * as Types from './types.ts'

/** Limiters of the same options, one for each key. */
class Group extends BaseGroup {
  /** No limiters yet. */
  constructor(options: Types.ConstructorOptions = {}) {
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
  /** Collects things into batches. */
  static readonly Batcher = BaseBatcher
  /** Errors of the limiter. */
  static readonly BottleneckError = BaseError
  /** A connection by node-redis. */
  static readonly RedisConnection = NodeRedis
  /** A connection by ioredis. */
  static readonly IORedisConnection = Io
}

// eslint-disable-next-line @typescript-eslint/no-namespace -- code for Bottleneck names its types so
declare namespace Bottleneck {
  export type ConstructorOptions = Types.ConstructorOptions
  export type JobOptions = Types.JobOptions
  export type StopOptions = Types.StopOptions
  export type Callback<R> = Types.Callback<R>
  export type ClientsList = Types.ClientsList
  export type GroupLimiterPair = Pair
  export type Strategy = Types.ShedStrategy
  export type EventInfo = Types.EventInfo
  export type EventInfoDropped = Types.EventInfoDropped
  export type EventInfoQueued = Types.EventInfoQueued
  export type EventInfoRetryable = Types.EventInfoRetryable
  export type Status = Types.Status
  export type Counts = Types.Counts
  export type Group = BaseGroup
  export type Batcher = BaseBatcher
  export type BottleneckError = BaseError
  export type RedisConnection = NodeRedis
  export type IORedisConnection = Io
}

export default Bottleneck
