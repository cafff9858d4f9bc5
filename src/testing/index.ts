/**
 * The public surface of `llmiter/testing`: tools for tests, benches and demonstrations of a limiter. A virtual
 * clock, reproducible random numbers, and providers that refuse as real ones do.
 */
export { AccelerationProvider, type AccelerationOptions } from './acceleration.ts'
export { BurndownProvider, type BurndownOptions } from './burndown.ts'
export { VirtualClock, type VirtualClockOptions } from './clock.ts'
export { CombinedProvider } from './combined.ts'
export { ConcurrencyProvider, type ConcurrencyOptions } from './concurrency.ts'
export { FixedWindowProvider, type FixedWindowOptions } from './fixed-window.ts'
export { lognormal, pareto, type LognormalOptions, type ParetoOptions } from './heavy-tail.ts'
export { startHttpProvider, type HttpProvider } from './http.ts'
export type {
  HttpFault,
  HttpProviderOptions,
  HttpRequestCounters,
  HttpRequestRecord,
} from './http-options.ts'
export { LeakyBucketProvider, type LeakyBucketOptions } from './leaky-bucket.ts'
export { LimitReqProvider, type LimitReqOptions } from './limit-req.ts'
export { NeighbourProvider, type NeighbourOptions } from './neighbour.ts'
export { NoiseProvider, type NoiseOptions } from './noise.ts'
export { OutageProvider, type OutageOptions } from './outage.ts'
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
  Silent,
} from './provider.ts'
export { memoryStore, type MemoryStore, type MemoryStoreOptions } from './reference-store/memory-store.ts'
export { MeteredProvider, type RefusalOptions } from './limited-provider.ts'
export { seededRandom } from '../lib/random.ts'
export { ShortQuantumProvider, type ShortQuantumOptions } from './short-quantum.ts'
export { SlidingLogProvider, type SlidingLogOptions } from './sliding-log.ts'
export { StepChangeProvider, type LimitStep, type StepChangeOptions } from './step-change.ts'
export { TokenBucketProvider, type TokenBucketOptions } from './token-bucket.ts'
export { WrongWaitProvider, type WrongWaitOptions } from './wrong-wait.ts'
