// A provider's Retry-After is trusted until the provider itself shows that it is wrong.

import { expect, test } from 'vitest'
import { BucketRateLimiter } from 'llmiter'
import {
  FixedWindowProvider,
  type ModelProvider,
  ShortQuantumProvider,
  TokenBucketProvider,
  VirtualClock,
  WrongWaitProvider,
} from 'llmiter/testing'

const requestsPerMinute = 600
const second = () => new TokenBucketProvider({ requestsPerMinute, capacityMs: 1000 })
const window = (phaseMs: number) => new FixedWindowProvider({ requestsPerMinute, phaseMs })
const tens = (phaseMs: number) => new ShortQuantumProvider({ requestsPerMinute, quantumMs: 10_000, phaseMs })

/** How many s a backlog takes at this multiple of the limit, and when calls were refused. */
async function backlog(provider: ModelProvider, calls: number, told: number, seed: number) {
  const clock = new VirtualClock({ seed })
  const limiter = new BucketRateLimiter({ name: 'told', clock, requestsPerMinute: told * requestsPerMinute })
  const refusedAt: number[] = []
  let done = 0
  for (let i = 0; i < calls; i++)
    void limiter
      .run(async () => {
        await clock.sleep(10 + 40 * clock.random!())
        const answer = provider.ask(clock.now())
        await clock.sleep(answer.kind === 'admitted' ? 800 : 20)
        if (answer.kind === 'admitted') return
        refusedAt.push(clock.now())
        const { retryAfterMs } = answer as { retryAfterMs?: number }
        const headers = { 'retry-after-ms': String(retryAfterMs) }
        throw Object.assign(new Error('rate limit'), { status: 429, headers })
      })
      .then(() => done++)
  while (done < calls && clock.now() < 3_600_000) await clock.advance(100)
  limiter.stop()
  return { seconds: clock.now() / 1000, refusedAt }
}

test.each([
  ['a minute, whatever the truth is', 1.5, { constantMs: 60_000 }],
  ['half a minute, whatever the truth is', 3, { constantMs: 30_000 }],
  ['ten times the truth', 2, { factor: 10 }],
  ['a fifth of the truth', 1.5, { factor: 0.2 }],
  ['five seconds, whatever the truth is', 2, { constantMs: 5000 }],
  ['five seconds, whatever the truth is', 3, { constantMs: 5000 }],
] as const)('reported waits of %s, at %f times the limit', async (_, told, wrong) => {
  const runs = []
  for (const seed of [1, 2, 3])
    runs.push(await backlog(new WrongWaitProvider(second(), wrong), 1200, told, seed))
  for (const { seconds, refusedAt } of runs) {
    expect(seconds).toBeLessThan(1.3 * 120)
    expect(refusedAt.length).toBeLessThan(40)
  }
})

test.each([
  ['a minute by one that counts by the minute', window, { constantMs: 60_000 }],
  ['five times the truth by one that counts by the minute', window, { factor: 5 }],
  ['a minute by one that counts by ten seconds', tens, { constantMs: 60_000 }],
] as const)('reported waits of %s', async (_, make, wrong) => {
  for (const seed of [1, 2, 3]) {
    const provider = new WrongWaitProvider(make(13_000 * seed), wrong)
    const { seconds, refusedAt } = await backlog(provider, 1200, 1.5, seed)
    expect(seconds).toBeLessThan(1.3 * 120)
    expect(refusedAt.length).toBeLessThan(40)
  }
})

test('a provider that restarts its minute with each refusal gets the full wait, once that is known', async () => {
  const inner = second()
  let until = 0
  const provider = Object.assign(Object.create(inner) as ModelProvider, {
    ask(now: number) {
      const answer = now < until ? ({ kind: 'refused', why: 'rate' } as const) : inner.ask(now)
      if (answer.kind !== 'refused') return answer
      until = now + 60_000
      return { ...answer, retryAfterMs: 60_000 }
    },
  })
  const { refusedAt } = await backlog(provider, 6000, 1.5, 1)
  const gaps = refusedAt.map((at, i) => at - (refusedAt[i - 1] ?? 0)).filter((gap) => gap > 500)
  const waits = gaps.slice(gaps.findIndex((gap) => gap >= 60_000))
  expect(waits.length).toBeGreaterThan(1)
  expect(Math.min(...waits)).toBeGreaterThanOrEqual(60_000)
})

test('a wait that was right is never cut short again', async () => {
  // Minutes that begin at 0, and a client that spends each of them in 40 s.
  const provider = new FixedWindowProvider({ requestsPerMinute, retryAfter: 'exact' })
  const { seconds, refusedAt } = await backlog(provider, 4200, 1.5, 1)
  expect(seconds).toBeLessThan(7.1 * 60)
  // In each minute some calls are refused once it is used up. Only once is a probe sent long before its end.
  const within = refusedAt.map((at) => Math.floor(at / 60_000))
  const early = refusedAt.filter((at, i) => within[i] === within[i - 1] && at - refusedAt[i - 1]! > 1000)
  expect(early.length).toBeLessThanOrEqual(1)
})

test('a light call that is accepted does not cut short the wait of a heavy one', async () => {
  const clock = new VirtualClock({ seed: 1 })
  const limiter = new BucketRateLimiter({ name: 'told', clock, ramp: false, tokensPerMinute: 60_000 })
  const sent: [tokens: number, at: number][] = []
  const call = (tokens: number, refusals: number) =>
    limiter.run(
      async () => {
        sent.push([tokens, clock.now()])
        await clock.sleep(20)
        if (refusals-- <= 0) return
        throw Object.assign(new Error('tokens'), { status: 429, headers: { 'retry-after': '40' } })
      },
      { cost: { tokens } },
    )
  // Nothing was refused before, and three light calls are accepted, so a single refusal may be chance.
  for (let i = 0; i < 30; i++) void call(10, 0)
  await clock.advance(30_000)
  void call(10_000, 1)
  await clock.advance(1000)
  for (let i = 0; i < 5; i++) void call(10, 0)
  await clock.advance(30_000)
  expect(sent.filter(([tokens]) => tokens === 10_000)).toHaveLength(1)
  await clock.advance(60_000)
  expect(sent.filter(([tokens]) => tokens === 10_000)).toHaveLength(2)
})
