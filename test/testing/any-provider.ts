/** Any provider, with the law that its admissions must keep, written down a second time and in the plainest way. */
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
  type ModelProvider,
} from '../../src/testing/index.ts'
import type { DoorEvent } from './ideal-client.ts'

const MINUTE = 60_000

export const anyAmount = fc.integer({ min: 1, max: 300 })
export const anyCall = fc
  .record({ inputTokens: fc.nat(40), outputTokens: fc.nat(40), spare: fc.nat(40), serviceMs: fc.nat(9000) })
  .map(({ spare, ...call }) => ({ ...call, maxOutputTokens: call.outputTokens + spare }))

const anyPhase = fc.nat(MINUTE)
const anySpan = fc
  .tuple(fc.nat(200_000), fc.nat(200_000))
  .map(([from, length]) => [from, from + length] as const)

interface Lawful {
  provider: ModelProvider
  isLawful: (events: DoorEvent[]) => boolean
  /** Whether the wait of a refusal holds, since nothing changes on the way. */
  foresees: boolean
  /** Whether it refuses at random. */
  draws: boolean
}

type CostOf = (call: DoorEvent['call']) => number
const one: CostOf = () => 1
const input: CostOf = (call) => call.inputTokens
const reserved: CostOf = (call) => call.inputTokens + call.maxOutputTokens

const starts = (events: DoorEvent[]) => events.filter(({ what }) => what === 'start')
const sumOf = (events: DoorEvent[], cost: CostOf) => events.reduce((sum, { call }) => sum + cost(call), 0)

/** In any span at most `capacity` and what `refill(from, to)` gives. */
function spansHold(
  events: DoorEvent[],
  capacity: number,
  refill: (from: number, to: number) => number,
  cost: CostOf,
) {
  const calls = starts(events)
  const most = Math.max(capacity, ...calls.map(({ call }) => cost(call)))
  return calls.every((first, from) => {
    let sum = 0
    return calls.slice(from).every(({ at, call }) => {
      sum += cost(call)
      return sum <= most + refill(first.at, at) + 1e-6
    })
  })
}

function bucketHolds(events: DoorEvent[], perMinute: number, capacityMs: number, cost: CostOf) {
  const rate = perMinute / MINUTE
  return spansHold(events, capacityMs * rate, (from, to) => rate * (to - from), cost)
}

/** No call is let in when its window has, with it, more than `amountAt` allows then. */
function windowHolds(
  events: DoorEvent[],
  amountAt: (now: number) => number,
  perMs: number,
  phaseMs: number,
  cost: CostOf,
) {
  const sums = new Map<number, number>()
  return starts(events).every(({ at, call }) => {
    const window = Math.floor((at + phaseMs) / perMs)
    const sum = (sums.get(window) ?? 0) + cost(call)
    sums.set(window, sum)
    return sum <= amountAt(at)
  })
}

/** What started later than `from`, up to and with `to`. */
const between = (events: DoorEvent[], from: number, to: number) =>
  starts(events).filter(({ at }) => at > from && at <= to)

/**
 * The level of a bucket that is charged twice: a call is accepted only if there is room, or if the bucket is
 * empty.
 */
function levelHolds(events: DoorEvent[], perMinute: number, capacityMs: number, first: CostOf, last: CostOf) {
  const rate = perMinute / MINUTE
  let level = 0
  let then = 0
  return events.every(({ at, what, call }) => {
    level = Math.max(0, level - rate * (at - then))
    then = at
    const isIn = what === 'end' || level < 1e-6 || level + first(call) <= capacityMs * rate + 1e-6
    level = Math.max(0, level + (what === 'start' ? first(call) : last(call) - first(call)))
    return isIn
  })
}

const plain = { foresees: true, draws: false }
const retryAfter = 'exact'

const anyWindow = fc.record({ amount: anyAmount, phaseMs: anyPhase })

