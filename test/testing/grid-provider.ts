/** Providers and backlogs in which events happen only at multiples of 250 ms, so that all moments can be tried. */
import fc from 'fast-check'
import {
  AccelerationProvider,
  BurndownProvider,
  ConcurrencyProvider,
  FixedWindowProvider,
  LeakyBucketProvider,
  OutageProvider,
  ShortQuantumProvider,
  SlidingLogProvider,
  StepChangeProvider,
  TokenBucketProvider,
  type MeteredProvider,
  type ModelProvider,
} from '../../src/testing/index.ts'
import { GRID_MS } from './ideal-client.ts'

/** One token of the bucket comes every 250 ms, or every 500 while the limit is halved. */
const PER_MINUTE = 60_000 / GRID_MS

const anyPhase = fc.nat(300).map((n) => n * GRID_MS)
const anyCapacity = fc.constantFrom(1000, 10_000, 60_000)
const few = fc.integer({ min: 1, max: 40 })

/** Without the failures: trying must cost nothing. */
const anyMetered: fc.Arbitrary<() => MeteredProvider> = fc.oneof(
  anyCapacity.map(
    (capacityMs) => () =>
      new TokenBucketProvider({
        requestsPerMinute: PER_MINUTE,
        inputTokensPerMinute: PER_MINUTE,
        capacityMs,
      }),
  ),
  fc.tuple(few, anyPhase).map(
    ([requestsPerMinute, phaseMs]) =>
      () =>
        new FixedWindowProvider({ requestsPerMinute, phaseMs }),
  ),
  fc.tuple(few, anyPhase, fc.constantFrom(1000, 10_000)).map(
    ([requestsPerMinute, phaseMs, quantumMs]) =>
      () =>
        new ShortQuantumProvider({ requestsPerMinute, phaseMs, quantumMs, failuresCount: false }),
  ),
  few.map(
    (requestsPerMinute) => () =>
      new SlidingLogProvider({ requestsPerMinute, tokensPerMinute: 200, failuresCount: false }),
  ),
  anyCapacity.map((capacityMs) => () => new LeakyBucketProvider({ tokensPerMinute: PER_MINUTE, capacityMs })),
  fc.constant(() => new BurndownProvider({ tokensPerMinute: PER_MINUTE, requestsPerMinute: PER_MINUTE })),
  fc.tuple(few, few, fc.constantFrom(1, 1.5, 2)).map(
    ([requestsPerMinute, floorPerMinute, growth]) =>
      () =>
        new AccelerationProvider({ requestsPerMinute, floorPerMinute, growth }),
  ),
)

/** Of an even length: a halved limit must not end with half a token. */
const anySpan = fc
  .tuple(fc.nat(400), fc.nat(200))
  .map(([from, length]) => ({ fromMs: from * GRID_MS, toMs: (from + 2 * length) * GRID_MS }))

const anyGridProvider: fc.Arbitrary<() => ModelProvider> = fc.oneof(
  { arbitrary: anyMetered, weight: 3 },
  fc.tuple(anyMetered, anySpan, fc.boolean()).map(([make, { fromMs, toMs }, told]) => () => {
    const steps = [
      { atMs: toMs, factor: 1 },
      { atMs: fromMs, factor: 0.5 },
    ]
    return new StepChangeProvider(make(), { steps, told })
  }),
  fc.tuple(anyMetered, anySpan).map(
    ([make, span]) =>
      () =>
        new OutageProvider(make(), span),
  ),
)

const anyGridCall = fc
  .record({ inputTokens: fc.nat(8), outputTokens: fc.nat(8), spare: fc.nat(8) })
  .map(({ spare, ...call }) => ({ ...call, maxOutputTokens: call.outputTokens + spare }))

const anyServiceTime = fc.nat(40).map((n) => ({ serviceMs: n * GRID_MS }))

const backlogOf = <T>(call: fc.Arbitrary<T>) => fc.array(call, { minLength: 1, maxLength: 120, size: 'max' })

export const anyGridBacklog = fc.oneof(
  { arbitrary: fc.record({ make: anyGridProvider, calls: backlogOf(anyGridCall) }), weight: 8 },
  fc.record({
    make: few.map((concurrency) => () => new ConcurrencyProvider({ concurrency })),
    calls: backlogOf(anyServiceTime),
  }),
)
