/** The laws that every model provider keeps, whatever traffic comes. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FixedWindowProvider, ShortQuantumProvider, TokenBucketProvider } from '../../src/testing/index.ts'

const MINUTE = 60_000

const anyAmount = fc.integer({ min: 1, max: 300 })
const many = fc.integer({ min: 1, max: 1000 })
const anyPhase = fc.nat(MINUTE)
const anyCall = fc.record({ inputTokens: fc.nat(40), outputTokens: fc.nat(40) })
const anyTraffic = fc.array(fc.tuple(fc.oneof(fc.nat(20), fc.nat(3000), fc.nat(70_000)), anyCall), {
  maxLength: 200,
  size: 'max',
})

/** Any provider, with the law that its admissions must keep. */
const anyProvider = fc.oneof(
  fc
    .record({
      amount: anyAmount,
      capacityMs: fc.constantFrom(1000, 10_000, MINUTE),
      failuresCount: fc.boolean(),
    })
    .map(({ amount, capacityMs, failuresCount }) => ({
      provider: new TokenBucketProvider({
        requestsPerMinute: amount,
        inputTokensPerMinute: 20 * amount,
        capacityMs,
        failuresCount,
      }),
      isLawful: (admitted: Admission[]) =>
        bucketHolds(admitted, amount, capacityMs, () => 1) &&
        bucketHolds(admitted, 20 * amount, capacityMs, ({ call }) => call.inputTokens),
    })),
  fc.record({ amount: anyAmount, phaseMs: anyPhase }).map(({ amount, phaseMs }) => ({
    provider: new FixedWindowProvider({ requestsPerMinute: amount, tokensPerMinute: 100 * amount, phaseMs }),
    isLawful: (admitted: Admission[]) =>
      windowHolds(admitted, amount, MINUTE, phaseMs, () => 1) &&
      windowHolds(
        admitted,
        100 * amount,
        MINUTE,
        phaseMs,
        ({ call }) => call.inputTokens + call.outputTokens,
      ),
  })),
  fc
    .record({ amount: anyAmount, phaseMs: anyPhase, quantumMs: fc.constantFrom(1000, 10_000) })
    .map(({ amount, phaseMs, quantumMs }) => ({
      provider: new ShortQuantumProvider({ requestsPerMinute: amount, phaseMs, quantumMs }),
      isLawful: (admitted: Admission[]) =>
        windowHolds(admitted, amount, MINUTE, phaseMs, () => 1) &&
        windowHolds(admitted, Math.ceil((amount * quantumMs) / MINUTE), quantumMs, phaseMs, () => 1),
    })),
)

interface Admission {
  at: number
  call: { inputTokens: number; outputTokens: number }
}
type CostOf = (admission: Admission) => number

function bucketHolds(admitted: Admission[], perMinute: number, capacityMs: number, cost: CostOf): boolean {
  const rate = perMinute / MINUTE
  const capacity = Math.max(capacityMs * rate, ...admitted.map(cost))
  return admitted.every((first, from) => {
    let sum = 0
    return admitted.slice(from).every((last) => {
      sum += cost(last)
      return sum <= capacity + rate * (last.at - first.at) + 1e-6
    })
  })
}

function windowHolds(
  admitted: Admission[],
  amount: number,
  perMs: number,
  phaseMs: number,
  cost: CostOf,
): boolean {
  const sums = new Map<number, number>()
  for (const admission of admitted) {
    const window = Math.floor((admission.at + phaseMs) / perMs)
    sums.set(window, (sums.get(window) ?? 0) + cost(admission))
  }
  return [...sums.values()].every((sum) => sum <= amount)
}

describe('laws of all providers', () => {
  test('property: never admits above its own limit in any of its windows', () => {
    fc.assert(
      fc.property(anyProvider, anyTraffic, ({ provider, isLawful }, traffic) => {
        let now = 0
        const admitted: Admission[] = []
        for (const [gap, call] of traffic) {
          now += gap
          if (provider.ask(now, call).kind === 'admitted') admitted.push({ at: now, call })
        }
        expect(isLawful(admitted)).toBe(true)
      }),
    )
  })

  test('property: who comes back at the moment a refusal tells is let in, and not a ms before', () => {
    fc.assert(
      fc.property(anyProvider, anyTraffic, fc.boolean(), ({ provider }, traffic, early) => {
        // A provider that counts failures holds the early one against the later.
        fc.pre(!early || !provider.name.includes('failures count'))
        let now = 0
        for (const [gap, call] of traffic) {
          now += gap
          const answer = provider.ask(now, call)
          if (answer.kind === 'admitted' || answer.why === 'oversize') continue
          const waitMs = answer.retryAfterMs!
          if (early && waitMs > 1) expect(provider.ask(now + waitMs - 1, call).kind).toBe('refused')
          now += waitMs
          expect(provider.ask(now, call).kind).toBe('admitted')
        }
      }),
    )
  })

  test('property: nobody beats the optimum', () => {
    fc.assert(
      fc.property(anyProvider, many, anyCall, fc.nat(5000), ({ provider }, calls, call, restMs) => {
        const optimumMs = provider.optimumMs(0, calls, call)
        let done = 0
        for (let now = 0; now < Math.min(optimumMs, 5 * MINUTE) - 1; now += restMs + 1) {
          while (provider.ask(now, call).kind === 'admitted') done++
        }
        expect(done).toBeLessThan(calls)
      }),
    )
  })

  test('property: who knows when to ask reaches it', () => {
    fc.assert(
      fc.property(anyProvider, many, anyCall, ({ provider }, calls, call) => {
        // Asking is how this client learns the moment, which must not cost it anything.
        fc.pre(!provider.name.includes('failures count'))
        const optimumMs = provider.optimumMs(0, calls, call)
        let now = 0
        for (let done = 0; done < calls;) {
          const answer = provider.ask(now, call)
          if (answer.kind === 'admitted') done++
          else if (answer.why === 'oversize') now = Infinity
          else now += answer.retryAfterMs!
          if (now === Infinity) break
        }
        expect(now).toBe(optimumMs)
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
        },
      ),
    )
  })
})
