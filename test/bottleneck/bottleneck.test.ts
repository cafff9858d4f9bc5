// Code for Bottleneck with its import changed. Tests of a few ms in real time, checked by the order of events.

import { AsyncLocalStorage } from 'node:async_hooks'
import { describe, expect, expectTypeOf, onTestFinished, test, vi } from 'vitest'
import Bottleneck from 'llmiter/bottleneck'
import { memoryStore } from 'llmiter/testing'
import { fate, rateLimited } from '../helpers.ts'

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

/** Every job that was given has come to its place: it runs, waits, or was turned away. */
const taken = (limiter: Bottleneck) => expect.poll(() => limiter.counts().RECEIVED).toBe(0)

/** A job that ends on request. */
function gate() {
  let open!: () => void
  const done = new Promise<void>((resolve) => (open = resolve))
  return { open, work: () => done }
}

describe('jobs', () => {
  test.each([{ maxConcurrent: 5 }, {}])('start at once where there are places: %o', async (options) => {
    const limiter = new Bottleneck(options)
    const { open, work } = gate()
    const calls = [1, 2, 3, 4, 5].map(() => limiter.schedule(work))
    await expect.poll(() => limiter.counts().EXECUTING).toBe(5)
    open()
    await Promise.all(calls)
  })

  test('are done by priority, and their results and errors come back', async () => {
    const limiter = new Bottleneck({ maxConcurrent: 1 })
    const order: string[] = []
    const { open, work } = gate()
    const first = limiter.schedule(work)
    const add = (name: string, priority: number) =>
      limiter.schedule({ priority }, (what: string) => Promise.resolve(order.push(what)), name)
    const calls = [add('usual', 5), add('late', 9), add('urgent', 0), add('usual too', 5)]
    const failed = expect(
      limiter.schedule({ priority: 8 }, () => Promise.reject(new Error('no'))),
    ).rejects.toThrow('no')
    await taken(limiter)
    open()
    await first
    expect(await Promise.all(calls)).toEqual([2, 4, 1, 3])
    await failed
    expect(order).toEqual(['urgent', 'usual', 'usual too', 'late'])
  })

  test('start no sooner than minTime after one another', async () => {
    vi.useFakeTimers()
    onTestFinished(() => void vi.useRealTimers())
    const begun = performance.now()
    const limiter = new Bottleneck({ minTime: 20 })
    const starts = Promise.all([1, 2, 3].map(() => limiter.schedule(async () => performance.now() - begun)))
    await vi.advanceTimersByTimeAsync(100)
    // A timer is at most a millisecond late.
    expect((await starts).map((ms) => Math.floor(ms / 20))).toEqual([0, 1, 2])
  })

  test('that are refused keep their place, hold back the others, and run again', async () => {
    const limiter = new Bottleneck()
    const log: string[] = []
    let refusals = 1
    let other: Promise<unknown> | undefined
    const refused = limiter.schedule(async () => {
      log.push('try')
      if (refusals-- > 0) {
        other = limiter.schedule(async () => log.push('other'))
        throw rateLimited(30)
      }
      return 'done'
    })
    expect(await refused).toBe('done')
    await other
    expect(log).toEqual(['try', 'try', 'other'])
  })

  test('are tried again after the wait that a listener of failed chooses', async () => {
    const limiter = new Bottleneck()
    const told: unknown[] = []
    limiter.on('failed', (error, { retryCount }) => {
      told.push([(error as Error).message, retryCount])
      return retryCount < 2 ? 1 : undefined
    })
    limiter.on('retry', (message) => told.push(message))
    const failing = limiter.schedule({ id: 'a' }, () => Promise.reject(new Error('no')))
    await expect(failing).rejects.toThrow('no')
    expect(told).toEqual([['no', 0], 'Retrying a after 1 ms', ['no', 1], 'Retrying a after 1 ms', ['no', 2]])
  })

  test('that take too long fail, and give their place back', async () => {
    const limiter = new Bottleneck({ maxConcurrent: 1 })
    const late = limiter.schedule({ expiration: 10 }, () => new Promise(() => {}))
    await expect(late).rejects.toThrow('This job timed out after 10 ms.')
    await expect(late).rejects.toBeInstanceOf(Bottleneck.BottleneckError)
    expect(await limiter.schedule(() => Promise.resolve('next'))).toBe('next')
    expect(await limiter.done()).toBe(2)
  })

  test('take as many slots as they weigh', async () => {
    const limiter = new Bottleneck({ maxConcurrent: 2 })
    const [a, b] = [gate(), gate()]
    const heavy = limiter.schedule({ weight: 2 }, a.work)
    const light = limiter.schedule(b.work)
    await taken(limiter)
    expect([await limiter.running(), limiter.queued(), await limiter.check()]).toEqual([2, 1, false])
    a.open()
    b.open()
    await Promise.all([heavy, light])
    expect([await limiter.check(2), await limiter.check(3)]).toEqual([true, false])
    await expect(limiter.schedule({ weight: 3 }, a.work)).rejects.toThrow(
      'a job having a weight of 3 to a limiter having a maxConcurrent setting of 2',
    )
  })

  test('are counted and listed by where they stand', async () => {
    const limiter = new Bottleneck({ maxConcurrent: 2, minTime: 300, trackDoneStatus: true })
    const { open, work } = gate()
    const jobs = ['a', 'b', 'c'].map((id) => limiter.schedule({ id }, work))
    expect(limiter.counts()).toEqual({ RECEIVED: 3, QUEUED: 0, RUNNING: 0, EXECUTING: 0, DONE: 0 })
    await taken(limiter)
    await expect.poll(() => limiter.jobStatus('a')).toBe('EXECUTING')
    expect([limiter.jobStatus('a'), limiter.jobStatus('b'), limiter.jobStatus('c')]).toEqual([
      'EXECUTING',
      'RUNNING',
      'QUEUED',
    ])
    expect([limiter.jobs('QUEUED'), limiter.queued(5), limiter.queued(0)]).toEqual([['c'], 1, 0])
    const twice = limiter.schedule({ id: 'a' }, work)
    await expect(twice).rejects.toThrow('A job with the same id already exists (id=a)')
    open()
    await Promise.all(jobs)
    expect(limiter.counts().DONE).toBe(3)
    expect(() => limiter.jobs('LOST' as never)).toThrow('status must be one of RECEIVED, QUEUED')
    expect(limiter.jobStatus('x')).toBeNull()
  })

  test('by callback, and wrapped with this and options', async () => {
    const limiter = new Bottleneck()
    const results: unknown[] = []
    await new Promise<void>((resolve) => {
      void limiter.submit(
        (n: number, back: (error: unknown, m: number) => void) => back(null, n + 1),
        1,
        (error, m) => resolve(void results.push(error, m)),
      )
    })
    await new Promise<void>((resolve) => {
      void limiter.submit(
        (back: (error: unknown, m?: number) => void) => back(new Error('no')),
        (error) => resolve(void results.push((error as Error).message)),
      )
    })
    expect(results).toEqual([null, 2, 'no'])
    const counter = {
      n: 1,
      add: limiter.wrap(function (this: unknown, m: number) {
        return Promise.resolve((this as { n: number }).n + m)
      }),
    }
    expect(await counter.add(2)).toBe(3)
    const double = limiter.wrap((n: number) => Promise.resolve(2 * n))
    expect(await double.withOptions({ priority: 1 }, 4)).toBe(8)
  })

  test('of a chained limiter need a place in both', async () => {
    const account = new Bottleneck({ maxConcurrent: 1 })
    const [a, b] = [new Bottleneck().chain(account), new Bottleneck().chain(account)]
    const { open, work } = gate()
    const first = a.schedule(work)
    await expect.poll(() => account.counts().EXECUTING).toBe(1)
    const second = fate(b.schedule(() => Promise.resolve('second')))
    await expect.poll(() => account.queued()).toBe(1)
    expect(second.now).toBe('pending')
    open()
    await first
    await expect.poll(() => second.now).toBe('ok: second')
  })
})

