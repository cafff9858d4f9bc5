// The provider limits the number of calls in flight over all processes. What one process learns from refusals
// applies to all.

import { type LimiterOptions, reasonWords } from 'llmiter'
import type { MemoryStoreOptions } from 'llmiter/testing'
import { describe, expect, test } from 'vitest'
import { fate } from '../helpers.ts'
import { fleetRig } from './redis-harness.ts'

const tooMany = () => Object.assign(new Error('too many concurrent requests'), { status: 429, headers: {} })

/** Processes with endless calls of a second at a provider that accepts `most` at once. */
function world(
  processes: number,
  most: (now: number) => number,
  options: { limiter?: Partial<LimiterOptions>; store?: MemoryStoreOptions; answerMs?: number } = {},
) {
  const { limiter, store, answerMs = 1000 } = options
  const rig = fleetRig(processes, {
    limiter: { requestsPerMinute: 6000, ...limiter },
    ...(store && { store }),
  })
  const { clock, fleet } = rig
  const refused: { at: number; by: number }[] = []
  const done: { at: number; by: number }[] = []
  const gates: string[] = []
  const seen = { inFlight: 0 }
  const start = (i: number, calls = 5000) => {
    for (let k = 0; k < calls; k++)
      fleet[i]!.run(async () => {
        const accepted = seen.inFlight < most(clock.now())
        if (accepted) seen.inFlight++
        else refused.push({ at: clock.now(), by: i })
        await clock.sleep(20)
        if (!accepted) throw tooMany()
        await clock.sleep(answerMs - 20)
        seen.inFlight--
        done.push({ at: clock.now(), by: i })
      }).catch(() => {})
  }
  for (const each of fleet) each.on('gate', ({ state }) => gates.push(state))
  const within = (list: { at: number }[], from: number, to: number) =>
    list.filter(({ at }) => at >= from && at < to).length
  return { ...rig, refused, done, gates, seen, start, within }
}

describe('the provider accepts ten calls at once:', () => {
  test.each([
    ['no limit of one’s own', {}, true],
    ['a larger limit of one’s own', { maxConcurrent: 40 }, true],
    ['no pub/sub', {}, false],
  ])('eight processes find it as one would (%s)', async (_, limiter, pubsub) => {
    const { clock, fleet, start, refused, done, within, gates } = world(8, () => 10, {
      limiter,
      store: { pubsub },
    })
    fleet.forEach((_, i) => start(i))
    await clock.advanceTo(120_000)
    // One process: 2 at once, then one for each that is tried above ten.
    expect(within(refused, 0, 10_000)).toBeLessThan(8)
    expect(within(refused, 10_000, 120_000)).toBeLessThan(10)
    // Ten at once make ten a second; a free slot waits for its process's next request.
    expect(within(done, 10_000, 120_000) / 110).toBeGreaterThan(8.8)
    expect(gates).toEqual([])
    const calls = fleet.map((_, i) => done.filter(({ by }) => by === i).length)
    expect(Math.max(...calls) / Math.min(...calls)).toBeLessThan(1.5)
  })

  test('more processes than calls: each gets its turn', async () => {
    const { clock, fleet, start, refused, done } = world(20, () => 10)
    fleet.forEach((_, i) => start(i))
    await clock.advanceTo(120_000)
    expect(refused.length).toBeLessThan(12)
    expect(done.length / 120).toBeGreaterThan(8)
    for (const i of fleet.keys()) expect(done.filter(({ by }) => by === i).length).toBeGreaterThan(20)
  })

  test('a refused process may use what the others leave', async () => {
    const { clock, start, refused, done, within } = world(4, () => 10)
    for (let i = 0; i < 4; i++) start(i, i === 0 ? 5000 : 40)
    await clock.advanceTo(120_000)
    expect(within(refused, 30_000, 120_000)).toBeLessThan(6)
    expect(within(done, 60_000, 120_000) / 60).toBeGreaterThan(8.8)
  })

  test('a process that joins later learns it without a refusal', async () => {
    const { clock, start, refused, done } = world(2, () => 10)
    start(0)
    await clock.advanceTo(20_000)
    start(1)
    await clock.advanceTo(60_000)
    expect(refused.filter(({ by }) => by === 1).length).toBeLessThan(3)
    expect(done.filter(({ by }) => by === 1).length).toBeGreaterThan(100)
  })
})

