// The public surface of 'llmiter/pool'.

export { BudgetExceededError, type BudgetOptions, type BudgetSnapshot, type BudgetStats } from './budgets.ts'
export { type ModelPrice, type Prices, UnknownPriceError } from './prices.ts'
export { createPool, Pool } from './pool.ts'
export type { PoolEvents, PoolStats } from './pool-events.ts'
export { NoTargetError } from './pool-queue.ts'
export type { BreakerOptions, PoolOptions, PoolSnapshot } from './options.ts'
export type { PoolTarget } from './pool-target.ts'
export type { CacheOptions, SharingStats } from './sharing.ts'
export type { Condition, PoolQuery } from './query.ts'
export type { Strategy } from './strategy.ts'
export type { TargetState } from './target.ts'
export type { PoolCall } from './pool-call.ts'
