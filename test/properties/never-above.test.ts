// The most important property: with random events, no window contains more than a limit allows.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { LimitOptions } from 'llmiter'
import { VirtualClock } from 'llmiter/testing'
import { rig } from '../helpers.ts'

const limit = (of: string, most: number) =>
  fc.record({
    of: fc.constant(of),
    amount: fc.integer({ min: 1, max: most }),
    per: fc.constantFrom('1s' as const, '10s' as const, '1m' as const, '90s' as const),
    burst: fc.integer({ min: 1, max: most }),
    pace: fc.boolean(),
  })
const limits = fc
  .tuple(limit('requests', 40), limit('tokens', 4000), limit('tokens', 4000), limit('images', 10))
  .chain((all) => fc.subarray(all, { minLength: 1 }))
const arrivals = fc.array(
  fc.record({
    after: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 30_000 })),
    calls: fc.integer({ min: 1, max: 30 }),
    tokens: fc.integer({ min: 0, max: 4000 }),
    images: fc.integer({ min: 0, max: 3 }),
  }),
  { minLength: 1, maxLength: 12 },
)

/** The maximum sum in any window of this length. */
function most(log: readonly { at: number; amount: number }[], windowMs: number): number {
  let best = 0
  let sum = 0
  let from = 0
  for (const { at, amount } of log) {
    sum += amount
    while (log[from]!.at <= at - windowMs) sum -= log[from++]!.amount
    best = Math.max(best, sum)
  }
  return best
}

const MS = { '1s': 1000, '10s': 10_000, '1m': 60_000, '90s': 90_000 }

test('never above any limit in any window, however late the timers are', async () => {
  await fc.assert(
    fc.asyncProperty(
      limits,
      arrivals,
      fc.integer({ min: 0, max: 50 }),
      fc.boolean(),
      async (limits, bursts, lateMs, ramp) => {
        const clock = Object.assign(new VirtualClock({ lateMs }), { random: () => 0.5 })
        const { limiter } = rig(
          { limits: limits as LimitOptions[], ...(ramp && { ramp: {} }) },
          clock as never,
        )
        const sent: { at: number; cost: Record<string, number> }[] = []
        for (const { after, calls, tokens, images } of bursts) {
          await clock.advance(after)
          const cost = { requests: 1, tokens, images }
          for (let i = 0; i < calls; i++) {
            // Calls too large for a limit are rejected, which is correct.
            limiter.run(() => sent.push({ at: clock.now(), cost }), { cost }).catch(() => {})
          }
        }
        await clock.runAll()
        for (const { of, amount, per } of limits) {
          const log = sent.map(({ at, cost }) => ({ at, amount: cost[of] ?? 0 }))
          expect(most(log, MS[per])).toBeLessThanOrEqual(amount)
        }
        expect(limiter.stats()).toMatchObject({ waiting: 0, inFlight: 0 })
      },
    ),
    { numRuns: 250 },
  )
}, 20_000)

test('and not far below it: a saturated limit gives all it has', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 3000 }),
      fc.integer({ min: 1, max: 60 }),
      async (amount, burst) => {
        const { clock, limiter } = rig({ requestsPerMinute: amount, burst })
        let sent = 0
        for (let i = 0; i < amount * 3 + 100; i++) limiter.run(() => sent++).catch(() => {})
        await clock.advance(120_101)
        expect(sent).toBeGreaterThanOrEqual(amount * 2)
        limiter.stop()
      },
    ),
    { numRuns: 30 },
  )
}, 20_000)

test('never above a limit that changes while calls run: update, in flight, settled', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({ after: fc.integer({ min: 1, max: 20_000 }), amount: fc.integer({ min: 1, max: 30 }) }),
        { minLength: 1, maxLength: 6 },
      ),
      async (changes) => {
        const { clock, limiter } = rig({ requestsPerMinute: 30 })
        const times: number[] = []
        for (let i = 0; i < 60; i++) limiter.run(() => times.push(clock.now())).catch(() => {})
        for (const { after, amount } of changes) {
          await clock.advance(after + 0.1)
          limiter.update({ requestsPerMinute: amount })
        }
        await clock.runAll()
        expect(times).toHaveLength(60)
        expect(
          most(
            times.map((at) => ({ at, amount: 1 })),
            60_000,
          ),
        ).toBeLessThanOrEqual(30)
      },
    ),
    { numRuns: 60 },
  )
}, 20_000)

test('cancel and settle give back exactly: a released or settled ticket leaves the limiter as if it had used that much', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({
          reserve: fc.integer({ min: 0, max: 200 }),
          use: fc.option(fc.integer({ min: 0, max: 200 })),
          wait: fc.integer({ min: 0, max: 500 }),
        }),
        { maxLength: 20 },
      ),
      async (steps) => {
        const limits: LimitOptions[] = [
          { of: 'tokens', amount: 100_000, per: '1m', burst: 100_000 },
          { of: 'requests', amount: 1000, per: '1h' },
        ]
        const [told, done] = [rig({ limits }), rig({ limits })]
        for (const { reserve, use, wait } of steps) {
          // One reserves and settles (or releases). The other takes the actual usage from the start.
          const ticket = told.limiter.tryAcquire({ cost: { tokens: reserve } })!
          if (use === null) ticket.release()
          else ticket.finish({ usage: { tokens: use } })
          if (use !== null) done.limiter.tryAcquire({ cost: { tokens: use } })!.finish()
          await told.clock.advance(wait)
          await done.clock.advance(wait)
          const left = ({ limiter }: typeof told) => limiter.stats().limits.map(({ available }) => available)
          expect(left(told)[1]).toBe(left(done)[1])
          expect(Math.abs(left(told)[0]! - left(done)[0]!)).toBeLessThanOrEqual(1)
        }
      },
    ),
    { numRuns: 150 },
  )
})