describe('a call that waits for another one to end is told so, not that it waits for the store:', () => {
  test.each([
    ['refusals lowered the number', {}, true],
    ['refusals lowered the number below the configured one', { maxConcurrent: 40 }, true],
    ['the configured number is used up', { maxConcurrent: 8 }, false],
  ])('%s', async (_, limiter, lowered) => {
    const { clock, fleet, start } = world(4, () => 10, { limiter })
    fleet.forEach((_, i) => start(i))
    await clock.advanceTo(60_000)
    for (const each of fleet) {
      // The rest of the time, a call has ended, and the store has not given its place to another one yet.
      const most = each.stats().boundBy[0]!
      const { kind, amount, learned, share } = most
      expect(kind).toBe('concurrency')
      expect(share).toBeGreaterThan(0.75)
      expect(learned).toBe(lowered ? amount : undefined)
      expect(Math.abs(amount! - (lowered ? 10 : 8))).toBeLessThanOrEqual(lowered ? 1 : 0)
      const why = lowered ? ', lowered since the provider refused more' : ''
      expect(reasonWords(most)).toBe(`a free slot (at most ${amount} in flight${why})`)
    }
  })

  test('another process has them all: the figures name it, and so does the error of a call that waited too long', async () => {
    const { clock, fleet, start } = world(2, () => 100, { limiter: { maxConcurrent: 3 }, answerMs: 30_000 })
    start(0, 3)
    await clock.advance(1000)
    const late = fate(fleet[1]!.run(() => 1, { maxWaitMs: 5000 }))
    await clock.advance(4000)
    expect(fleet[1]!.stats()).toMatchObject({
      waitingOn: 'concurrency',
      why: { kind: 'concurrency', amount: 3 },
    })
    await clock.advance(1000)
    expect(late.error).toMatchObject({ code: 'WAIT_TIMEOUT', waitingOn: 'concurrency' })
    expect(late.now).toContain('it waited for a call in flight to end')
    expect(fleet[1]!.stats()).not.toHaveProperty('waitingOn')
  })

  test('but a call that comes while there is room waits for the store', async () => {
    const { clock, fleet, start } = world(2, () => 100, { limiter: { maxConcurrent: 50 } })
    start(0, 1)
    expect(fleet[0]!.stats()).toMatchObject({ waitingOn: 'store', why: { kind: 'store' } })
    await clock.advance(100)
    start(0, 20)
    expect(fleet[0]!.stats().why?.kind).not.toBe('concurrency')
    await clock.advance(1000)
    expect(fleet[0]!.stats().waiting).toBe(0)
  })
})

test('it accepts fewer, then more again: all follow', async () => {
  const most = (now: number) => (now > 40_000 && now < 80_000 ? 8 : 30)
  const { clock, fleet, start, refused, done, within } = world(8, most)
  fleet.forEach((_, i) => start(i))
  await clock.advanceTo(300_000)
  expect(within(done, 10_000, 40_000) / 30).toBeGreaterThan(25)
  // One for each that is too many.
  expect(within(refused, 40_000, 50_000)).toBeLessThan(30)
  expect(within(done, 50_000, 80_000) / 30).toBeGreaterThan(6.5)
  expect(within(done, 290_000, 300_000)).toBeGreaterThan(within(done, 70_000, 80_000) + 10)
})

test('short calls, too', async () => {
  const { clock, fleet, start, refused, done } = world(8, () => 10, { answerMs: 100 })
  fleet.forEach((_, i) => start(i))
  await clock.advanceTo(60_000)
  expect(done.length / 60).toBeGreaterThan(35)
  expect(refused.length).toBeLessThan(30)
})

test('one that is refused while the calls of others are in flight waits for one of them to end', async () => {
  const { clock, start, refused, done, gates } = world(3, () => 2, { answerMs: 5000 })
  start(0, 1)
  start(1, 1)
  await clock.advance(1000)
  start(2, 1)
  await clock.advanceTo(4900)
  expect([refused.length, done.length]).toEqual([1, 0])
  await clock.advanceTo(12_000)
  expect([refused.length, done.length]).toEqual([1, 3])
  expect(gates).toEqual([])
})

describe('trouble', () => {
  test('a request is lost, and with it the refusal of a call as too many: it is reported again', async () => {
    const { clock, store, start, refused, seen } = world(2, () => 4, { answerMs: 60_000 })
    start(0, 4)
    await clock.advance(1000)
    start(0, 1)
    while (refused.length === 0) await clock.advance(1)
    store.cut([0])
    await clock.advance(200)
    store.mend()
    await clock.advance(1000)
    start(1, 3)
    await clock.advance(10_000)
    expect([seen.inFlight, refused.length]).toEqual([4, 1])
  })

  test('half of the requests are lost, but not the calls that ended: they count until one more is tried', async () => {
    const accepted = async (lossy: boolean) => {
      const { clock, store, start, seen } = world(1, (now) => (now < 3000 ? 4 : 100))
      start(0)
      await clock.advanceTo(5000)
      for (let i = 0; i < 120; i++) {
        if (lossy) store.cut('all')
        await clock.advance(600)
        store.mend()
        await clock.advance(400)
      }
      return seen.inFlight
    }
    expect(await accepted(true)).toBeGreaterThan(0.7 * (await accepted(false)))
  })

  test('the store is flushed: found again with a refusal for each call that was too many', async () => {
    const { clock, fleet, store, start, refused, done, within } = world(8, () => 10)
    fleet.forEach((_, i) => start(i))
    await clock.advanceTo(30_000)
    store.flush()
    await clock.advanceTo(90_000)
    expect(within(refused, 30_000, 90_000)).toBeLessThan(25)
    expect(within(done, 40_000, 90_000) / 50).toBeGreaterThan(8)
  })

  test('the store is away: each keeps to its part, and finds out by itself', async () => {
    const { clock, fleet, store, start, refused, done, within } = world(4, () => 10, {
      store: { processes: 4 },
    })
    fleet.forEach((_, i) => start(i))
    await clock.advanceTo(30_000)
    store.cut('all')
    await clock.advanceTo(70_000)
    store.mend()
    await clock.advanceTo(160_000)
    expect(within(refused, 30_000, 70_000)).toBeLessThan(20)
    expect(within(done, 40_000, 70_000) / 30).toBeGreaterThan(6)
    expect(within(done, 130_000, 160_000) / 30).toBeGreaterThan(8)
  })

  test('a process is gone with its calls: the others get their places', async () => {
    const { clock, fleet, kill, start, seen, done, within } = world(4, () => 10)
    fleet.forEach((_, i) => start(i))
    await clock.advanceTo(30_000)
    kill(0)
    await clock.advanceTo(90_000)
    expect(seen.inFlight).toBeLessThan(11)
    expect(within(done, 60_000, 90_000) / 30).toBeGreaterThan(8)
  })
})
