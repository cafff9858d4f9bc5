// Every way in which a job ends, and that it leaves nothing behind.

import { describe, expect, test } from 'vitest'
import { runAll } from 'llmiter/batch'
import { EMPTY, fate, office, rig, steadyClock } from '../helpers.ts'
import { all, job, upTo } from './job.ts'

/** Items that tell whether they were left. */
function leavable(fails?: { at: number; error: unknown }) {
  const state = { read: 0, left: 0 }
  const items: AsyncIterable<number> = {
    [Symbol.asyncIterator]: () => ({
      next: async () => {
        if (fails?.at === state.read) throw fails.error
        return { done: false, value: state.read++ }
      },
      return: async () => {
        state.left++
        return { done: true, value: undefined }
      },
    }),
  }
  return { items, state }
}

describe('the end', () => {
  test('by leaving the loop: what is in line and in flight is given up', async () => {
    const { items, state } = leavable()
    const signals: AbortSignal[] = []
    const { clock, limiter } = rig({ requestsPerMinute: 600 }, steadyClock())
    const results = runAll(
      items,
      async (n, _, signal) => {
        signals.push(signal)
        await clock.sleep(n === 0 ? 10 : 60_000)
      },
      { limiter },
    )
    const first = results.next()
    await clock.advance(1000)
    expect((await first).value).toMatchObject({ index: 0 })
    await results.return()
    expect(signals.slice(1).every(({ aborted }) => aborted)).toBe(true)
    expect([state.left, limiter.stats().waiting, limiter.stats().inFlight]).toEqual([1, 0, 0])
    const { read } = state
    await clock.runAll()
    expect(state.read).toBe(read)
    expect(await results.next()).toEqual({ done: true, value: undefined })
  })

  test('by another than who waits for the next result', async () => {
    const { clock, limiter, results } = job(upTo(3), {}, () => 60_000)
    const next = results.next()
    await clock.advance(1000)
    await results.return()
    expect(await next).toEqual({ done: true, value: undefined })
    await clock.runAll()
    expect(office(limiter, clock)).toEqual(EMPTY)
  })

  test('by leaving while the next item does not come', async () => {
    const { clock, limiter, results } = job(
      (async function* () {
        yield 1
        await new Promise(() => {})
      })(),
    )
    const first = results.next()
    await clock.runAll()
    await first
    await results.return()
    expect(office(limiter, clock)).toEqual(EMPTY)
  })

  test('by the signal: its reason is thrown, now or before anything began', async () => {
    const controller = new AbortController()
    const { items, state } = leavable()
    const { clock, limiter, results } = job(items, { signal: controller.signal }, () => 60_000)
    const list = fate(all(results))
    await clock.advance(1000)
    const reason = new Error('Ctrl-C')
    controller.abort(reason)
    await clock.advance(0)
    expect(list.error).toBe(reason)
    expect(state.left).toBe(1)
    await clock.runAll()
    expect(office(limiter, clock)).toEqual(EMPTY)

    const late = job(items, { signal: controller.signal })
    await expect(all(late.results)).rejects.toBe(reason)
    expect(late.begun).toEqual([])
  })

  test('by the first error, when that is wanted', async () => {
    const { items, state } = leavable()
    const { clock, limiter } = rig({ requestsPerMinute: 600 }, steadyClock())
    const error = new Error('item 3')
    const work = async (n: number) => {
      await clock.sleep(n === 3 ? 500 : 1000)
      if (n === 3) throw error
    }
    const list = fate(all(runAll(items, work, { limiter, stopOnError: true, ordered: true })))
    await clock.advance(501)
    expect(list.error).toBe(error)
    expect(state.left).toBe(1)
    await clock.runAll()
    expect(office(limiter, clock)).toEqual(EMPTY)
  })

  test.each([0, 1, 3])(
    'by items that cannot be read further than %i: after the results of these',
    async (at) => {
      const error = new Error('disk')
      const { items, state } = leavable({ at, error })
      const { clock, results } = job(items)
      const seen: number[] = []
      const end = fate(
        (async () => {
          for await (const { index } of results) seen.push(index)
        })(),
      )
      await clock.runAll()
      expect(seen).toEqual(upTo(at))
      expect(end.error).toBe(error)
      expect(state.left).toBe(0)
    },
  )

  test('by a key that throws', async () => {
    const { items, state } = leavable()
    const error = new Error('key')
    const { clock, results } = job(items, {
      key: (n) => {
        if (n === 2) throw error
        return n
      },
    })
    const end = fate(all(results))
    await clock.runAll()
    expect([end.error, state.left]).toEqual([error, 1])
  })

  test('of a stopped limiter: every item says so', async () => {
    const { clock, limiter, results } = job(upTo(3))
    limiter.stop('maintenance')
    const list = all(results)
    await clock.runAll()
    expect((await list).map((result) => !result.ok && (result.error as Error).name)).toEqual(
      upTo(3).map(() => 'LimiterStoppedError'),
    )
  })

  test('a job that nobody reads begins nothing', async () => {
    const { items, state } = leavable()
    const { results } = job(items)
    await results.return()
    expect(state).toEqual({ read: 0, left: 0 })
  })
})
