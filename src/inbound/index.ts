// `llmiter/inbound`: limits requests to your own endpoints.

export { guard, type Guard } from './guard.ts'
export type { HonoContext, NodeRequest, NodeResponse } from './adapters.ts'
export type { GuardEvent, GuardEventName, GuardEvents } from './events.ts'
export type { GuardLimitOption } from './limit.ts'
export type { GuardClock, GuardOptions } from './options.ts'
export type { TrustProxy } from './trust-proxy.ts'
export type { LimitState, Verdict } from './decision.ts'
