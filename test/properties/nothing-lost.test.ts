// With random events, every call gets exactly one end, and the limiter is empty afterwards.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BucketRateLimiter, LimiterError, type LimiterOptions } from 'llmiter'
import {
  EMPTY,
  leftovers,
  outOfQuota,
  overloaded,
  rateLimited,
  refusal,
  rig,
  steadyClock,
} from '../helpers.ts'

const where = fc.integer({ min: 0, max: 2 })
const signal = fc.integer({ min: 0, max: 2 })
const events = fc.array(
  fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({
        do: fc.constant('run' as const),
        what: fc.integer({ min: 0, max: 8 }),
        latency: fc.integer({ min: 0, max: 2000 }),
        priority: fc.integer({ min: -1, max: 1 }),
        tenant: fc.integer({ min: 0, max: 3 }),
        tokens: fc.integer({ min: 0, max: 600 }),
        where,
        wait: fc.option(fc.integer({ min: 0, max: 20_000 })),
        timeout: fc.option(fc.integer({ min: 1, max: 3000 })),
        signal: fc.option(signal),
      }),
    },
    {
      weight: 6,
      arbitrary: fc.record({ do: fc.constant('time' as const), ms: fc.integer({ min: 0, max: 20_000 }) }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('abort' as const), signal }) },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant('pause' as const),
        ms: fc.integer({ min: 1, max: 30_000 }),
        where,
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('resume' as const), where }) },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant('update' as const),
        amount: fc.integer({ min: 1, max: 200 }),
        where,
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant('try' as const),
        where,
        priority: fc.integer({ min: -1, max: 1 }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('stop' as const), where }) },
  ),
  { maxLength: 60 },
)

/** Refuses or fails the first attempts, depending on the number, and then answers. */
function provider(what: number) {
  const errors = [
    [],
    [rateLimited(700)],
    [rateLimited(), rateLimited()],
    [overloaded(500)],
    [overloaded()],
    [outOfQuota()],
    [refusal(500)],
    [refusal(400)],
    [rateLimited(10), refusal(500), overloaded()],
  ][what]!
  let sent = 0
  return () => errors[sent++]
}

function attempt(limiter: BucketRateLimiter, priority: number): void {
  try {
    limiter.tryAcquire({ priority })?.finish()
  } catch (error) {
    if (!(error instanceof LimiterError)) throw error
  }
}

test('any sequence of events ends with an empty limiter and one end for each call', async () => {
  await fc.assert(
    fc.asyncProperty(
      events,
      fc.integer({ min: 1, max: 8 }),
      fc.constantFrom<LimiterOptions['queue']>(
        {},
        { max: 3 },
        { max: 2, onFull: 'evict-lowest' },
        { max: 0 },
      ),
      async (events, maxConcurrent, queue) => {
        const clock = steadyClock(0.5)
        const account = rig(
          { name: 'account', requestsPerMinute: 200, tokensPerMinute: 5000, maxConcurrent },
          clock,
        ).limiter
        const one = new BucketRateLimiter({
          name: 'one',
          parent: account,
          requestsPerMinute: 60,
          retry: { attempts: 3 },
          ...(queue && { queue }),
        })
        const two = new BucketRateLimiter({ name: 'two', parent: account, maxConcurrent: 2 })
        const all = [account, one, two]
        const controllers = [0, 1, 2].map(() => new AbortController())
        const ends: number[] = []
        let inside = 0
        for (const event of events) {
          const limiter = all['where' in event ? event.where : 0]!
          if (event.do === 'run') {
            const next = provider(event.what)
            const id = ends.push(0) - 1
            const work = async () => {
              inside++
              await clock.sleep(event.latency)
              inside--
              const error = next()
              if (error) throw error
            }
            const end = () => void ends[id]!++
            limiter
              .run(work, {
                priority: event.priority,
                tenant: `t${event.tenant}`,
                cost: { tokens: event.tokens },
                ...(event.wait !== null && { maxWaitMs: event.wait }),
                ...(event.timeout !== null && { timeoutMs: event.timeout }),
                ...(event.signal !== null && { signal: controllers[event.signal]!.signal }),
              })
              .then(end, end)
            if (event.timeout === null) expect(account.stats().inFlight).toBeLessThanOrEqual(maxConcurrent)
          } else if (event.do === 'time') await clock.advance(event.ms)
          else if (event.do === 'abort') controllers[event.signal]!.abort()
          else if (event.do === 'pause') limiter.pause(event.ms)
          else if (event.do === 'resume') limiter.resume()
          else if (event.do === 'update') limiter.update({ requestsPerMinute: event.amount })
          else if (event.do === 'stop') limiter.stop()
          else attempt(limiter, event.priority)
        }
        for (const limiter of all) limiter.resume()
        await clock.runAll({ untilMs: 40_000_000 })
        expect(ends).toEqual(ends.map(() => 1))
        expect(inside).toBe(0)
        for (const limiter of all) expect(leftovers(limiter, clock)).toEqual(EMPTY)
        await account.drain()
      },
    ),
    { numRuns: 400 },
  )
}, 30_000)

test('order is kept within priority and tenant, whatever order refusals return in', async () => {
  const call = fc.record({
    priority: fc.integer({ min: 0, max: 2 }),
    tenant: fc.constantFrom('a', 'b', undefined),
    latency: fc.integer({ min: 1, max: 400 }),
    refusals: fc.integer({ min: 0, max: 3 }),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(call, { minLength: 2, maxLength: 25 }), async (calls) => {
      const { clock, limiter } = rig({ requestsPerMinute: 600, burst: 5 })
      const shutUntil = 500
      const order: number[] = []
      const all = calls.map(({ priority, tenant, latency }, id) =>
        limiter.run(
          async () => {
            const refused = clock.now() < shutUntil
            if (!refused) order.push(id)
            await clock.sleep(latency)
            // All calls sent during the outage are refused, in the order of their latencies.
            if (refused) throw rateLimited(shutUntil + 1000)
          },
          { priority, tenant },
        ),
      )
      await clock.runAll()
      await Promise.all(all)
      const kind = (id: number) => `${calls[id]!.priority}/${calls[id]!.tenant}`
      const groups = [...new Set(order.map(kind))].map((of) => order.filter((id) => kind(id) === of))
      for (const mine of groups) {
        expect(mine).toEqual([...mine].sort((a, b) => a - b))
      }
      expect(new Set(order).size).toBe(calls.length)
    }),
    { numRuns: 200 },
  )
}, 20_000)

test('at most one timer, and none when nothing waits', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({
          after: fc.integer({ min: 0, max: 3000 }),
          refused: fc.boolean(),
          wait: fc.option(fc.integer({ min: 1, max: 5000 })),
        }),
        { maxLength: 30 },
      ),
      async (calls) => {
        const { clock, limiter } = rig({ requestsPerMinute: 120, burst: 1 })
        for (const { after, refused, wait } of calls) {
          await clock.advance(after)
          let sent = 0
          limiter
            .run(
              () => {
                if (refused && sent++ === 0) throw rateLimited(300)
              },
              wait === null ? {} : { maxWaitMs: wait },
            )
            .catch(() => {})
          expect(clock.pendingTimers).toBeLessThanOrEqual(1)
        }
        await clock.runAll()
        expect(leftovers(limiter, clock)).toEqual(EMPTY)
      },
    ),
    { numRuns: 100 },
  )
})
