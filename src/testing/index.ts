/**
 * The public surface of `llmiter/testing`: what tests, benches and demonstrations of a limiter need, and so do
 * yours. A clock that you move, numbers that repeat, and providers that refuse as real ones do.
 */
export { VirtualClock, type VirtualClockOptions } from './clock.ts'
export { FixedWindowProvider, type FixedWindowOptions } from './fixed-window.ts'
export {
  startHttpProvider,
  type HttpFault,
  type HttpProvider,
  type HttpProviderOptions,
  type HttpRequestCounters,
  type HttpRequestRecord,
} from './http.ts'
export type {
  Admitted,
  LimitRefusal,
  ModelProvider,
  OverloadRefusal,
  ProviderAnswer,
  ProviderCall,
  ProviderDimension,
  ProviderLimit,
  ProviderUsage,
  QuotaRefusal,
  Refused,
} from './provider.ts'
export type { RefusalOptions } from './metered.ts'
export { seededRandom } from './random.ts'
export { ShortQuantumProvider, type ShortQuantumOptions } from './short-quantum.ts'
export { TokenBucketProvider, type TokenBucketOptions } from './token-bucket.ts'
