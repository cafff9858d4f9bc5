/**
 * The providers of this bench: the models of `src/testing` with the parameters of FIGURES §1.
 *
 * All have the same limit in requests per minute. They differ in how they enforce it, which a client cannot know.
 */
import {
  AccelerationProvider,
  ConcurrencyProvider,
  FixedWindowProvider,
  ShortQuantumProvider,
  SlidingLogProvider,
  StepChangeProvider,
  TokenBucketProvider,
  type ModelProvider,
} from '../../src/testing/index.ts'
import type { LimiterOptions } from '../../src/index.ts'
import { play, type Arrival } from '../../src/testing/optimum.ts'

/** Requests per minute: ten per second. */
export const RPM = 600

export type Kind = 'minute' | 'second' | 'failures' | 'step' | 'acceleration' | 'concurrency'
/**
 * The limit that the user configures: the right one, twice, half; or an unknown limit, with a start far below or
 * above.
 */
export const TOLD = { right: 1, double: 2, half: 0.5, low: 0.2, high: 5 } as const
export type Told = keyof typeof TOLD

export interface Model {
  title: string
  kind: Kind
  /** An unused provider, `phaseMs` into its minute. */
  make(phaseMs: number): ModelProvider
  /** The window in which it really counts, if shorter than a minute. */
  window?: '1s' | '10s'
  /** The configured limits worth measuring, if not all. */
  told?: readonly Told[]
  /** The llmiter options of a user who assumes this multiple of the limit. */
  options?(factor: number): Partial<LimiterOptions>
  /** How many calls its limit accepts between two times, without edges and full buckets. */
  allowed?(fromMs: number, toMs: number): number
}

const requestsPerMinute = RPM
const STEPS = [
  { atMs: 300_000, factor: 0.5 },
  { atMs: 900_000, factor: 1 },
]
const SLOTS = 10

export const models: Record<string, Model> = {
  'bucket-60s': {
    title: 'bucket of 60 s, exact Retry-After',
    kind: 'minute',
    make: () => new TokenBucketProvider({ requestsPerMinute }),
  },
  'bucket-1s-none': {
    title: 'bucket of 1 s, no Retry-After',
    kind: 'second',
    make: () => new TokenBucketProvider({ requestsPerMinute, capacityMs: 1000, retryAfter: 'none' }),
  },
  'bucket-1s-seconds': {
    title: 'bucket of 1 s, Retry-After in seconds',
    kind: 'second',
    make: () => new TokenBucketProvider({ requestsPerMinute, capacityMs: 1000, retryAfter: 'seconds' }),
  },
  'bucket-1s-failures': {
    title: 'bucket of 1 s, failures count',
    kind: 'failures',
    make: () =>
      new TokenBucketProvider({
        requestsPerMinute,
        capacityMs: 1000,
        retryAfter: 'none',
        failuresCount: true,
      }),
  },
  'window-60s': {
    title: 'fixed window of 60 s',
    kind: 'minute',
    make: (phaseMs) => new FixedWindowProvider({ requestsPerMinute, phaseMs, retryAfter: 'none' }),
  },
  'quantum-10s': {
    title: 'windows of 10 s, failures count',
    kind: 'second',
    window: '10s',
    make: (phaseMs) =>
      new ShortQuantumProvider({ requestsPerMinute, quantumMs: 10_000, phaseMs, retryAfter: 'none' }),
  },
  'quantum-1s': {
    title: 'windows of 1 s, failures count',
    kind: 'second',
    window: '1s',
    make: (phaseMs) => new ShortQuantumProvider({ requestsPerMinute, phaseMs, retryAfter: 'none' }),
  },
  'sliding-60s': {
    title: 'sliding log of 60 s, failures count',
    kind: 'failures',
    make: () => new SlidingLogProvider({ requestsPerMinute }),
  },
  'step-bucket': {
    title: 'bucket of 1 s that halves for ten minutes',
    kind: 'step',
    told: ['right'],
    allowed: halved,
    make: () =>
      new StepChangeProvider(
        new TokenBucketProvider({ requestsPerMinute, capacityMs: 1000, retryAfter: 'none' }),
        { steps: STEPS },
      ),
  },
  'step-window': {
    title: 'window of 60 s that halves for ten minutes',
    kind: 'step',
    told: ['right'],
    allowed: halved,
    make: (phaseMs) =>
      new StepChangeProvider(new FixedWindowProvider({ requestsPerMinute, phaseMs, retryAfter: 'none' }), {
        steps: STEPS,
      }),
  },
  acceleration: {
    title: 'growth × 2 a minute from 60, no Retry-After',
    kind: 'acceleration',
    told: ['right', 'double'],
    make: () => new AccelerationProvider({ requestsPerMinute, floorPerMinute: 60, retryAfter: 'none' }),
  },
  concurrency: {
    title: `${SLOTS} at once`,
    kind: 'concurrency',
    told: ['right', 'double', 'high'],
    make: () => new ConcurrencyProvider({ concurrency: SLOTS }),
    // A user who does not know the limit has configured only a rate, far from the real one.
    options: (factor) => ({
      limits: [],
      requestsPerMinute: 10 * RPM,
      discover: false,
      ...(factor <= 2 && { maxConcurrent: SLOTS * factor }),
    }),
  },
}

function halved(fromMs: number, toMs: number): number {
  const [down, up] = STEPS.map(({ atMs }) => atMs) as [number, number]
  const low = Math.max(0, Math.min(up, toMs) - Math.max(down, fromMs))
  return (RPM * (toMs - fromMs - low / 2)) / 60_000
}

export function allowed({ allowed }: Model, fromMs: number, toMs: number): number {
  return allowed ? allowed(fromMs, toMs) : (RPM * (toMs - fromMs)) / 60_000
}

/**
 * The maximum number of calls that any client can get into an unused provider within `ms`: a simulated backlog of
 * a client with full knowledge.
 */
export function optimum(unused: ModelProvider, ms: number, serviceMs: () => number): number {
  let calls = 0
  for (const at of play(unused, backlog(serviceMs))) {
    if (at >= ms) break
    calls++
  }
  return calls
}

function* backlog(serviceMs: () => number): Generator<Arrival> {
  for (;;) yield { at: 0, call: { serviceMs: serviceMs() } }
}
