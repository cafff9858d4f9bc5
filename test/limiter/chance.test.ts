// Random refusals at any rate delay only the refused call. A limit is still found among them.

import { expect, test } from 'vitest'
import { BucketRateLimiter, type LimiterOptions } from 'llmiter'
import {
  LimitReqProvider,
  type ModelProvider,
  NoiseProvider,
  TokenBucketProvider,
  VirtualClock,
} from 'llmiter/testing'

/** How long a backlog of calls takes, in s, and what happened on the way. */
async function backlog(
  provider: ModelProvider,
  calls: number,
  options: Partial<LimiterOptions>,
  seed: number,
  jitterMs = 40,
) {
  const clock = new VirtualClock({ seed })
  const limiter = new BucketRateLimiter({ name: 'chance', clock, ...options })
  let [refused, closed, done] = [0, 0, 0]
  const order: number[] = []
  limiter.on('gate', ({ state }) => (closed += Number(state === 'closed')))
  limiter.on('refuse', () => refused++)
  for (let i = 0; i < calls; i++)
    void limiter
      .run(async () => {
        order.push(i)
        await clock.sleep(10 + jitterMs * clock.random!())
        const answer = provider.ask(clock.now())
        await clock.sleep(answer.kind === 'admitted' ? 800 : 20)
        if (answer.kind === 'admitted') return
        const { status = 429, retryAfterMs } = answer as { status?: number; retryAfterMs?: number }
        const headers = retryAfterMs === undefined ? {} : { 'retry-after-ms': String(retryAfterMs) }
        throw Object.assign(new Error('rate limit'), { status, headers })
      })
      .then(() => done++)
  const startedAt = clock.now()
  while (done < calls) await clock.advance(100)
  limiter.stop()
  return { seconds: (clock.now() - startedAt) / 1000, refused, closed, order, learned: limiter.stats() }
}

const plenty = () => new TokenBucketProvider({ requestsPerMinute: 12_000 })
const median = (all: number[]) => all.toSorted((a, b) => a - b)[all.length >> 1]!

test.each([
  [0.5, 429, 1200, 4000],
  [2, 429, 300, 1500],
  [2, 503, 1200, 4000],
  [5, 429, 900, 3000],
] as const)(
  '%f %% of calls are refused, by %i, at %i a minute: no slower than a queue',
  async (percent, status, rpm, calls) => {
    const runs = await Promise.all(
      [1, 2, 3, 4, 5].map((seed) =>
        backlog(
          new NoiseProvider(plenty(), { share: percent / 100, status, seed }),
          calls,
          { requestsPerMinute: rpm },
          seed,
        ),
      ),
    )
    const best = (calls * 60) / rpm
    expect(median(runs.map(({ seconds }) => seconds / best))).toBeLessThan(1.05 * (1 + percent / 100))
    // The gate is closed by a few refusals that arrive together, not by each one.
    for (const { refused, closed } of runs) expect(closed).toBeLessThan(2 + 0.1 * refused)
  },
)

test('a call with a Retry-After waits alone', async () => {
  const provider = new NoiseProvider(plenty(), { share: 0.01, retryAfterMs: 20_000, seed: 3 })
  const { seconds, closed } = await backlog(provider, 3000, { requestsPerMinute: 600 }, 3)
  expect(closed).toBeLessThan(3)
  // The last refused call may have to wait alone, after all others are answered.
  expect(seconds).toBeLessThan(1.05 * 300 + 20)
})

test('a call without a Retry-After goes next: no call overtakes it', async () => {
  const provider = new NoiseProvider(plenty(), { share: 0.02, seed: 4 })
  const { order } = await backlog(provider, 1000, { requestsPerMinute: 600 }, 4)
  const last = order.map((call, i) => [call, i] as const).filter(([call], i) => order.indexOf(call) < i)
  // A refusal is known 30 to 70 ms after its call was sent, and one ticket goes every 100 ms.
  for (const [call, i] of last) expect(i - order.indexOf(call)).toBeLessThanOrEqual(2)
  expect(last.length).toBeGreaterThan(10)
})

test.each([2, 1.3, 1.1])(
  'told %f times the limit, and one in a hundred refused by chance: the limit is found',
  async (factor) => {
    const bucket = new TokenBucketProvider({ requestsPerMinute: 900, capacityMs: 1000, retryAfter: 'none' })
    const provider = new NoiseProvider(bucket, { share: 0.01, seed: 5 })
    const { seconds, refused } = await backlog(provider, 4500, { requestsPerMinute: factor * 900 }, 5)
    expect(seconds).toBeLessThan(1.08 * 300)
    expect(refused).toBeLessThan(0.04 * 4500)
  },
)

test.each([
  [120, 429, 2],
  [120, 503, 2],
  [120, 429, 3],
] as const)(
  'a strict limiter of %i a minute that answers %i, told %f times as much: the limit is found',
  async (requestsPerMinute, status, factor) => {
    const runs = await Promise.all(
      [1, 2, 3].map((seed) =>
        backlog(
          new LimitReqProvider({ requestsPerMinute, status }),
          300,
          { requestsPerMinute: factor * requestsPerMinute },
          seed,
        ),
      ),
    )
    const best = (300 * 60) / requestsPerMinute
    expect(median(runs.map(({ seconds }) => seconds / best))).toBeLessThan(1.6)
  },
)

// At twenty and fifty calls a second, the refusals of a burst, of a probe and of late timers must not lead to a
// rate that is far too low.
test.each([
  [1200, 429, 0, 1, 1.3],
  [1200, 503, 0, 1, 1.2],
  [1200, 503, 5, 2, 1.2],
  [3000, 503, 0, 4, 1.9],
  [3000, 503, 5, 4, 1.6],
  [3000, 429, 5, 4, 1.5],
] as const)(
  'a strict limiter nearby, of %i a minute, that answers %i, with a burst of %i, told %f times as much: at most %f times the optimum',
  async (requestsPerMinute, status, burst, factor, most) => {
    const runs = await Promise.all(
      [1, 2, 3].map((seed) =>
        backlog(
          new LimitReqProvider({ requestsPerMinute, status, burst }),
          600,
          { requestsPerMinute: factor * requestsPerMinute },
          seed,
          1,
        ),
      ),
    )
    const best = (600 * 60) / requestsPerMinute
    expect(median(runs.map(({ seconds }) => seconds / best))).toBeLessThan(most)
  },
)
