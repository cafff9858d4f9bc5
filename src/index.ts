// The public surface of 'llmiter'.

export { BucketRateLimiter } from './limiter/bucket-rate-limiter.ts'
export { withLimiter, type LimiterLike, type WrapOptions } from './limiter/with-limiter.ts'
export { configureDefaultLimiter } from './limiter/default-limiter.ts'
export {
  perModel,
  shared,
  type LimitedService,
  type ModelLimits,
  type RateLimitedService,
  type ServiceOptions,
} from './limiter/per-model.ts'
export { explain, reasonWords, type Explanation } from './limiter/explain.ts'
export type { BoundBy, WaitReason } from './limiter/wait-reason.ts'
export { limitersOf, limiterGroup, type LimiterGroup } from './limiter/limiter-group.ts'
export * from './call/errors.ts'
export type { Clock } from './scheduler/clock.ts'
export type { Cost } from './core/cost.ts'
export type { Duration } from './lib/duration.ts'
export type { CalendarDay, LimitOptions, LimitsOptions, RefillRule } from './core/limit/parse-limits.ts'
export type { RampOptions } from './core/limit/slow-start.ts'
export type { GateState } from './core/inspect.ts'
export type { EventName, LimiterEvent, LimiterEvents } from './limiter/events.ts'
export { estimateTokens } from './responses/token-count.ts'
export { mergeUsage, readUsage, type Usage } from './responses/usage.ts'
export { type Billed, billedOf } from './responses/billed.ts'
export type { Health, HealthMonitor, HealthReading, HealthState, LatencyKind } from './call/health.ts'
export type { Outcome, Refusal, RefusalKind, Transient, Verdict } from './responses/verdict.ts'
export type { AnyLimiter, LimiterOptions, QueueOptions } from './limiter/options.ts'
export type { CallOptions, Classify, RetryFailure, RetryOptions } from './call/call-options.ts'
export type { Gate, Closing, GateKind, RecoveryOptions } from './core/gate/gate.ts'
export type { Evidence } from './core/gate/suspicion.ts'
export type { Learned } from './core/rate/rate-estimator.ts'
export type { SharedLimit, SharedSlots, Store, StoreEvent, StoreHost } from './limiter/store.ts'
export type { Snapshot } from './limiter/snapshot.ts'
export type { LimiterStats, Mark } from './limiter/limiter-stats.ts'
export type { Grant, GrantOutcome, InheritedGrant, StandbyWaiter } from './call/standby.ts'
export type { QueuedCall } from './limiter/queued.ts'
export { Ticket } from './limiter/ticket.ts'
export type { BudgetAccount, BudgetReservation, BudgetStore } from './limiter/budget-store.ts'
export type { GuardAnswer, GuardCount, GuardLimit, GuardQuestion, GuardStore } from './limiter/guard-store.ts'
