// withLimiter.stream wraps async generators. The ticket is taken at the first `next()`.

import { expect, expectTypeOf, test } from 'vitest'
import { withLimiter } from 'llmiter'
import { collect, each, EMPTY, fate, leave, leftovers, rateLimited, rig } from '../../helpers.ts'

async function* words(text: string) {
  yield* text.split(' ')
}

test('for await works at once; nothing is taken before the first next()', async () => {
  const { clock, limiter } = rig({ maxConcurrent: 1 })
  const speak = withLimiter.stream(words, limiter)
  expectTypeOf(speak).toEqualTypeOf<(this: unknown, text: string) => AsyncGenerator<string, void, void>>()
  const stream = speak('to be or not')
  expect(limiter.stats().issued).toBe(0)
  const read: string[] = []
  for await (const word of stream) {
    read.push(word)
    expect(limiter.stats().inFlight).toBe(1)
  }
  expect([read, leftovers(limiter, clock)]).toEqual([['to', 'be', 'or', 'not'], EMPTY])
})

test('a refusal at the start waits and begins again', async () => {
  const { clock, limiter } = rig()
  let begun = 0
  const speak = withLimiter.stream(async function* () {
    if (begun++ < 2) throw rateLimited(1000)
    yield 'in'
  }, limiter)
  const first = fate(
    speak()
      .next()
      .then(({ value }) => value),
  )
  await clock.runAll({ untilMs: 100_000 })
  expect([begun, first.now]).toEqual([3, 'ok: in'])
})

test('left early, thrown into, or never begun: the inner generator knows, the ticket is back', async () => {
  const { clock, limiter } = rig({ maxConcurrent: 1 })
  const seen: unknown[] = []
  const speak = withLimiter.stream(async function* () {
    try {
      yield 1
      yield 2
    } catch (error) {
      seen.push(error)
      yield 'caught'
    } finally {
      seen.push('over')
    }
  }, limiter)
  await leave(speak())
  expect([seen, leftovers(limiter, clock)]).toEqual([['over'], EMPTY])
  const thrown = speak()
  await thrown.next()
  const error = new Error('mine')
  expect(await thrown.throw(error)).toEqual({ done: false, value: 'caught' })
  expect(await thrown.next()).toEqual({ done: true, value: undefined })
  expect([seen, leftovers(limiter, clock)]).toEqual([['over', error, 'over'], EMPTY])
  expect(await speak().return()).toEqual({ done: true, value: undefined })
  expect(limiter.stats().issued).toBe(2)
})

test('an error of its own reaches the reader as it is', async () => {
  const { clock, limiter } = rig()
  const error = new Error('mine')
  const atOnce = withLimiter.stream(async function* () {
    if (limiter) throw error
    yield 1
  }, limiter)
  await expect(atOnce().next()).rejects.toBe(error)
  const later = withLimiter.stream(async function* () {
    yield 1
    throw error
  }, limiter)()
  await later.next()
  await expect(later.next()).rejects.toBe(error)
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
})

test('an empty one, `this`, and iterables that are no generators', async () => {
  const { clock, limiter } = rig()
  const empty = withLimiter.stream(async function* () {}, limiter)
  await each(empty(), () => {
    throw new Error('not reached')
  })
  const host = {
    word: 'hello',
    speak: withLimiter.stream(async function* (this: { word: string }) {
      yield this.word
    }, limiter),
  }
  for await (const word of host.speak()) expect(word).toBe('hello')
  let n = 0
  const plain = withLimiter.stream(
    () => ({ [Symbol.asyncIterator]: () => ({ next: async () => ({ done: n++ === 2, value: n }) }) }),
    limiter,
  )
  expect([await collect(plain()), leftovers(limiter, clock)]).toEqual([[1, 2], EMPTY])
})

test('several at once wait for one another', async () => {
  const { clock, limiter } = rig({ maxConcurrent: 1 })
  const log: string[] = []
  const speak = withLimiter.stream(async function* (name: string) {
    for (let i = 0; i < 2; i++) {
      await clock.sleep(10)
      yield `${name}${i}`
    }
  }, limiter)
  const read = async (name: string) => {
    for await (const word of speak(name)) log.push(word)
  }
  const all = Promise.all([read('a'), read('b')])
  await clock.runAll()
  await all
  expect(log).toEqual(['a0', 'a1', 'b0', 'b1'])
})
