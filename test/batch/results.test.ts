// The results of a job, as they finish or in order, its progress, and how it resumes the next day.

import { describe, expect, test } from 'vitest'
import { type Progress, runAll } from 'llmiter/batch'
import { collect, departures, EMPTY, leftovers, rateLimited, rig, seconds, steadyClock } from '../helpers.ts'
import { job, upTo } from './job.ts'

describe('results', () => {
  test('come as they come, with their items, at the pace of the limiter', async () => {
    const { clock, limiter, results } = job(upTo(8), {}, (n) => (n === 2 ? 5000 : 100))
    const times = departures(limiter, clock)
    const list = collect(results)
    await clock.runAll()
    expect((await list).map(({ index }) => index)).toEqual([0, 1, 3, 4, 5, 6, 7, 2])
    expect((await list)[7]).toEqual({ index: 2, key: 2, item: 2, ok: true, value: 4 })
    expect(times.map(seconds).join(' ')).toBe('0.00 0.00 0.00 0.00 0.00 0.10 0.20 0.30')
    expect(leftovers(limiter, clock)).toEqual(EMPTY)
  })

  test('or in order', async () => {
    const { clock, results } = job(upTo(300), { ordered: true }, (n) => (n % 7 === 0 ? 5000 : 100))
    const list = collect(results)
    await clock.runAll()
    expect((await list).map(({ index }) => index)).toEqual(upTo(300))
  })

  test('of items that failed tell the item and the very error', async () => {
    const { clock, results } = job([1, -2, 3])
    const list = collect(results)
    await clock.runAll()
    expect((await list).map((result) => (result.ok ? result.value : String(result.error)))).toEqual([
      2,
      'Error: no -2',
      6,
    ])
    expect((await list)[1]).toMatchObject({ index: 1, item: -2, ok: false })
  })

  test('of a function that throws at once are failures like others', async () => {
    const { limiter } = rig({})
    const error = new Error('at once')
    const results = runAll(
      [1, 2],
      (n) => {
        if (n === 1) throw error
        return n
      },
      { limiter, ordered: true },
    )
    expect(await collect(results)).toEqual([
      { index: 0, key: 0, item: 1, ok: false, error },
      { index: 1, key: 1, item: 2, ok: true, value: 2 },
    ])
  })

  test('of refused calls come when the provider accepts again', async () => {
    const { clock, limiter } = rig({ requestsPerMinute: 600 }, steadyClock())
    let refusals = 3
    const results = collect(
      runAll(
        upTo(20),
        async (n) => {
          if (refusals-- > 0) throw rateLimited(1000)
          return n
        },
        { limiter },
      ),
    )
    await clock.runAll()
    expect((await results).filter(({ ok }) => ok).length).toBe(20)
  })

  test('of no items are none', async () => {
    const { results } = job([])
    expect(await collect(results)).toEqual([])
  })

  test('come from any iterable', async () => {
    const { limiter } = rig({})
    const values = async (items: Iterable<number> | AsyncIterable<number>) =>
      (await collect(runAll(items, (n) => n, { limiter, ordered: true }))).map(({ item }) => item)
    expect(await values(new Set([3, 1]))).toEqual([3, 1])
    expect(await values(new Float64Array([1.5]))).toEqual([1.5])
    expect(
      await values(
        (async function* () {
          yield* [1, 2]
        })(),
      ),
    ).toEqual([1, 2])
    expect(
      await values(
        new ReadableStream({
          start: (c) => {
            c.enqueue(7)
            c.close()
          },
        }) as never,
      ),
    ).toEqual([7])
  })
})

describe('a job that was broken off', () => {
  test('continues where it stopped, by the keys of finished items', async () => {
    const { clock, results, begun } = job(upTo(10), { skip: new Set(upTo(6)), ordered: true })
    const list = collect(results)
    await clock.runAll()
    expect(begun).toEqual([6, 7, 8, 9])
    expect((await list).map(({ index }) => index)).toEqual([6, 7, 8, 9])

    const { limiter } = rig({})
    const named = runAll(['a', 'b', 'c'], (item) => item, {
      limiter,
      key: (item) => `item ${item}`,
      skip: new Map([['item b', 1]]),
    })
    expect((await collect(named)).map(({ key }) => key)).toEqual(['item a', 'item c'])
  })
})

describe('progress', () => {
  test('reports the actual pace and the remaining time', async () => {
    const seen: Progress[] = []
    const { clock, results } = job([...upTo(600), -1], {
      onProgress: (p) => seen.push(p),
      skip: new Set([0]),
    })
    const list = collect(results)
    await clock.runAll()
    await list
    expect(seen.length).toBe(600)
    expect(seen.at(-1)).toMatchObject({ done: 600, failed: 1, skipped: 1, total: 601, etaMs: 0 })
    const half = seen[299]!
    expect(half).toMatchObject({ done: 300, failed: 0 })
    expect(half.perMinute).toBeGreaterThan(580)
    expect(half.perMinute).toBeLessThan(640)
    // 300 are left, at 10 a second.
    expect(half.etaMs! / 1000).toBeGreaterThan(28)
    expect(half.etaMs! / 1000).toBeLessThan(31)
  })

  test('of an iterator needs the option total', async () => {
    const seen: Progress[] = []
    const options = { onProgress: (p: Progress) => seen.push(p) }
    for (const more of [{}, { total: 4 }]) {
      const { clock, results } = job([1, 2, 3].values(), { ...options, ...more })
      const list = collect(results)
      await clock.runAll()
      await list
    }
    expect(seen.map(({ total, etaMs }) => [total, etaMs !== undefined])).toEqual([
      [undefined, false],
      [undefined, false],
      [undefined, false],
      [4, true],
      [4, true],
      [4, true],
    ])
  })

  test('a listener that throws disturbs nothing', async () => {
    const { clock, limiter, results } = job([1, 2], {
      onProgress: () => {
        throw new Error('mine')
      },
    })
    const errors: string[] = []
    limiter.on('error', ({ error, where }) => errors.push(`${where}: ${String(error)}`))
    const list = collect(results)
    await clock.runAll()
    expect((await list).length).toBe(2)
    expect(errors).toEqual(['onProgress: Error: mine', 'onProgress: Error: mine'])
  })
})
