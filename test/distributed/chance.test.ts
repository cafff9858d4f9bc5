// Processes that share a limit take refusals for what they are, as one would without a store.

import { expect, test } from 'vitest'
import { BucketRateLimiter } from 'llmiter'
import { memoryStore, NoiseProvider, TokenBucketProvider, VirtualClock } from 'llmiter/testing'

/**
 * Twelve hundred calls of so many processes to a provider that refuses one in a hundred by chance: how long they take, and how
 * often a gate closes. None: one process without a store.
 */
async function backlog(processes: number) {
  const clock = new VirtualClock({ seed: 1 })
  const store = processes > 0 ? { store: memoryStore() } : {}
  const fleet = Array.from(
    { length: Math.max(1, processes) },
    () => new BucketRateLimiter({ name: 'backlog', clock, requestsPerMinute: 600, ...store }),
  )
  const provider = new NoiseProvider(new TokenBucketProvider({ requestsPerMinute: 600 }), {
    ...{ share: 0.01, seed: 3 },
  })
  let [done, closed] = [0, 0]
  for (const limiter of fleet)
    limiter.on('gate', ({ state }) => {
      if (state === 'closed') closed++
    })
  for (let i = 0; i < 1200; i++)
    void fleet[i % fleet.length]!.run(async () => {
      await clock.sleep(30)
      if (provider.ask(clock.now()).kind === 'admitted') return clock.sleep(500)
      throw Object.assign(new Error('rate limit'), { status: 429 })
    }).then(() => done++)
  while (done < 1200) await clock.advance(1000)
  for (const limiter of fleet) limiter.stop()
  return { seconds: clock.now() / 1000, closed }
}

test.each([1, 7, 20])(
  'chance closes the gate for none of %i, and costs no more than without a store',
  async (processes) => {
    const [own, shared] = [await backlog(0), await backlog(processes)]
    expect(shared.closed).toBe(own.closed)
    expect(shared.seconds).toBeLessThan(1.05 * own.seconds)
  },
)
