// With random events: no call is lost or served twice, no target's limit and no budget is exceeded, and the limiters
// count each waiting call once.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { refusal } from '../helpers.ts'
import { poolOf } from './rig.ts'

const MINUTE = 60_000

const call = fc.record({
  at: fc.integer({ min: 0, max: 30_000 }),
  ms: fc.integer({ min: 0, max: 5000 }),
  tokens: fc.integer({ min: 1, max: 900 }),
  priority: fc.integer({ min: 0, max: 2 }),
  tenant: fc.constantFrom('x', 'y', undefined),
  leavesAfter: fc.option(fc.integer({ min: 0, max: 10_000 }), { nil: undefined }),
  maxWaitMs: fc.option(fc.integer({ min: 0, max: 20_000 }), { nil: undefined }),
  answer: fc.constantFrom(200, 200, 200, 400, 401, 429, 500, 503),
})

test('every call ends once, and no limit and no budget is passed', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(call, { minLength: 1, maxLength: 60 }), async (calls) => {
      const { pool, clock, targets } = poolOf(
        {
          paced: { requestsPerMinute: 60 },
          metered: { tokensPerMinute: 3000 },
          narrow: { maxConcurrent: 2, tier: 2 },
        },
        {
          budget: [
            { tokens: 9000, per: 'day' },
            { requests: 12, per: 'day', by: 'tenant' },
            { tokens: 5000, per: 'day', by: 'target' },
          ],
        },
      )
      /** The tokens that a provider bills: those of answered calls, and of calls aborted in flight. */
      const billed: Record<string, number> = {}
      const answered: Record<string, number> = {}
      const ends = calls.map(() => 0)
      const running = calls.map(() => 0)
      const sent: { target: string; at: number; tokens: number }[] = []
      const out: Record<string, number> = {}
      // Checked at the end, because an error thrown within a call is a failure of its target.
      const most = { twice: 0, narrow: 0 }
      for (const [
        i,
        { at, ms, tokens, priority, tenant, leavesAfter, maxWaitMs, answer },
      ] of calls.entries()) {
        clock.setTimer(() => {
          const leave = new AbortController()
          if (leavesAfter !== undefined) clock.setTimer(() => leave.abort(new Error('left')), leavesAfter)
          let first = true
          const run = pool.run(
            async ({ name }, signal) => {
              most.twice = Math.max(most.twice, ++running[i]!)
              out[name] = (out[name] ?? 0) + 1
              most.narrow = Math.max(most.narrow, out.narrow ?? 0)
              const fails = first && answer !== 200
              // A provider counts no tokens of a refused call.
              const refused = fails && (answer === 429 || answer === 503)
              sent.push({ target: name, at: clock.now(), tokens: refused ? 0 : tokens })
              first = false
              try {
                await new Promise<void>((resolve, reject) => {
                  clock.setTimer(resolve, ms)
                  signal?.addEventListener('abort', () => reject(signal.reason as Error))
                })
              } catch (error) {
                billed[name] = (billed[name] ?? 0) + tokens
                answered[tenant ?? ''] = (answered[tenant ?? ''] ?? 0) + 1
                throw error
              } finally {
                running[i]!--
                out[name]!--
              }
              if (fails) throw refusal(answer, { 'retry-after-ms': '500' })
              billed[name] = (billed[name] ?? 0) + tokens
              answered[tenant ?? ''] = (answered[tenant ?? ''] ?? 0) + 1
              return { usage: { total_tokens: tokens } }
            },
            {
              cost: { tokens },
              priority,
              signal: leave.signal,
              ...(tenant && { tenant }),
              ...(maxWaitMs !== undefined && { maxWaitMs }),
            },
          )
          const end = () => void ends[i]!++
          run.then(end, end)
        }, at)
      }
      const counted = new Set<number>()
      for (let at = 250; at < 40_000; at += 500)
        clock.setTimer(() => {
          const waiting = targets.reduce((sum, { limiter }) => sum + limiter.stats().waiting, 0)
          counted.add(waiting - pool.stats().waiting)
        }, at)
      await clock.runAll()
      expect([...counted]).toEqual([0])
      expect(ends).toEqual(calls.map(() => 1))
      expect(most.twice).toBeLessThanOrEqual(1)
      expect(most.narrow).toBeLessThanOrEqual(2)
      expect(pool.stats()).toMatchObject({ waiting: 0 })
      for (const { limiter } of targets) expect(limiter.stats()).toMatchObject({ waiting: 0, inFlight: 0 })
      for (const { inFlight } of pool.stats().targets) expect(inFlight).toBe(0)
      expect(clock.pendingTimers).toBe(0)
      for (const { name, key = '', amounts } of pool.stats().budgets) {
        const { used, reserved, limit } = amounts[0]!
        expect({ reserved, within: used <= limit }).toEqual({ reserved: 0, within: true })
        const sum = Object.values(billed).reduce((a, b) => a + b, 0)
        const really = { 'pool per day': sum, 'tenant per day': answered[key], 'target per day': billed[key] }
        expect(used).toBe(really[name as keyof typeof really] ?? 0)
      }
      const inMinute = (target: string, from: number) =>
        sent.filter((one) => one.target === target && one.at >= from && one.at < from + MINUTE)
      for (const { at } of sent) {
        expect(inMinute('paced', at).length).toBeLessThanOrEqual(60)
        const tokens = inMinute('metered', at).reduce((sum, one) => sum + one.tokens, 0)
        expect(tokens).toBeLessThanOrEqual(3000)
      }
    }),
    { numRuns: 40 },
  )
})
