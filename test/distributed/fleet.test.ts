// Many limiters, one limit: what they reach together, and what happens to it when the store or a process is in trouble.

import { describe, expect, test } from 'vitest'
import { between, fleetRig, mostIn } from './redis-harness.ts'

const MINUTE = 60_000
const all = (count: number) => Array.from({ length: count }, (_, i) => i)

describe('together', () => {
  test.each([
    [1, 600],
    [4, 600],
    [20, 600],
    [20, 6000],
    [20, 59.5],
    [1, 12_000],
  ])('%i processes use a limit of %d a minute, and not one more', async (processes, perMinute) => {
    const rig = fleetRig(processes, { limiter: { requestsPerMinute: perMinute } })
    rig.backlog((3 * perMinute) / processes + 10)
    await rig.clock.advanceTo(3 * MINUTE)
    expect(mostIn(rig.times, MINUTE)).toBeLessThanOrEqual(Math.ceil(perMinute))
    expect(between(rig.times, MINUTE, 3 * MINUTE)).toBeGreaterThanOrEqual(Math.floor(2 * perMinute * 0.997))
    expect(rig.store.questions / 180 / processes).toBeLessThanOrEqual(4)
    // No process is left with less than half of its part.
    if (perMinute >= 600) expect(Math.min(...rig.by)).toBeGreaterThan((1.5 * perMinute) / processes)
  })

  test('no process asks the store more than four times in any second', async () => {
    const rig = fleetRig(1, { limiter: { requestsPerMinute: 60_000 } })
    let asked = 0
    let most = 0
    rig.backlog(30_000)
    for (let second = 0; second < 20; second++) {
      await rig.clock.advance(1000)
      most = Math.max(most, rig.store.questions - asked)
      asked = rig.store.questions
    }
    expect(most).toBeLessThanOrEqual(4)
    expect(asked / rig.times.length).toBeLessThan(0.005)
  })

  test('a lone call goes at once', async () => {
    const rig = fleetRig(3, { limiter: { requestsPerMinute: 60 } })
    rig.backlog(1, [0])
    await rig.clock.advance(3)
    expect(rig.times).toEqual([2])
  })

  test('calls that come by themselves hardly wait, though there are only four questions a second', async () => {
    const rig = fleetRig(2, { limiter: { requestsPerMinute: 3000 } })
    const waits: number[] = []
    for (const limiter of rig.fleet)
      limiter.on('issue', ({ waitedMs }) => rig.clock.now() > 3000 && waits.push(waitedMs))
    for (let k = 0; k < 400; k++) {
      rig.backlog(1)
      await rig.clock.advance(50 * (0.5 + rig.clock.random()))
    }
    await rig.clock.advance(1000)
    expect(rig.times).toHaveLength(800)
    waits.sort((a, b) => a - b)
    expect(waits[Math.floor(0.5 * waits.length)]).toBeLessThan(30)
    expect(waits[Math.floor(0.95 * waits.length)]).toBeLessThan(100)
  })

  test('a process without work returns everything, leaves, and sets no timer', async () => {
    const rig = fleetRig(2, { limiter: { requestsPerMinute: 600 } })
    rig.backlog(30)
    await rig.clock.advance(5 * MINUTE)
    expect(rig.times).toHaveLength(60)
    expect(rig.clock.pendingTimers).toBe(0)
    const { questions } = rig.store
    await rig.clock.advance(60 * MINUTE)
    expect(rig.store.questions).toBe(questions)
  })

  test('a process that stops returns what it holds', async () => {
    const rig = fleetRig(2, { limiter: { requestsPerMinute: 600 } })
    rig.backlog(1000)
    await rig.clock.advanceTo(MINUTE)
    rig.fleet[0]!.stop()
    await rig.clock.advanceTo(2 * MINUTE)
    expect(between(rig.times, MINUTE, 2 * MINUTE)).toBeGreaterThanOrEqual(598)
  })
})

