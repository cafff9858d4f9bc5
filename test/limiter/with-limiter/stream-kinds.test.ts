// A call that returns a stream ends with the stream: read to its end, failed, left or forgotten.

import { expect, test } from 'vitest'
import { withLimiter } from 'llmiter'
import { each, EMPTY, leave, leftovers, rig } from '../../helpers.ts'
import { kinds, opened, settled } from './streams.ts'

test.each(kinds)('%s: held while it is read, over at its end', async (_, make) => {
  const { limiter, stream, left } = await opened(make)
  let held = 0
  await each(stream, () => (held += limiter.stats().inFlight))
  await settled()
  expect([held, left()]).toEqual([3, EMPTY])
})

test.each(kinds)('%s: over when it fails, and the failure is the original', async (_, make) => {
  const { limiter, stream, left } = await opened(make, true)
  const ends: boolean[] = []
  limiter.on('finish', ({ ok }) => ends.push(ok))
  const reading = (async () => {
    await each(stream)
  })()
  await expect(reading).rejects.toThrow('broken off')
  await settled()
  expect([left(), ends]).toEqual([EMPTY, [false]])
})

test.each(kinds)('%s: over when it is left early', async (_, make) => {
  const { stream, left } = await opened(make)
  await leave(stream)
  await settled()
  expect(left()).toEqual(EMPTY)
})

test.each(kinds)('%s: over when its reader throws', async (_, make) => {
  const { stream, left } = await opened(make)
  const reading = (async () => {
    await each(stream, () => {
      throw new Error('mine')
    })
  })()
  await expect(reading).rejects.toThrow('mine')
  await settled()
  expect(left()).toEqual(EMPTY)
})

test.each(kinds)(
  '%s: never read, it gives its ticket back after streamIdleMs and says so',
  async (_, make) => {
    const { clock, limiter } = rig({ maxConcurrent: 1 })
    const stuck: string[] = []
    limiter.on('stuck', ({ reason }) => stuck.push(reason))
    const stream = await withLimiter(async () => make(), limiter, { streamIdleMs: '1m' })()
    await clock.advance(59_999)
    expect([limiter.stats().inFlight, stuck.length]).toEqual([1, 0])
    await clock.advance(1)
    expect([leftovers(limiter, clock), stuck.length]).toEqual([EMPTY, 1])
    // It can still be read.
    let read = 0
    await each(stream, () => read++)
    await settled()
    expect([read, leftovers(limiter, clock)]).toEqual([3, EMPTY])
  },
)

test.each(kinds)('%s: read slowly for an hour, it keeps its ticket', async (_, make) => {
  const { clock, limiter, stream, left } = await opened(make)
  const stuck: string[] = []
  limiter.on('stuck', ({ reason }) => stuck.push(reason))
  await each(stream, () => clock.advance(200_000))
  await settled()
  expect([stuck, left()]).toEqual([[], EMPTY])
})

test.each(kinds)('%s: stays what it is', async (_, make) => {
  const { original, stream } = await opened(make)
  expect(Object.getPrototypeOf(stream)).toBe(Object.getPrototypeOf(original))
  await each(stream)
})
