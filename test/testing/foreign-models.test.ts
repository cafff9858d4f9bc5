// Laws that are not ours, as models: a strict limiter, chance, wrong waits, a neighbour, several laws at once.

import { expect, test } from 'vitest'
import {
  AccelerationProvider,
  CombinedProvider,
  LimitReqProvider,
  NeighbourProvider,
  NoiseProvider,
  TokenBucketProvider,
  WrongWaitProvider,
  type ModelProvider,
} from 'llmiter/testing'

const kinds = (provider: ModelProvider, times: number[]) =>
  times.map((at) => provider.ask(at).kind === 'admitted')

test('nginx: not one ms early, and who is refused has changed nothing', () => {
  const provider = new LimitReqProvider({ requestsPerMinute: 600 })
  expect(kinds(provider, [0, 50, 99, 100, 199.9, 200.5, 1000])).toEqual([
    true,
    false,
    false,
    true,
    false,
    true,
    true,
  ])
  expect(provider.ask(1001)).toEqual({ kind: 'refused', why: 'overload', status: 503 })
  expect(provider.waitMs(1001)).toBe(99)
  expect(provider.optimumMs(0, 301)).toBe(30_000)
})

test('nginx: a burst may come before its time', () => {
  const provider = new LimitReqProvider({ requestsPerMinute: 600, burst: 2, status: 429 })
  expect(kinds(provider, [0, 0, 0, 0, 99, 100, 199, 200])).toEqual([
    true,
    true,
    true,
    false,
    false,
    true,
    false,
    true,
  ])
  expect(provider.ask(201)).toMatchObject({ why: 'rate', status: 429 })
})

test('chance refuses its share, whatever the rate, and always the same calls', () => {
  const make = () => new NoiseProvider(new TokenBucketProvider({ requestsPerMinute: 6000 }), { share: 0.05 })
  const times = Array.from({ length: 4000 }, (_, i) => i * 1000)
  const struck = kinds(make(), times).filter((admitted) => !admitted).length
  expect(struck / times.length).toBeGreaterThan(0.04)
  expect(struck / times.length).toBeLessThan(0.06)
  expect(kinds(make(), times)).toEqual(kinds(make().unused(), times))
})

test('wrong waits: a multiple of the true one, or always the same', () => {
  const bucket = () => new TokenBucketProvider({ requestsPerMinute: 60, capacityMs: 1000 })
  const five = new WrongWaitProvider(bucket(), { factor: 5 })
  five.ask(0)
  expect(five.ask(500)).toMatchObject({ why: 'rate', retryAfterMs: 2500 })
  const constant = new WrongWaitProvider(bucket(), { constantMs: 60_000 })
  constant.ask(0)
  expect(constant.ask(500)).toMatchObject({ retryAfterMs: 60_000 })
  expect(constant.waitMs(500)).toBe(500)
  expect(() => new WrongWaitProvider(bucket(), {})).toThrow(/either factor or constantMs/)
})

test('a neighbour takes its part in its spells, and nothing between them', () => {
  const provider = new NeighbourProvider(
    new TokenBucketProvider({ requestsPerMinute: 600, capacityMs: 1000 }),
    { requestsPerMinute: 360, spellMs: 120_000 },
  )
  const admitted = { beside: 0, alone: 0 }
  for (let at = 1; at < 240_000; at += 10)
    if (provider.ask(at).kind === 'admitted') admitted[at < 120_000 ? 'beside' : 'alone']++
  expect(admitted.alone).toBeGreaterThan(1190)
  expect(admitted.beside).toBeLessThan(1000)
  expect(admitted.beside).toBeGreaterThan(470)
})

test('several laws at once: whom one refuses has used nothing up at the others', () => {
  const provider = new CombinedProvider([
    new AccelerationProvider({ requestsPerMinute: 600, floorPerMinute: 2 }),
    new TokenBucketProvider({ outputTokensPerMinute: 60_000, capacityMs: 1000 }),
  ])
  expect(provider.ask(0, { outputTokens: 1000 }).kind).toBe('admitted')
  expect(provider.ask(1, { outputTokens: 1000 })).toMatchObject({ of: 'outputTokens' })
  expect(provider.ask(1000, { outputTokens: 1000 }).kind).toBe('admitted')
  expect(provider.ask(5000, { outputTokens: 1000 })).toMatchObject({ of: 'requests' })
  expect(() => new CombinedProvider([])).toThrow(/an array of providers/)
})