describe('in trouble', () => {
  const LIMITS = [600, 1210, 10]

  /** Runs for four minutes; what happens, happens after one. */
  async function run(perMinute: number, happens: (rig: ReturnType<typeof fleetRig>) => Promise<void>) {
    const rig = fleetRig(20, { limiter: { requestsPerMinute: perMinute } })
    rig.backlog(Math.ceil(perMinute * 0.9) + 5)
    await rig.clock.advanceTo(MINUTE)
    await happens(rig)
    await rig.clock.advanceTo(4 * MINUTE)
    expect(mostIn(rig.times, MINUTE)).toBeLessThanOrEqual(perMinute + 1)
    return rig
  }
  const part = (times: readonly number[], from: number, to: number, perMinute: number) =>
    between(times, from * 1000, to * 1000) / ((perMinute * (to - from)) / 60)

  test.each(LIMITS)('the store is away for 30 s: nobody exceeds %d, and all goes on', async (perMinute) => {
    const { times } = await run(perMinute, async ({ clock, store }) => {
      store.cut('all')
      await clock.advance(30_000)
      store.mend()
    })
    // Of ten a minute too few go in these seconds to be a share.
    if (perMinute > 100) expect(part(times, 64, 90, perMinute)).toBeGreaterThan(0.97)
    // Tickets are whole: of ten a minute 14 or 15 go in this time.
    const due = (88 * perMinute) / 60
    expect(between(times, 92_000, 180_000)).toBeGreaterThanOrEqual(Math.floor(0.985 * due))
  })

  test.each(LIMITS)('the store is away for 90 s, longer than a window of %d', async (perMinute) => {
    const { times } = await run(perMinute, async ({ clock, store }) => {
      store.cut('all')
      await clock.advance(90_000)
      store.mend()
    })
    if (perMinute > 100) expect(part(times, 152, 220, perMinute)).toBeGreaterThan(0.985)
  })

  test.each([1, 5, 10, 19])(
    '%d of 20 are cut off soon after a burst: it counts for them all',
    async (cut) => {
      for (const at of [20_000, 45_000]) {
        const rig = fleetRig(20, { limiter: { requestsPerMinute: 600 } })
        rig.backlog(150)
        await rig.clock.advanceTo(at)
        rig.store.cut(all(cut))
        await rig.clock.advance(50_000)
        rig.store.mend()
        await rig.clock.advanceTo(4 * MINUTE)
        expect(mostIn(rig.times, MINUTE)).toBeLessThanOrEqual(601)
        expect(part(rig.times, 10, 150, 600)).toBeGreaterThan(0.985)
      }
    },
  )

  test.each(LIMITS)('19 of 20 are cut off, with a limit of %d', async (perMinute) => {
    const { times } = await run(perMinute, async ({ clock, store }) => {
      store.cut(all(19))
      await clock.advance(MINUTE)
      store.mend()
    })
    if (perMinute > 100) expect(part(times, 64, 220, perMinute)).toBeGreaterThan(0.985)
  })

  test.each(LIMITS)('one of 20 is cut off, with a limit of %d', async (perMinute) => {
    const { times } = await run(perMinute, async ({ clock, store }) => {
      store.cut([4])
      await clock.advance(40_000)
      store.mend()
    })
    if (perMinute > 100) expect(part(times, 62, 220, perMinute)).toBeGreaterThan(0.985)
  })

  test('a store that answers in time, though always late, is back all the same', async () => {
    const rig = fleetRig(4, {
      limiter: { requestsPerMinute: 600 },
      store: { lagMs: 800, pubsub: false },
    })
    const said: string[] = []
    rig.fleet[0]!.on('store', ({ state }) => said.push(state))
    rig.backlog(600)
    await rig.clock.advanceTo(30_000)
    rig.store.cut('all')
    await rig.clock.advance(20_000)
    rig.store.mend()
    await rig.clock.advanceTo(4 * MINUTE)
    expect(said).toEqual(['down', 'up'])
    expect(mostIn(rig.times, MINUTE)).toBeLessThanOrEqual(601)
    expect(part(rig.times, 60, 200, 600)).toBeGreaterThan(0.95)
  })

  test.each(LIMITS)('the store is flushed, twice, with a limit of %d', async (perMinute) => {
    const { times } = await run(perMinute, async ({ clock, store }) => {
      store.flush()
      await clock.advance(40_000)
      store.flush()
    })
    if (perMinute > 100) expect(part(times, 62, 220, perMinute)).toBeGreaterThan(0.985)
  })

  test.each(LIMITS)(
    'the store is restarted with nothing after 10 s, with a limit of %d',
    async (perMinute) => {
      const { times } = await run(perMinute, async ({ clock, store }) => {
        store.cut('all')
        await clock.advance(10_000)
        store.flush()
        store.mend()
      })
      if (perMinute > 100) expect(part(times, 73, 220, perMinute)).toBeGreaterThan(0.985)
    },
  )

  test.each([1, 15])('%i of 20 die: what they held is lost, 0.3 s of theirs at most', async (count) => {
    const { times } = await run(600, async ({ kill }) => all(count).forEach(kill))
    expect(between(times, MINUTE, 2 * MINUTE)).toBeGreaterThanOrEqual(
      600 - Math.ceil((count * (0.3 * 10)) / 20) - 2,
    )
  })

  test('a fleet that has never reached the store waits, or uses `processes`', async () => {
    const waits = fleetRig(1, { limiter: { requestsPerMinute: 600 } })
    waits.store.cut('all')
    waits.backlog(10)
    await waits.clock.advance(10_000)
    expect(waits.times).toEqual([])
    waits.store.mend()
    await waits.clock.advance(2000)
    expect(waits.times).toHaveLength(10)

    const goes = fleetRig(10, { limiter: { requestsPerMinute: 600 }, store: { processes: 10 } })
    goes.store.cut('all')
    goes.backlog(100)
    await goes.clock.advance(2 * MINUTE)
    expect(goes.by).toEqual(all(10).map(() => 100))
  })

  test('`onStoreDown` rejects or waits', async () => {
    const rejects = fleetRig(1, { limiter: { requestsPerMinute: 600 }, store: { onStoreDown: 'reject' } })
    const waits = fleetRig(1, { limiter: { requestsPerMinute: 600 }, store: { onStoreDown: 'wait' } })
    for (const { clock, store, backlog, times, rejected } of [rejects, waits]) {
      backlog(20)
      await clock.advance(500)
      store.cut('all')
      await clock.advance(5000)
      backlog(1)
      await clock.advance(100)
      const left = times.length
      await clock.advance(10_000)
      expect(times).toHaveLength(left)
      store.mend()
      await clock.advance(5000)
      expect(times.length + rejected.length).toBe(21)
    }
    expect(rejects.rejected.map((error) => (error as { code?: string }).code)).toContain('STORE_DOWN')
    expect(waits.rejected).toEqual([])
  })

  test('an event says that the store is away, and that it is back within two seconds', async () => {
    const rig = fleetRig(3, { limiter: { requestsPerMinute: 600 } })
    const said: string[] = []
    rig.fleet[0]!.on('store', ({ state, processes }) =>
      said.push(`${state} ${processes} ${Math.floor(rig.clock.now() / 2000)}`),
    )
    rig.backlog(1000)
    await rig.clock.advanceTo(10_000)
    rig.store.cut('all')
    await rig.clock.advanceTo(40_000)
    rig.store.mend()
    await rig.clock.advanceTo(50_000)
    expect(said).toEqual(['down 3 5', 'up 3 20'])
  })
})
