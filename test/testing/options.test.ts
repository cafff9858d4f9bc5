// A test against a misconfigured provider tests nothing, so wrong options are reported immediately.

import { describe, expect, test } from 'vitest'
import {
  AccelerationProvider,
  BurndownProvider,
  ConcurrencyProvider,
  FixedWindowProvider,
  LeakyBucketProvider,
  lognormal,
  memoryStore,
  OutageProvider,
  pareto,
  ShortQuantumProvider,
  SlidingLogProvider,
  startHttpProvider,
  StepChangeProvider,
  TokenBucketProvider,
  VirtualClock,
} from 'llmiter/testing'

const bucket = () => new TokenBucketProvider({ requestsPerMinute: 60 })

/** Each as its right options make it, with more of them. */
const made: Record<string, (more: object) => unknown> = {
  TokenBucketProvider: (more) => new TokenBucketProvider({ requestsPerMinute: 60, ...more }),
  FixedWindowProvider: (more) => new FixedWindowProvider({ requestsPerMinute: 60, ...more }),
  ShortQuantumProvider: (more) => new ShortQuantumProvider({ requestsPerMinute: 60, ...more }),
  SlidingLogProvider: (more) => new SlidingLogProvider({ requestsPerMinute: 60, ...more }),
  LeakyBucketProvider: (more) => new LeakyBucketProvider({ tokensPerMinute: 600, ...more }),
  BurndownProvider: (more) => new BurndownProvider({ tokensPerMinute: 600, ...more }),
  AccelerationProvider: (more) =>
    new AccelerationProvider({ requestsPerMinute: 60, floorPerMinute: 6, ...more }),
  ConcurrencyProvider: (more) => new ConcurrencyProvider({ concurrency: 5, ...more }),
  StepChangeProvider: (more) => new StepChangeProvider(bucket(), { steps: [], ...more }),
  OutageProvider: (more) => new OutageProvider(bucket(), { fromMs: 0, toMs: 1000, ...more }),
  VirtualClock: (more) => new VirtualClock({ seed: 7, ...more }),
  memoryStore: (more) => memoryStore({ lagMs: 1, ...more }),
  lognormal: (more) => lognormal({ median: 5, ...more }),
  pareto: (more) => pareto({ min: 5, ...more }),
}
const METERED = Object.keys(made).slice(0, 7)

test.each(Object.entries(made))('%s: its options, and no others', (name, make) => {
  expect(() => make({})).not.toThrow()
  expect(() => make({ windowMs: 1000 })).toThrow(TypeError)
  expect(() => make({ windowMs: 1000 })).toThrow(`${name} has no option 'windowMs'; known: `)
})

test.each(METERED)('%s: tells the wait in a way that there is', (name) => {
  expect(() => made[name]!({ retryAfter: 'minutes' })).toThrow(
    "retryAfter must be 'exact' or 'seconds' or 'none', got 'minutes'",
  )
})

