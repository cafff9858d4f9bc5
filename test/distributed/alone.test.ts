// A process that has a shared limit for itself takes refusals for what they are, as it would without a store.

import { expect, test } from 'vitest'
import { BucketRateLimiter } from 'llmiter'
import { memoryStore, NoiseProvider, TokenBucketProvider, VirtualClock } from 'llmiter/testing'

/** Twelve hundred calls to a provider that refuses one in a hundred by chance: how long they take, and how often the gate closes. */
async function backlog(shared: boolean) {
  const clock = new VirtualClock({ seed: 1 })
  const limiter = new BucketRateLimiter({
    ...{ name: 'alone', clock, requestsPerMinute: 600 },
    ...(shared && { store: memoryStore() }),
  })
  const provider = new NoiseProvider(new TokenBucketProvider({ requestsPerMinute: 600 }), {
    ...{ share: 0.01, seed: 3 },
  })
  let [done, closed] = [0, 0]
  limiter.on('gate', ({ state }) => {
    if (state === 'closed') closed++
  })
  for (let i = 0; i < 1200; i++)
    void limiter
      .run(async () => {
        await clock.sleep(30)
        if (provider.ask(clock.now()).kind === 'admitted') return clock.sleep(500)
        throw Object.assign(new Error('rate limit'), { status: 429 })
      })
      .then(() => done++)
  while (done < 1200) await clock.advance(1000)
  limiter.stop()
  return { seconds: clock.now() / 1000, closed }
}

test('chance closes the gate for nobody, and costs no more than without a store', async () => {
  const [own, shared] = [await backlog(false), await backlog(true)]
  expect(shared.closed).toBe(own.closed)
  expect(shared.seconds).toBeLessThan(1.05 * own.seconds)
})
