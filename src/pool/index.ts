// The public surface of 'llmiter/pool'.

export { createPool, NoTargetError, Pool, type PoolEvents, type PoolStats } from './pool.ts'
export type { BreakerOptions, PoolOptions, PoolSnapshot, PoolTarget } from './options.ts'
export type { Condition, PoolQuery } from './query.ts'
export type { Strategy } from './strategy.ts'
export type { TargetState } from './target.ts'
export type { PoolCall } from './pool-call.ts'