describe('a full queue', () => {
  /** The jobs that get through, by name, and how many were dropped. */
  async function through(strategy: Bottleneck.Strategy, jobs: readonly (readonly [string, number])[]) {
    const limiter = new Bottleneck({ maxConcurrent: 1, highWater: 2, strategy, penalty: 20 })
    const dropped: string[] = []
    limiter.on('dropped', ({ args }) => dropped.push(args[0] as string))
    const { open, work } = gate()
    const first = limiter.schedule(work)
    const calls = jobs.map(([name, priority]) =>
      fate(limiter.schedule({ priority }, (what: string) => Promise.resolve(what), name)),
    )
    await taken(limiter)
    open()
    await first
    await expect.poll(() => limiter.empty() && limiter.counts().EXECUTING + limiter.counts().RUNNING).toBe(0)
    await sleep(1)
    return { dropped, done: jobs.map(([name]) => name).filter((_, i) => calls[i]!.now.startsWith('ok')) }
  }

  const JOBS = [
    ['a', 5],
    ['b', 5],
    ['c', 5],
    ['urgent', 1],
    ['late', 9],
  ] as const

  test.each([
    ['LEAK: the oldest of the least urgent', { dropped: ['a', 'b', 'late'], done: ['c', 'urgent'] }],
    ['OVERFLOW: the new one', { dropped: ['c', 'urgent', 'late'], done: ['a', 'b'] }],
    [
      'OVERFLOW_PRIORITY: the oldest that is less urgent',
      { dropped: ['c', 'a', 'late'], done: ['b', 'urgent'] },
    ],
    ['BLOCK: all, for a while', { dropped: ['a', 'b', 'c', 'urgent', 'late'], done: [] }],
  ])('%s', async (name, expected) => {
    const chosen = Bottleneck.strategy[name.split(':')[0] as keyof typeof Bottleneck.strategy]
    const found = await through(chosen, JOBS)
    expect({ ...found, dropped: [...found.dropped].sort() }).toEqual({
      ...expected,
      dropped: [...expected.dropped].sort(),
    })
  })

  test('rejects, or with rejectOnDrop false never settles', async () => {
    const { work } = gate()
    const [loud, silent] = [true, false].map((rejectOnDrop) => {
      const limiter = new Bottleneck({ maxConcurrent: 1, highWater: 0, rejectOnDrop })
      void limiter.schedule(work)
      return fate(limiter.schedule(() => Promise.resolve('never')))
    })
    await expect.poll(() => loud!.now).not.toBe('pending')
    expect(loud!.now).toBe('error: This job has been dropped by Bottleneck')
    expect(silent!.now).toBe('pending')
  })
})

