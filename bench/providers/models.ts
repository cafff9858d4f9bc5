/**
 * The providers that clients meet in this bench: the models of `src/testing` with the parameters of FIGURES §1.
 *
 * All have the same limit, told in requests a minute; what differs is how they keep it, which is what a client
 * cannot know.
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

/** Requests a minute: ten a second. */
export const RPM = 600

export type Kind = 'minute' | 'second' | 'failures' | 'step' | 'acceleration' | 'concurrency'
/** What the user believes: the limit as it is, twice, half; or nothing, and a start far below or above. */
export const TOLD = { right: 1, double: 2, half: 0.5, low: 0.2, high: 5 } as const
export type Told = keyof typeof TOLD

export interface Model {
  title: string
  kind: Kind
  /** A provider that nobody has used, `phaseMs` inside its minute. */
  make(phaseMs: number): ModelProvider
  /** The window that it really counts in, when that is shorter than the minute. */
  window?: '1s' | '10s'
  /** What is worth telling of it, where that is not everything. */
  told?: readonly Told[]
  /** What a user of llmiter would configure who believes in so many times the limit. */
  options?(factor: number): Partial<LimiterOptions>
  /** How many calls its limit lets in between two moments, once no edge and no full bucket helps. */
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
    // Who does not know of the limit has configured a rate only, and one that is far away.
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

/** The most that any client can get into an unused provider within `ms`: a backlog played by one that knows all. */
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