export const anyProvider: fc.Arbitrary<Lawful> = fc.oneof(
  fc
    .record({
      amount: anyAmount,
      capacityMs: fc.constantFrom(1000, 10_000, MINUTE),
      failuresCount: fc.boolean(),
    })
    .map(({ amount, capacityMs, failuresCount }) => ({
      ...plain,
      provider: new TokenBucketProvider({
        requestsPerMinute: amount,
        inputTokensPerMinute: 20 * amount,
        capacityMs,
        failuresCount,
      }),
      isLawful: (events: DoorEvent[]) =>
        bucketHolds(events, amount, capacityMs, one) && bucketHolds(events, 20 * amount, capacityMs, input),
    })),
  anyWindow.map(({ amount, phaseMs }) => ({
    ...plain,
    provider: new FixedWindowProvider({ requestsPerMinute: amount, tokensPerMinute: 100 * amount, phaseMs }),
    isLawful: (events: DoorEvent[]) =>
      windowHolds(events, () => amount, MINUTE, phaseMs, one) &&
      windowHolds(events, () => 100 * amount, MINUTE, phaseMs, reserved),
  })),
  fc.tuple(anyWindow, fc.constantFrom(1000, 10_000)).map(([{ amount, phaseMs }, quantumMs]) => ({
    ...plain,
    provider: new ShortQuantumProvider({ requestsPerMinute: amount, phaseMs, quantumMs }),
    isLawful: (events: DoorEvent[]) =>
      windowHolds(events, () => amount, MINUTE, phaseMs, one) &&
      windowHolds(events, () => Math.ceil((amount * quantumMs) / MINUTE), quantumMs, phaseMs, one),
  })),
  fc.tuple(anyAmount, fc.boolean()).map(([amount, failuresCount]) => ({
    ...plain,
    provider: new SlidingLogProvider({
      requestsPerMinute: amount,
      tokensPerMinute: 100 * amount,
      failuresCount,
      retryAfter,
    }),
    isLawful: (events: DoorEvent[]) =>
      starts(events).every(({ at }) => {
        const minute = between(events, at - MINUTE, at)
        return minute.length <= amount && sumOf(minute, reserved) <= 100 * amount
      }),
  })),
  fc.tuple(anyAmount, fc.constantFrom(1000, MINUTE)).map(([amount, capacityMs]) => ({
    ...plain,
    provider: new LeakyBucketProvider({ tokensPerMinute: 20 * amount, capacityMs }),
    isLawful: (events: DoorEvent[]) =>
      levelHolds(events, 20 * amount, capacityMs, reserved, (call) => call.inputTokens + call.outputTokens),
  })),
  anyAmount.map((amount) => ({
    ...plain,
    provider: new BurndownProvider({
      tokensPerMinute: 20 * amount,
      requestsPerMinute: amount,
      retryAfter,
    }),
    isLawful: (events: DoorEvent[]) =>
      levelHolds(events, 20 * amount, MINUTE, reserved, (call) => call.inputTokens + 5 * call.outputTokens) &&
      bucketHolds(events, amount, MINUTE, one),
  })),
  fc.tuple(anyAmount, anyAmount).map(([amount, floor]) => ({
    ...plain,
    provider: new AccelerationProvider({ requestsPerMinute: amount, floorPerMinute: floor }),
    isLawful: (events: DoorEvent[]) =>
      starts(events).every(({ at }, index, all) => {
        const minute = between(all.slice(0, index + 1), at - MINUTE, at).length
        const before = between(all, at - 2 * MINUTE, at - MINUTE).length
        return minute <= Math.min(amount, Math.max(floor, 2 * before))
      }),
  })),
  fc.integer({ min: 1, max: 20 }).map((concurrency) => ({
    ...plain,
    provider: new ConcurrencyProvider({ concurrency }),
    isLawful: (events: DoorEvent[]) => {
      let inside = 0
      return events.every(({ what }) => (inside += what === 'start' ? 1 : -1) <= concurrency)
    },
  })),
  fc.tuple(anyWindow, anySpan, fc.boolean()).map(([{ amount, phaseMs }, [from, to], told]) => ({
    foresees: false,
    draws: false,
    provider: new StepChangeProvider(new FixedWindowProvider({ requestsPerMinute: amount, phaseMs }), {
      steps: halved(from, to),
      told,
    }),
    isLawful: (events: DoorEvent[]) =>
      windowHolds(
        events,
        (now) => Math.ceil(amount * (now >= from && now < to ? 0.5 : 1)),
        MINUTE,
        phaseMs,
        one,
      ),
  })),
  fc.tuple(anyAmount, anySpan).map(([amount, [from, to]]) => ({
    foresees: false,
    draws: false,
    provider: new StepChangeProvider(
      new TokenBucketProvider({ requestsPerMinute: 2 * amount, capacityMs: 1000 }),
      {
        steps: halved(from, to),
      },
    ),
    isLawful: (events: DoorEvent[]) => {
      const refill = (a: number, b: number) => {
        const halvedMs = Math.max(0, Math.min(b, to) - Math.max(a, from))
        return (amount / MINUTE) * (2 * (b - a) - halvedMs)
      }
      // A whole call fits a bucket that is full, however little it holds: what was held before the step comes on top.
      const capacity = Math.max(amount / 30, 1 + Math.min(1, amount / 60))
      return spansHold(events, capacity, refill, one)
    },
  })),
  fc
    .tuple(anyWindow, anySpan, fc.constantFrom(1, 0.3))
    .map(([{ amount, phaseMs }, [fromMs, toMs], share]) => ({
      foresees: false,
      draws: share < 1,
      provider: new OutageProvider(new FixedWindowProvider({ requestsPerMinute: amount, phaseMs }), {
        fromMs,
        toMs,
        share,
      }),
      isLawful: (events: DoorEvent[]) =>
        windowHolds(events, () => amount, MINUTE, phaseMs, one) &&
        (share < 1 || starts(events).every(({ at }) => at < fromMs || at >= toMs)),
    })),
)

function halved(from: number, to: number) {
  return [
    { atMs: from, factor: 0.5 },
    { atMs: to, factor: 1 },
  ]
}
