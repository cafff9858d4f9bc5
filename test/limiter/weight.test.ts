// A call may take several slots of `maxConcurrent`, or none.

import { expect, test } from 'vitest'
import { RequestTooLargeError, withLimiter } from 'llmiter'
import { memoryStore } from 'llmiter/testing'
import { EMPTY, fate, leftovers, refusal, rig } from '../helpers.ts'

/** Calls with these weights, each of 10 s. Returns when each started. */
async function begins(weights: readonly (number | undefined)[], maxConcurrent: number) {
  const { clock, limiter } = rig({ maxConcurrent })
  const calls = weights.map((weight) =>
    limiter.run(
      async () => {
        const began = clock.now() / 1000
        await clock.sleep(10_000)
        return began
      },
      weight === undefined ? {} : { weight },
    ),
  )
  await clock.runAll()
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
  return Promise.all(calls)
}

test.each([
  ['a heavy call waits for so many places, and those behind it wait too', [1, 3, 1], 3, [0, 10, 20]],
  ['two that fit go together', [1, 2, undefined], 3, [0, 0, 10]],
  ['none goes at any time, in its turn', [2, 0, 1], 2, [0, 0, 10]],
  ['weight 1 is what every call has', [1, undefined, 1], 2, [0, 0, 10]],
] as const)('%s', async (_, weights, maxConcurrent, expected) => {
  expect(await begins(weights, maxConcurrent)).toEqual(expected)
})

test('more than maxConcurrent can never go: refused at once', async () => {
  const { limiter } = rig({ maxConcurrent: 2 })
  await expect(limiter.run(() => {}, { weight: 3 })).rejects.toThrow(RequestTooLargeError)
  await expect(limiter.run(() => {}, { weight: 3 })).rejects.toThrow(
    "'test': a call of weight 3 can never run, because maxConcurrent is 2",
  )
})

test('where the provider takes fewer at once than the call weighs, it goes alone', async () => {
  const { clock, limiter } = rig({ maxConcurrent: 3, recovery: { minMs: 100 } })
  const crowded = Object.assign(refusal(429), { message: 'Too many concurrent requests' })
  let tries = 0
  const first = fate(limiter.run(() => (++tries < 3 ? Promise.reject(crowded) : 'first')))
  const heavy = fate(limiter.run(() => 'heavy', { weight: 3 }))
  await clock.runAll()
  expect([first.now, heavy.now]).toEqual(['ok: first', 'ok: heavy'])
})

test('the places come back however the call ends', async () => {
  const { clock, limiter } = rig({ maxConcurrent: 2 })
  await expect(limiter.run(() => Promise.reject(new Error('no')), { weight: 2 })).rejects.toThrow('no')
  limiter.tryAcquire({ weight: 2 })!.release()
  const ticket = limiter.tryAcquire({ weight: 2 })!
  expect(limiter.tryAcquire()).toBeUndefined()
  expect(limiter.stats()).toMatchObject({ inFlight: 1 })
  const again = fate(ticket.refuse(refusal(429)).then((next) => next.finish()))
  await clock.runAll()
  expect(again.now).toBe('ok: undefined')
  expect(limiter.tryAcquire({ weight: 2 })).toBeDefined()
})

test('a wrapped function has one weight; costs beside it count as ever', async () => {
  const { clock, limiter } = rig({ maxConcurrent: 2, limits: [{ of: 'images', amount: 10, per: '1h' }] })
  const draw = withLimiter((images: number) => clock.sleep(1000 * images), limiter, {
    weight: 2,
    cost: (images) => ({ images }),
  })
  const calls = [draw(1), draw(2)]
  expect(limiter.stats()).toMatchObject({ inFlight: 1, waiting: 1 })
  expect(limiter.queued()[0]).toMatchObject({ cost: { requests: 1, images: 2 } })
  await clock.runAll()
  await Promise.all(calls)
  expect(limiter.available('images')).toBe(7)
})

test('is a whole number, and one where a store counts', async () => {
  const { limiter } = rig({ maxConcurrent: 2 })
  for (const weight of [-1, 0.5, NaN])
    await expect(limiter.run(() => {}, { weight })).rejects.toThrow(
      'weight must be a whole number of at least 0',
    )
  const shared = rig({ maxConcurrent: 2, store: memoryStore() })
  await expect(shared.limiter.run(() => {}, { weight: 2 })).rejects.toThrow('weight must be 1 when a store')
  shared.limiter.stop()
})