describe('a reservoir', () => {
  test('is used up, and refilled by hand', async () => {
    const limiter = new Bottleneck({ reservoir: 2 })
    const told: unknown[] = []
    limiter.on('depleted', (empty) => told.push(empty))
    const jobs = [1, 2, 3, 4].map((n) => fate(limiter.schedule(() => Promise.resolve(n))))
    await taken(limiter)
    await expect.poll(() => jobs[1]!.now).toBe('ok: 2')
    expect([jobs.map(({ now }) => now), await limiter.currentReservoir(), told]).toEqual([
      ['ok: 1', 'ok: 2', 'pending', 'pending'],
      0,
      [false],
    ])
    expect(await limiter.incrementReservoir(1)).toBe(1)
    await limiter.updateSettings({ reservoir: 5 })
    await expect.poll(() => jobs[3]!.now).toBe('ok: 4')
    expect([jobs[3]!.now, await limiter.currentReservoir()]).toEqual(['ok: 4', 4])
    await limiter.updateSettings({ reservoir: null })
    expect(await limiter.currentReservoir()).toBeNull()
    expect(await limiter.incrementReservoir(3)).toBe(3)
  })

  test('may be negative: the debt must be refilled before a job goes', async () => {
    const limiter = new Bottleneck({ reservoir: -1 })
    const level = () => limiter.currentReservoir()
    expect(await level()).toBe(-1)
    expect([await limiter.incrementReservoir(-4), await level()]).toEqual([-5, -5])
    const job = limiter.schedule({ weight: 2 }, () => Promise.resolve('done'))
    expect([await limiter.incrementReservoir(6), await level()]).toEqual([1, 1])
    await expect.poll(() => limiter.counts().QUEUED).toBe(1)
    await limiter.updateSettings({ reservoir: -3 })
    expect(await level()).toBe(-3)
    await limiter.updateSettings({ reservoir: 2 })
    expect([await job, await level()]).toEqual(['done', 0])
    await limiter.updateSettings({ reservoir: null })
    expect(await level()).toBe(null)
    await limiter.updateSettings({ reservoir: -2 })
    expect(await level()).toBe(-2)
  })

  test('is refreshed, and increased, by the clock', async () => {
    const refreshed = new Bottleneck({
      reservoir: 1,
      reservoirRefreshInterval: 20,
      reservoirRefreshAmount: 1,
    })
    const increased = new Bottleneck({
      reservoir: 0,
      reservoirIncreaseInterval: 20,
      reservoirIncreaseAmount: 1,
      reservoirIncreaseMaximum: 1,
    })
    for (const limiter of [refreshed, increased])
      expect(await Promise.all([1, 2, 3].map((n) => limiter.schedule(() => Promise.resolve(n))))).toEqual([
        1, 2, 3,
      ])
  })
})

