/**
 * Reads refusals, waits, limits, usage and token estimates from answers. This folder knows providers, and nothing
 * about limiters.
 */

export { classify, needsBody } from './classify.ts'
export { estimateTokens } from './token-count.ts'
export { headersOf, type LimitHint, readLimits } from './headers.ts'
export type { HeaderReader } from './retry-after.ts'
export { mergeUsage, readUsage, type Usage } from './usage.ts'
export type { Outcome, Refusal, RefusalKind, Transient, Verdict } from './verdict.ts'
