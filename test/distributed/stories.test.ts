// Random failures of a fleet and its store: after recovery, every call of a live process has exactly one end.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BucketRateLimiter } from 'llmiter'
import { memoryStore, VirtualClock } from 'llmiter/testing'
import { outOfQuota, overloaded, rateLimited, refusal } from '../helpers.ts'

const MOST = 6
const who = fc.integer({ min: 0, max: MOST - 1 })
const answers = {
  ok: () => undefined,
  rate: rateLimited,
  overload: overloaded,
  quota: outOfQuota,
  broken: () => refusal(500),
  crowd: () => Object.assign(rateLimited(), { message: 'too many concurrent requests' }),
}
const event = fc.oneof(
  {
    weight: 7,
    arbitrary: fc.record({
      do: fc.constant('run' as const),
      who,
      calls: fc.integer({ min: 1, max: 12 }),
      tokens: fc.integer({ min: 0, max: 1500 }),
      answerMs: fc.constantFrom(1, 50, 500, 5000, 60_000),
      abortMs: fc.option(fc.integer({ min: 0, max: 20_000 })),
      maxRefusals: fc.option(fc.integer({ min: 0, max: 2 }), { freq: 8 }),
      retry: fc.boolean(),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('time' as const),
      ms: fc.constantFrom(1, 100, 1000, 4000, 20_000, 70_000),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('answer' as const),
      as: fc.constantFrom('ok', 'ok', 'rate', 'rate', 'overload', 'quota', 'broken', 'crowd'),
      waitMs: fc.constantFrom(undefined, undefined, 100, 3000, 20_000),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('cut' as const), which: fc.option(fc.array(who), { freq: 2 }) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('mend', 'flush'), who }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('kill', 'stop', 'pause', 'resume'), who }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('update' as const),
      who,
      amount: fc.constantFrom(6, 60, 600),
      maxConcurrent: fc.integer({ min: 1, max: 8 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('set' as const),
      ms: fc.constantFrom(-3_600_000, -2000, -500, 500, 3_600_000),
    }),
  },
)

test('every call comes to its end', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(event, { minLength: 8, maxLength: 40, size: 'max' }),
      fc.record({
        processes: fc.integer({ min: 1, max: MOST }),
        lagMs: fc.constantFrom(0, 2, 20, 200),
        pubsub: fc.boolean(),
        amount: fc.constantFrom(60, 600, 6000),
        metered: fc.boolean(),
        maxConcurrent: fc.option(fc.integer({ min: 1, max: 8 })),
        seed: fc.integer({ min: 1, max: 1000 }),
      }),
      async (events, { processes, lagMs, pubsub, amount, metered, maxConcurrent, seed }) => {
        const clock = new VirtualClock({ seed })
        let setMs = 0
        const store = memoryStore({ lagMs, pubsub, time: () => clock.wall() + setMs })
        const options = {
          ...{ name: 'fleet', requestsPerMinute: amount, store, clock },
          ...(metered && { tokensPerMinute: 10_000 }),
          ...(maxConcurrent && { maxConcurrent }),
        }
        const fleet = Array.from({ length: processes }, () => new BucketRateLimiter(options))
        const dead = new Set<number>()
        const ends: { of: number; count: number }[] = []
        let answer: () => Error | undefined = answers.ok
        for (const event of events) {
          const i = 'who' in event ? event.who % processes : 0
          const limiter = fleet[i]!
          if (event.do === 'time') await clock.advance(event.ms)
          else if (event.do === 'answer')
            answer = () => answers[event.as as keyof typeof answers](event.waitMs)
          else if (event.do === 'cut') store.cut(event.which ?? 'all')
          else if (event.do === 'mend') store.mend()
          else if (event.do === 'flush') store.flush()
          else if (event.do === 'set') setMs += event.ms
          else if (dead.has(i)) continue
          else if (event.do === 'stop') limiter.stop()
          else if (event.do === 'pause') limiter.pause()
          else if (event.do === 'resume') limiter.resume()
          else if (event.do === 'update') {
            const { amount, maxConcurrent: most } = event
            limiter.update({ requestsPerMinute: amount, ...(maxConcurrent && { maxConcurrent: most }) })
          } else if (event.do === 'run') {
            const { tokens, answerMs, abortMs, maxRefusals, retry } = event
            const caller = new AbortController()
            if (abortMs !== null) clock.setTimer(() => caller.abort(), abortMs)
            const call = async () => {
              const error = answer()
              await clock.sleep(error ? 5 : answerMs)
              if (error) throw error
            }
            for (let k = 0; k < event.calls; k++) {
              const mine = { of: i, count: 0 }
              ends.push(mine)
              const end = () => void mine.count++
              limiter
                .run(call, {
                  ...(metered && { cost: { tokens } }),
                  ...(abortMs !== null && { signal: caller.signal }),
                  ...(maxRefusals !== null && { maxRefusals }),
                  ...(retry && { retry: {} }),
                })
                .then(end, end)
            }
          } else {
            dead.add(i)
            store.kill(i)
            limiter.pause()
          }
        }
        answer = answers.ok
        store.mend()
        const alive = fleet.filter((_, i) => !dead.has(i))
        for (const limiter of alive) limiter.resume()
        const over = () => ends.every(({ of, count }) => count > 0 || dead.has(of))
        for (let hour = 0; hour < 24 && !over(); hour += 1 / 6) await clock.advance(600_000)
        for (const { of, count } of ends) if (!dead.has(of)) expect(count).toBe(1)
        for (const limiter of alive) {
          expect(limiter.stats()).toMatchObject({ waiting: 0, parked: 0, inFlight: 0 })
          limiter.stop()
        }
        await clock.advance(120_000)
        if (dead.size === 0) expect(clock.pendingTimers).toBe(0)
      },
    ),
    { numRuns: 250 },
  )
}, 120_000)
