// The public surface of 'llmiter'.

export { BucketRateLimiter } from './limiter.ts'
export { withLimiter, type LimiterLike, type WrapOptions } from './with-limiter.ts'
export { configureDefaultLimiter } from './default-limiter.ts'
export {
  perModel,
  shared,
  type LimitedService,
  type ModelLimits,
  type RateLimitedService,
  type ServiceOptions,
} from './service.ts'
export * from './errors.ts'
export type { Clock } from './clock.ts'
export type { Cost } from './core/budget.ts'
export type { CalendarDay, Duration, LimitOptions, LimitsOptions } from './core/limits.ts'
export type { RampOptions } from './core/ramp.ts'
export type { GateState } from './core/view.ts'
export type { EventName, LimiterEvent, LimiterEvents } from './events.ts'
export { estimateTokens } from './feedback/estimate.ts'
export { mergeUsage, readUsage, type Usage } from './feedback/usage.ts'
export type { Health, HealthMonitor, HealthReading, HealthState, LatencyKind } from './health.ts'
export type { Outcome, Refusal, RefusalKind, Transient, Verdict } from './feedback/verdict.ts'
export type { AnyLimiter, CallOptions, Classify, LimiterOptions, RetryOptions } from './options.ts'
export type { Gate, GateKind, RecoveryOptions } from './core/recovery.ts'
export type { Learned } from './core/rate.ts'
export type { SharedLimit, SharedSlots, Store, StoreEvent, StoreHost } from './sharing.ts'
export type { Snapshot } from './snapshot.ts'
export type { LimiterStats, Mark } from './stats.ts'
export { Ticket } from './ticket.ts'
export type { GuardAnswer, GuardCount, GuardLimit, GuardQuestion, GuardStore } from './guard-store.ts'