test.each<[string, object, string]>([
  [
    'TokenBucketProvider',
    { requestsPerMinute: '60' },
    "requestsPerMinute must be a number above 0, got the string '60'",
  ],
  ['TokenBucketProvider', { failuresCount: 'yes' }, "failuresCount must be true or false, got 'yes'"],
  ['FixedWindowProvider', { phaseMs: '5s' }, "phaseMs must be a finite number, got the string '5s'"],
  ['LeakyBucketProvider', { estimate: 5 }, 'estimate must be a function, got 5'],
  ['AccelerationProvider', { growth: '2' }, "growth must be a number of at least 1, got the string '2'"],
  ['ConcurrencyProvider', { concurrency: null }, 'concurrency must be a number above 0, got null'],
  ['StepChangeProvider', { steps: 5 }, 'steps must be an array like [{ atMs: 60_000, factor: 0.5 }], got 5'],
  ['StepChangeProvider', { steps: [{ at: 5 }] }, "a step has no option 'at'; known: atMs, factor"],
  ['StepChangeProvider', { told: 1 }, 'told must be true or false, got 1'],
  ['OutageProvider', { share: '1' }, "share must be above 0 and at most 1, got the string '1'"],
  ['OutageProvider', { says: 'sorry' }, "says must be 'overloaded' or 'unavailable'"],
  ['OutageProvider', { retryAfterMs: -1 }, 'retryAfterMs must be a number of at least 0'],
  ['VirtualClock', { seed: NaN }, 'seed must be a finite number, got NaN'],
  [
    'VirtualClock',
    { lateMs: 'late' },
    "lateMs must be a number of at least 0, or a function that gives one, got the string 'late'",
  ],
  [
    'memoryStore',
    { lagMs: -1 },
    'lagMs must be a number of at least 0, or a function that gives one, got -1',
  ],
  ['memoryStore', { onStoreDown: 'go' }, "onStoreDown must be 'share' or 'wait' or 'reject', got 'go'"],
  ['memoryStore', { processes: 0 }, 'processes must be a whole number of at least 1'],
  ['memoryStore', { pubsub: 'no' }, "pubsub must be true or false, got 'no'"],
])('%s with %j: %s', (name, options, message) => {
  expect(() => made[name]!(options)).toThrow(TypeError)
  expect(() => made[name]!(options)).toThrow(message)
})

test('no options where there must be some', () => {
  expect(() => new TokenBucketProvider(undefined as never)).toThrow(
    'TokenBucketProvider takes an object of options, got undefined; known: requestsPerMinute',
  )
})

test('what is wrapped must be a provider', () => {
  const outage = { fromMs: 0, toMs: 1 }
  expect(() => new OutageProvider({ requestsPerMinute: 5 } as never, outage)).toThrow(
    'provider must be a provider, like new TokenBucketProvider({ requestsPerMinute: 60 }), got {requestsPerMinute}',
  )
  expect(() => new StepChangeProvider(new OutageProvider(bucket(), outage) as never, { steps: [] })).toThrow(
    'provider must be a provider with limits that can change',
  )
})

test('a clock moves to a moment that is one', () => {
  expect(() => new VirtualClock().runAll({ untilMs: NaN })).toThrow(
    'untilMs must be a moment of now(), in ms, got NaN',
  )
  expect(() => new VirtualClock().runAll({ until: 5 } as never)).toThrow(
    "runAll has no option 'until' (did you mean 'untilMs'?); known: untilMs",
  )
})

describe('startHttpProvider', () => {
  test.each<[object | undefined, string]>([
    [undefined, 'startHttpProvider takes an object of options, got undefined; known: model, latencyMs'],
    [{}, 'model must be a provider, like new TokenBucketProvider({ requestsPerMinute: 60 }), got undefined'],
    [{ model: {} }, 'model must be a provider'],
    [
      { model: 'gpt-5' },
      "model must be a provider, like new TokenBucketProvider({ requestsPerMinute: 60 }), got 'gpt-5'",
    ],
    [{ model: { 'gpt-5': { requestsPerMinute: 5 } } }, "model 'gpt-5' must be a provider"],
    [
      { model: bucket(), models: 5 },
      "startHttpProvider has no option 'models' (did you mean 'model'?); known: model, latencyMs",
    ],
    [
      { model: bucket(), latencyMs: '1s' },
      "latencyMs must be a number of at least 0, or a function that gives one, got the string '1s'",
    ],
    [{ model: bucket(), answerTokens: -1 }, 'answerTokens must be a number of at least 0'],
    [{ model: bucket(), tokensPerSecond: 0 }, 'tokensPerSecond must be a number above 0, got 0'],
    [{ model: bucket(), chaos: true }, 'chaos must be a function, got true'],
    [{ model: bucket(), clock: {} }, 'clock must have now(), wall() and setTimer(), got {}'],
  ])('%#: %j', async (options, message) => {
    const started = startHttpProvider(options as never)
    await expect(started).rejects.toThrow(TypeError)
    await expect(started).rejects.toThrow(message)
  })
})