describe('the limiter', () => {
  test('stops at once, or when all is done; later jobs are refused', async () => {
    const { open, work } = gate()
    const hard = new Bottleneck({ maxConcurrent: 1 })
    const running = fate(hard.schedule(work))
    const waiting = fate(hard.schedule(work))
    await taken(hard)
    await expect.poll(() => hard.counts().EXECUTING).toBe(1)
    const stopped = fate(hard.stop({ dropErrorMessage: 'gone', enqueueErrorMessage: 'too late' }))
    await expect(hard.schedule(work)).rejects.toThrow('too late')
    await expect(hard.stop()).rejects.toThrow('stop() has already been called')
    await expect.poll(() => waiting.now).not.toBe('pending')
    expect([running.now, waiting.now, stopped.now]).toEqual(['pending', 'error: gone', 'pending'])
    open()
    await expect.poll(() => stopped.now).toBe('ok: undefined')

    const soft = new Bottleneck({ maxConcurrent: 1, minTime: 5 })
    const jobs = [1, 2, 3].map((n) => soft.schedule(() => Promise.resolve(n)))
    await soft.stop({ dropWaitingJobs: false })
    expect(await Promise.all(jobs)).toEqual([1, 2, 3])
  })

  test('emits empty and idle, waits for async listeners, and reports those that fail', async () => {
    const limiter = new Bottleneck({ maxConcurrent: 1 })
    const told: string[] = []
    limiter.on('empty', () => told.push('empty')).on('idle', () => told.push('idle'))
    limiter.once('done', () => Promise.reject(new Error('a listener')))
    limiter.on('error', (error) => told.push((error as Error).message))
    await Promise.all([1, 2].map(() => limiter.schedule(() => sleep(1))))
    expect(told).toEqual(['empty', 'a listener', 'idle'])
    limiter.removeAllListeners()
    await limiter.schedule(() => sleep(1))
    expect(told).toHaveLength(3)
  })

  test.each(['debug', 'error'] as const)(
    'is not caught in an endless loop by a failing listener of %s',
    async (name) => {
      const limiter = new Bottleneck({ maxConcurrent: 1 })
      let calls = 0
      limiter.on(name, () => {
        calls++
        throw new Error('listener')
      })
      limiter.on('done', () => {
        throw new Error('another listener')
      })
      expect(await limiter.schedule(async () => 1)).toBe(1)
      expect(await limiter.schedule(async () => 2)).toBe(2)
      expect(calls).toBeGreaterThan(0)
    },
  )

  test('says what is wrong', async () => {
    expect(() => new Bottleneck(1 as never, 250)).toThrow('Bottleneck v2 takes a single object argument')
    expect(() => new Bottleneck({ datastore: 'mongo' })).toThrow('Invalid datastore type: mongo')
    expect(() => new Bottleneck({ store: memoryStore(), reservoir: 5 })).toThrow('cannot share a reservoir')
    expect(() => new Bottleneck().schedule('x' as never)).toThrow('the job must be a function, got ')
  })

  test.each<[options: object, words: string]>([
    [{ strategy: 'LEAK' }, "got 'LEAK'; did you mean Bottleneck.strategy.LEAK?"],
    [{ strategy: 9 }, 'LEAK (1), OVERFLOW (2), OVERFLOW_PRIORITY (4), BLOCK (3); got 9'],
    [{ Promise: 5 }, 'Promise must be a class of promises, got 5'],
    [
      { maxConcurrent: 0 },
      'maxConcurrent must be a number of at least 1, got 0: to hold all jobs back, set reservoir to 0',
    ],
    [
      { maxConcurrent: NaN },
      'maxConcurrent must be a number of at least 1, got NaN (is an environment variable unset?)',
    ],
    [{ maxConcurrent: '' }, 'maxConcurrent must be a number of at least 1, got the string'],
    [{ minTime: 'soon' }, "minTime must be a finite number, got the string 'soon'"],
    [{ minTime: Infinity }, 'minTime must be a finite number, got Infinity'],
    [{ reservoirRefreshInterval: 0 }, 'reservoirRefreshInterval must be a number of at least 1, got 0'],
    [{ highWater: {} }, 'highWater must be a finite number, got {}'],
  ])('says what is wrong with %j, and keeps what it had', async (options, words) => {
    expect(() => new Bottleneck(options)).toThrow(words)
    expect(() => new Bottleneck(options)).toThrow(Bottleneck.BottleneckError)
    expect(() => new Bottleneck.Group(options)).toThrow(words)
    const limiter = new Bottleneck({ maxConcurrent: 1 })
    await expect(limiter.updateSettings({ minTime: 1, ...options })).rejects.toThrow(words)
    await limiter.updateSettings({ minTime: 2 })
    expect(await limiter.schedule(() => Promise.resolve(1))).toBe(1)
  })

  test('accepts what Bottleneck accepts: numbers as strings, prefixes of them, and several forms of no bound', async () => {
    const options = { maxConcurrent: '2.5', minTime: '-1', highWater: -1, reservoir: Infinity, strategy: '2' }
    const limiter = new Bottleneck(options as never)
    const jobs = [undefined, '2', 0.5, 1.5, 0].map((weight) =>
      limiter.schedule({ weight: weight as never, expiration: Infinity }, () => Promise.resolve(weight)),
    )
    expect(await Promise.all(jobs)).toEqual([undefined, '2', 0.5, 1.5, 0])
    expect(await limiter.done()).toBe(5)
    expect([await limiter.running(), await limiter.check('1' as never), await limiter.check(NaN)]).toEqual([
      0,
      true,
      false,
    ])
    const none = { maxConcurrent: Infinity, highWater: Infinity, minTime: null, penalty: undefined }
    expect(await new Bottleneck(none).schedule(() => Promise.resolve(1))).toBe(1)
    const batcher = new Bottleneck.Batcher({ maxSize: '2' as never })
    await Promise.all([batcher.add(1), batcher.add(2)])
  })

  test.each([
    [{ weight: -1 }, 'weight must be a number of at least 0, got -1'],
    [{ weight: NaN }, 'weight must be a number of at least 0, got NaN'],
    [{ expiration: NaN }, 'expiration must be a finite number, got NaN'],
  ])('rejects a job of %j, and goes on', async (options, words) => {
    const limiter = new Bottleneck({ maxConcurrent: 1 })
    await expect(limiter.schedule(options, () => Promise.resolve(1))).rejects.toThrow(words)
    const told: unknown[] = []
    await limiter.submit(
      options,
      (back: (error: unknown) => void) => back(null),
      (error: unknown) => told.push(String(error)),
    )
    expect(told).toEqual([expect.stringContaining(words)])
    expect(await limiter.schedule(() => Promise.resolve(2))).toBe(2)
    expect(limiter.counts()).toEqual({ RECEIVED: 0, QUEUED: 0, RUNNING: 0, EXECUTING: 0 })
  })

  test('runs each job and its retries in the async context of its caller', async () => {
    const storage = new AsyncLocalStorage<number>()
    const limiter = new Bottleneck({ maxConcurrent: 1 })
    limiter.on('failed', (_, { retryCount }) => (retryCount === 0 ? 1 : undefined))
    const seen: unknown[] = []
    const job = (fails: boolean) => async () => {
      await undefined
      seen.push(storage.getStore())
      if (fails && seen.length < 2) throw new Error('once')
    }
    await Promise.all([1, 2, 3].map((n) => storage.run(n, () => limiter.schedule(job(n === 1)))))
    await storage.run(4, () => limiter.wrap(job(false))())
    expect(seen).toEqual([1, 1, 2, 3, 4])
  })

  test('shares its limits by a store of llmiter', async () => {
    const store = memoryStore()
    const [a, b] = [1, 2].map(() => new Bottleneck({ id: 'shared', minTime: 20, store })) as [
      Bottleneck,
      Bottleneck,
    ]
    const errors: unknown[] = []
    for (const limiter of [a, b]) limiter.on('error', (error) => errors.push(error))
    const starts = await Promise.all(
      [a, b, a].map((limiter) => limiter.schedule(async () => performance.now())),
    )
    expect(starts).toHaveLength(3)
    await Promise.all([a.disconnect(), b.disconnect()])
    expect(errors).toEqual([])
  })
})

