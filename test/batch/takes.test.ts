// The resources that a job takes: of limits, the queue and memory.

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, test } from 'vitest'
import { BucketRateLimiter, perModel, QueueFullError } from 'llmiter'
import { runAll } from 'llmiter/batch'
import { collect, rig, steadyClock } from '../helpers.ts'
import { job, type Options, upTo } from './job.ts'

describe('what a job takes', () => {
  test('each item its model’s limiter, and its own cost, priority and tenant', async () => {
    const clock = steadyClock()
    const models = perModel({
      big: { requestsPerMinute: 600, tokensPerMinute: 1000, ramp: false, clock },
      small: { requestsPerMinute: 600, ramp: false, clock },
    })
    const call = (item: string) => (item === 'big' ? { cost: { tokens: 1000 } } : { priority: 1 })
    const results = collect(
      runAll(['big', 'small', 'big', 'none'], (item) => item, {
        limiter: models,
        model: (item) => item,
        call,
      }),
    )
    await clock.runAll()
    expect((await results).map(({ ok, item }) => `${item} ${ok}`).sort()).toEqual([
      'big true',
      'big true',
      'none false',
      'small true',
    ])
    expect(clock.now()).toBeGreaterThan(50_000)
  })

  test('no more calls at the same time than `concurrency`', async () => {
    const { clock, begun, results } = job(upTo(50), { concurrency: 3 }, () => 60_000)
    void collect(results)
    await clock.advance(59_000)
    expect(begun).toEqual([0, 1, 2])
    await clock.advance(2000)
    expect(begun).toEqual([0, 1, 2, 3, 4, 5])
    const left = results.return()
    await clock.advance(0)
    await left
  })

  test('a hundred waiting calls, and as many in flight as the pace needs', async () => {
    const { clock, limiter, results } = job(upTo(2000), {}, () => 60_000)
    void collect(results)
    await clock.advance(50_000)
    const { waiting, inFlight } = limiter.stats()
    expect(waiting).toBe(100)
    expect(inFlight).toBeGreaterThan(495)
    void results.return()
    await clock.runAll()
  })

  test('concurrency: Infinity starts all calls', async () => {
    const { clock, limiter, results } = job(upTo(2000), { concurrency: Infinity })
    const list = collect(results)
    await clock.advance(10)
    expect(limiter.stats().waiting + limiter.stats().inFlight).toBe(2000)
    await clock.runAll()
    expect((await list).length).toBe(2000)
  })

  test('stops reading items while nobody reads the results', async () => {
    let read = 0
    const items = (function* () {
      for (;;) yield read++
    })()
    const { clock, limiter } = rig({})
    const results = runAll(items, (n) => n, { limiter, concurrency: 10 })
    await results.next()
    await clock.advance(1000)
    expect(read).toBeGreaterThanOrEqual(1000)
    expect(read).toBeLessThan(1020)
    await results.return()
  })

  test('the memory of a few items, however many there are', { timeout: 120_000 }, async () => {
    const limiter = new BucketRateLimiter({ name: 'job', maxConcurrent: 50 })
    const ITEMS = 100_000
    const kilobyte = 'x'.repeat(1000)
    async function* items() {
      for (let i = 0; i < ITEMS; i++) yield { i, text: kilobyte + i }
    }
    setFlagsFromString('--expose-gc')
    const sweep = runInNewContext('gc') as () => void
    const heap = () => {
      sweep()
      return process.memoryUsage().heapUsed
    }
    const heaps: number[] = []
    let sum = 0
    for await (const result of runAll(items(), ({ i, text }) => text.length + i, { limiter })) {
      if (!result.ok) throw result.error
      if (++sum % 20_000 === 0) heaps.push(heap())
    }
    expect(sum).toBe(ITEMS)
    // Eight bytes kept per item would add 0.6 MB between the first and the last measurement.
    expect((heaps.at(-1)! - heaps[0]!) / 1e6).toBeLessThan(0.6)
  })
})

test('a queue that is too short for the job rejects calls, unless concurrency is lower', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 600, queue: { max: 10 } }, steadyClock())
  const run = async (options: Options) => {
    const list = collect(runAll(upTo(50), () => clock.sleep(10), { limiter, ...options }))
    await clock.runAll()
    return list
  }
  const failures = (await run({})).flatMap((result) => (result.ok ? [] : [result.error]))
  expect(failures.length).toBeGreaterThan(0)
  expect(failures.every((error) => error instanceof QueueFullError)).toBe(true)
  expect((await run({ concurrency: 10 })).every(({ ok }) => ok)).toBe(true)
})

test.each([
  [5, {}, 'items must be an iterable or async iterable, got 5'],
  [null, {}, 'items must be an iterable or async iterable, got null'],
  ['text', {}, "items must be an iterable or async iterable, got 'text'"],
  [
    [],
    { limiter: null },
    'limiter must be a limited client, a BucketRateLimiter, or a service made by perModel or shared, got null',
  ],
  [[], { limiter: new Map() }, 'or a service made by perModel or shared, got {}'],
  [[], { limiter: undefined, call: { priority: 1 } }, 'limiter must be given where `call` is, got undefined'],
  [[], { onSummary: true }, 'onSummary must be a function, got true'],
  [
    [],
    { limiter: { requestsPerMinute: 5 } },
    'or a service made by perModel or shared, got {requestsPerMinute}',
  ],
  [[], { concurrency: 0 }, 'concurrency must be a whole number of at least 1, or Infinity, got 0'],
  [[], { concurrency: NaN }, 'concurrency must be a whole number of at least 1, or Infinity, got NaN'],
  [
    [],
    { concurrency: '3' },
    "concurrency must be a whole number of at least 1, or Infinity, got the string '3'",
  ],
  [[], { ordered: 1 }, 'ordered must be true or false, got 1'],
  [[], { skip: [1] }, 'skip must be a Set, a Map or an object with has(), got an array of 1'],
  [[], { signal: {} }, 'signal must be an AbortSignal, got {}'],
  [[], { total: -1 }, 'total must be a whole number of at least 0, got -1'],
  [[], { key: 'id' }, "key must be a function, got 'id'"],
  [[], { call: null }, 'call must be options or a function, got null'],
  [
    [],
    { parallel: 3 },
    "runAll has no option 'parallel' (did you mean 'concurrency'?); known: limiter, call, concurrency",
  ],
])('%j with %j: %s', (items, options, message) => {
  const { limiter } = rig({})
  const run = () => runAll(items as never, () => 1, { limiter, ...options } as never)
  expect(run).toThrow(TypeError)
  expect(run).toThrow(message)
})

test('fn must be a function, and options an object', () => {
  expect(() => runAll([], 'ask' as never, rig({}) as never)).toThrow("fn must be a function, got 'ask'")
  expect(() => runAll([], () => 1, 5 as never)).toThrow(
    'runAll takes an object of options, got 5; known: limiter, call',
  )
})
