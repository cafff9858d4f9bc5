/** The laws that every model provider keeps, whatever traffic comes. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  AccelerationProvider,
  BurndownProvider,
  ConcurrencyProvider,
  FixedWindowProvider,
  LeakyBucketProvider,
  ShortQuantumProvider,
  SlidingLogProvider,
  TokenBucketProvider,
} from '../../src/testing/index.ts'
import { anyAmount, anyCall, anyProvider } from './any-provider.ts'
import { admit, bruteForceMs, Line } from './ideal-client.ts'
import { anyGridBacklog } from './grid-provider.ts'

const MINUTE = 60_000

const many = fc.integer({ min: 1, max: 1000 })
const anyPhase = fc.nat(MINUTE)
const anyTraffic = fc.array(fc.tuple(fc.oneof(fc.nat(20), fc.nat(3000), fc.nat(70_000)), anyCall), {
  maxLength: 200,
  size: 'max',
})

describe('laws of all providers', () => {
  test('property: never admits above its own limit in any of its windows', () => {
    fc.assert(
      fc.property(anyProvider, anyTraffic, ({ provider, isLawful }, traffic) => {
        expect(isLawful(admit(provider.unused(), traffic))).toBe(true)
      }),
      { numRuns: 300 },
    )
  })

  test('property: who comes back at the moment a refusal tells is let in, and not a ms before', () => {
    fc.assert(
      fc.property(anyProvider, anyTraffic, fc.boolean(), ({ provider: used, foresees }, traffic, early) => {
        fc.pre(foresees)
        const provider = used.unused()
        // A provider that counts failures holds the early one against the later.
        fc.pre(!early || !provider.name.includes('failures count'))
        let now = 0
        for (const [gap, call] of traffic) {
          now += gap
          const answer = provider.ask(now, call)
          if (answer.kind !== 'refused' || answer.why === 'oversize') continue
          const waitMs = answer.retryAfterMs
          if (waitMs === undefined) continue
          if (early && waitMs > 1) expect(provider.ask(now + waitMs - 1, call).kind).toBe('refused')
          now += waitMs
          expect(provider.ask(now, call).kind).toBe('admitted')
        }
      }),
    )
  })

  test('property: a client that asks at every moment there is reaches the optimum exactly', () => {
    fc.assert(
      fc.property(anyGridBacklog, ({ make, calls }) => {
        const optimumMs = make().optimumMs(0, calls.length, (index) => calls[index]!)
        expect(optimumMs).toBeCloseTo(bruteForceMs(make(), calls), 3)
      }),
      { numRuns: 300 },
    )
  })

  test('property: nobody beats the optimum, in whatever rhythm he holds back', () => {
    const anyRhythm = fc.array(fc.nat(6), { minLength: 1, maxLength: 400, size: 'max' })
    fc.assert(
      fc.property(anyGridBacklog, anyRhythm, ({ make, calls }, rhythm) => {
        const optimumMs = make().optimumMs(0, calls.length, (index) => calls[index]!)
        let moment = 0
        const heldBackMs = bruteForceMs(make(), calls, () => rhythm[moment++] ?? Infinity)
        expect(heldBackMs).toBeGreaterThanOrEqual(optimumMs - 1e-3)
      }),
      { numRuns: 300 },
    )
  })

  test('property: who knows all waits as long as waitMs says, is never refused, and reaches the optimum', () => {
    fc.assert(
      fc.property(anyProvider, many, anyCall, ({ provider: used, draws }, calls, call) => {
        fc.pre(!draws)
        const provider = used.unused()
        const optimumMs = provider.optimumMs(0, calls, { ...call, serviceMs: 0 })
        const line = new Line(provider)
        let now = 0
        for (let done = 0; done < calls && now < Infinity;) {
          line.endUntil(now)
          const waitMs = provider.waitMs(now, call)
          now += waitMs
          if (waitMs > 0) continue
          expect(line.enter(now, { ...call, serviceMs: 0 })).toBe(true)
          done++
        }
        expect(now).toBe(optimumMs)
      }),
    )
  })

  test('property: asking for the optimum uses nothing up', () => {
    fc.assert(
      fc.property(anyProvider, many, anyCall, ({ provider }, calls, call) => {
        const before = provider.limits(0)
        expect(provider.optimumMs(0, calls, call)).toBe(provider.optimumMs(0, calls, call))
        expect(provider.limits(0)).toEqual(before)
      }),
    )
  })

  test('property: the optimum is the formula of each doc comment', () => {
    fc.assert(
      fc.property(
        anyAmount,
        many,
        anyPhase,
        fc.constantFrom(1000, MINUTE),
        (amount, calls, phaseMs, capacityMs) => {
          const rate = amount / MINUTE
          const bucket = new TokenBucketProvider({ requestsPerMinute: amount, capacityMs })
          const bucketMs = Math.max(0, (calls - Math.max(capacityMs * rate, 1)) / rate)
          expect(bucket.optimumMs(0, calls)).toBeCloseTo(bucketMs, 3)

          const window = new FixedWindowProvider({ requestsPerMinute: amount, phaseMs })
          const lastWindow = Math.ceil(calls / amount) - 1
          const restMs = MINUTE - (phaseMs % MINUTE)
          const windowMs = lastWindow === 0 ? 0 : restMs + (lastWindow - 1) * MINUTE
          expect(window.optimumMs(0, calls)).toBeCloseTo(windowMs, 3)

          const quantum = new ShortQuantumProvider({ requestsPerMinute: 60 * amount, phaseMs: 0 })
          const quantumMs = 1000 * (Math.ceil(calls / amount) - 1)
          expect(quantum.optimumMs(0, calls)).toBeCloseTo(quantumMs, 3)

          const log = new SlidingLogProvider({ requestsPerMinute: amount })
          expect(log.optimumMs(0, calls)).toBeCloseTo(MINUTE * lastWindow, 3)

          const slots = new ConcurrencyProvider({ concurrency: amount })
          expect(slots.optimumMs(0, calls, { serviceMs: 700 })).toBeCloseTo(700 * lastWindow, 3)
        },
      ),
    )
  })

  test('property: the formulas of those that correct, and of growth', () => {
    const anyCost = fc.record({ inputTokens: fc.nat(100), outputTokens: fc.nat(100) })
    fc.assert(
      fc.property(anyAmount, many, anyCost, fc.nat(200), (amount, calls, call, spare) => {
        const tokensPerMinute = 400 * amount
        const rate = tokensPerMinute / MINUTE
        const { inputTokens, outputTokens } = call
        const asked = { ...call, maxOutputTokens: outputTokens + spare }
        const estimate = inputTokens + outputTokens + spare

        const leaky = new LeakyBucketProvider({ tokensPerMinute, capacityMs: 1000 })
        const drained = (calls - 1) * (inputTokens + outputTokens)
        const leakyMs = (drained + estimate - Math.max(1000 * rate, estimate)) / rate
        expect(leaky.optimumMs(0, calls, asked)).toBeCloseTo(Math.max(0, leakyMs), 3)

        const bedrock = new BurndownProvider({ tokensPerMinute })
        const burnt = (calls - 1) * (inputTokens + 5 * outputTokens)
        const bedrockMs = (burnt + estimate - tokensPerMinute) / rate
        expect(bedrock.optimumMs(0, calls, asked)).toBeCloseTo(Math.max(0, bedrockMs), 3)

        const floorPerMinute = Math.ceil(amount / 10)
        const growing = new AccelerationProvider({ requestsPerMinute: amount, floorPerMinute })
        let minutes = 0
        for (let left = calls, allowed = floorPerMinute; left > allowed; minutes++) {
          left -= allowed
          allowed = Math.min(amount, 2 * allowed)
        }
        expect(growing.optimumMs(0, calls)).toBeCloseTo(MINUTE * minutes, 3)
      }),
    )
  })
})
