// `llmiter/inbound`: limits on your own endpoints.

export { guard, type Guard } from './guard.ts'
export type { HonoContext, NodeRequest, NodeResponse } from './doors.ts'
export type { GuardEvent, GuardEventName, GuardEvents } from './events.ts'
export type { GuardLimitOption } from './limit.ts'
export type { GuardClock, GuardOptions } from './options.ts'
export type { TrustProxy } from './proxies.ts'
export type { LimitState, Verdict } from './verdict.ts'