test('a group makes a limiter for each key, and forgets those that are not used', async () => {
  const group = new Bottleneck.Group({ maxConcurrent: 1, timeout: 20 })
  const made: string[] = []
  group.on('created', (limiter, key) => made.push(`${key} ${limiter.id}`))
  expect(group.key('a')).toBe(group.key('a'))
  await group.key('b').schedule(() => Promise.resolve())
  expect([made, group.keys()]).toEqual([
    ['a group-key-a', 'b group-key-b'],
    ['a', 'b'],
  ])
  expect(group.limiters()[0]).toEqual({ key: 'a', limiter: group.key('a') })
  expect([await group.deleteKey('a'), await group.deleteKey('a')]).toEqual([true, false])
  await expect.poll(() => group.keys()).toEqual([])
  await group.disconnect()
})

test.each(['constructor', '__proto__', 'toString', ''])('a group takes the key %j', async (key) => {
  const group = new Bottleneck.Group()
  expect(await group.key(key).schedule(() => Promise.resolve(1))).toBe(1)
  expect([group.keys(), group.key(key) === group.key(key)]).toEqual([[key], true])
  expect([await group.deleteKey(key), await group.deleteKey(key)]).toEqual([true, false])
  await group.disconnect()
})

test('a batcher collects by number and by time', async () => {
  const batcher = new Bottleneck.Batcher({ maxSize: 2, maxTime: 10 })
  const batches: unknown[] = []
  batcher.on('batch', (batch) => batches.push(batch))
  await Promise.all([1, 2, 3].map((n) => batcher.add(n)))
  expect(batches).toEqual([[1, 2], [3]])
})

test('types are those that code for Bottleneck names', () => {
  const limiter = new Bottleneck()
  expectTypeOf(limiter.schedule((n: number) => Promise.resolve(String(n)), 1)).resolves.toBeString()
  expectTypeOf(limiter.wrap((n: number) => Promise.resolve(n)))
    .parameter(0)
    .toBeNumber()
  expectTypeOf<Bottleneck.JobOptions>().toHaveProperty('weight')
  expectTypeOf<Bottleneck.EventInfoDropped>().toHaveProperty('promise')
  // @ts-expect-error: the function takes a number
  limiter.schedule((n: number) => Promise.resolve(n), 'one').catch(() => {})
})
