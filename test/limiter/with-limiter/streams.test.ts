// Streams: ways to read without the iterator, unusual streams, refusals in mid-stream, usage at the end.

import { EventEmitter } from 'node:events'
import { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { withLimiter } from 'llmiter'
import { each, EMPTY, fate, leave, leftovers, rateLimited, rig } from '../../helpers.ts'
import { type Made, numbers, opened, OwnStream, SdkStream, settled, source } from './streams.ts'

test('tee and toReadableStream of an SDK stream are seen', async () => {
  const teed = await opened(() => new SdkStream(() => numbers()))
  const [left, right] = (teed.stream as SdkStream<number>).tee()
  await each(left, () => expect(teed.limiter.stats().inFlight).toBe(1))
  await each(right)
  expect(teed.left()).toEqual(EMPTY)

  const web = await opened(() => new SdkStream(() => numbers()))
  const stream = (web.stream as SdkStream<number>).toReadableStream()
  await each(stream as unknown as Made, () => expect(web.limiter.stats().inFlight).toBe(1))
  expect(web.left()).toEqual(EMPTY)

  const cancelled = await opened(() => new SdkStream(() => numbers()))
  await (cancelled.stream as SdkStream<number>).toReadableStream().cancel()
  expect(cancelled.left()).toEqual(EMPTY)
})

test.each([
  ['ReadableStream', () => new ReadableStream(source())],
  ['subclass', () => new OwnStream(source())],
] as const)('%s: tee, pipeThrough, cancel and a reader of its own are seen', async (_, make) => {
  const open = async () => {
    const it = await opened(make as never)
    return { ...it, stream: it.stream as unknown as ReadableStream }
  }
  const teed = await open()
  const [a, b] = teed.stream.tee()
  await each(a as unknown as Made)
  await each(b as unknown as Made)
  expect(teed.left()).toEqual(EMPTY)

  const piped = await open()
  await each(piped.stream.pipeThrough(new TransformStream()) as unknown as Made)
  expect(piped.left()).toEqual(EMPTY)

  const cancelled = await open()
  await cancelled.stream.cancel('enough')
  expect(cancelled.left()).toEqual(EMPTY)

  const own = await open()
  const reader = own.stream.getReader()
  while (!(await reader.read()).done);
  expect(own.left()).toEqual(EMPTY)
})

test('a stream of bytes can be read into a buffer of the reader', async () => {
  const { stream, left } = await opened(
    () => new ReadableStream(source(false, 'bytes') as never) as unknown as Made,
  )
  const reader = (stream as unknown as ReadableStream).getReader({ mode: 'byob' })
  const seen: number[] = []
  for (
    let result = await reader.read(new Uint8Array(8));
    !result.done;
    result = await reader.read(new Uint8Array(8))
  )
    seen.push(...result.value)
  expect([seen, left()]).toEqual([[1, 2, 3], EMPTY])
})

test('streams that are over, locked or frozen already hold nothing and disturb nobody', async () => {
  const over = Readable.from([])
  over.resume()
  await new Promise((resolve) => over.once('close', resolve))
  const locked = new ReadableStream()
  locked.getReader()
  const frozen = Object.freeze({ [Symbol.asyncIterator]: () => numbers() })
  for (const stream of [over, locked, frozen]) {
    const { clock, limiter } = rig()
    expect(await withLimiter(async () => stream as never, limiter)()).toBe(stream)
    expect(leftovers(limiter, clock)).toEqual(EMPTY)
  }
})

test('an emitter like the helpers of the SDKs: over at its end, its error events stay its own', async () => {
  const { clock, limiter } = rig()
  const helper = Object.assign(new EventEmitter(), { done: () => Promise.resolve() })
  await withLimiter(async () => helper, limiter)()
  expect([limiter.stats().inFlight, helper.listenerCount('error')]).toEqual([1, 0])
  helper.emit('end')
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
})

test('a refusal in the middle of a stream reaches the reader, and closes the gate', async () => {
  const { clock, limiter } = rig()
  const error = Object.assign(new Error('Rate limit reached'), {
    status: undefined,
    code: 'rate_limit_exceeded',
  })
  const stream = await withLimiter(
    async () =>
      (async function* () {
        yield 1
        throw error
      })(),
    limiter,
  )()
  await expect(
    (async () => {
      await each(stream)
    })(),
  ).rejects.toBe(error)
  expect(limiter.stats()).toMatchObject({ gate: 'closed', refused: 1, parked: 0, inFlight: 0 })
  const readable = await withLimiter(
    async () =>
      Readable.from(
        (async function* () {
          yield 1
          throw rateLimited(1000)
        })(),
      ),
    rig().limiter,
  )()
  await expect(
    (async () => {
      await each(readable)
    })(),
  ).rejects.toThrow('429')
  void clock
})

test('a Readable that fails with a refusal is no success', async () => {
  const { limiter } = rig()
  const stream = await withLimiter(
    async () =>
      Readable.from(
        (async function* () {
          yield 1
          throw rateLimited(1000)
        })(),
      ),
    limiter,
  )()
  await expect(
    (async () => {
      await each(stream)
    })(),
  ).rejects.toThrow('429')
  await settled()
  expect(limiter.stats()).toMatchObject({ gate: 'closed', refused: 1, inFlight: 0 })
})

test('usage at the end of a stream settles the reserve', async () => {
  const { limiter } = rig({ limits: [{ of: 'tokens', amount: 1000, per: '1h' }] })
  const ask = withLimiter(
    async () =>
      (async function* () {
        yield { choices: [{}] }
        yield { choices: [], usage: { total_tokens: 30 } }
      })(),
    limiter,
    { cost: () => ({ tokens: 900 }) },
  )
  await each(await ask())
  expect(limiter.stats().limits[0]!.available).toBe(970)
  const left = await ask()
  expect(limiter.stats().limits[0]!.available).toBe(70)
  await leave(left)
  expect(limiter.stats().limits[0]!.available).toBe(70)
})

test('usage of the user sees each chunk; one that throws is reported', async () => {
  const { limiter } = rig({ limits: [{ of: 'tokens', amount: 1000, per: '1h' }] })
  let seen = 0
  const ask = withLimiter(async () => numbers(), limiter, {
    cost: () => ({ tokens: 500 }),
    usage: (() => ({ tokens: ++seen * 10 })) as never,
  })
  await each(await ask())
  expect([seen, limiter.stats().limits[0]!.available]).toEqual([3, 970])
})

test('a stream that is forgotten is released when it is collected', async () => {
  const { limiter } = rig({ maxConcurrent: 1 })
  const { setFlagsFromString } = await import('node:v8')
  const { runInNewContext } = await import('node:vm')
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void
  const forgotten = fate(withLimiter(async () => new ReadableStream(), limiter)().then(() => 'open'))
  for (let i = 0; i < 50 && limiter.stats().inFlight > 0; i++) {
    await settled()
    gc()
  }
  expect([forgotten.now, limiter.stats().inFlight]).toEqual(['ok: open', 0])
})
