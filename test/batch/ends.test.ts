// All ways in which a job ends. It leaves nothing behind.

import { describe, expect, test } from 'vitest'
import { LimiterStoppedError, perModel, QuotaExhaustedError } from 'llmiter'
import { type BatchResult, runAll } from 'llmiter/batch'
import { collect, EMPTY, fate, leftovers, outOfQuota, rig, steadyClock } from '../helpers.ts'
import { job, upTo } from './job.ts'

/** Items that record whether their iterator was closed. */
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
  test('by leaving the loop: waiting and running calls are aborted', async () => {
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

  test('by other code than the code that waits for the next result', async () => {
    const { clock, limiter, results } = job(upTo(3), {}, () => 60_000)
    const next = results.next()
    await clock.advance(1000)
    await results.return()
    expect(await next).toEqual({ done: true, value: undefined })
    await clock.runAll()
    expect(leftovers(limiter, clock)).toEqual(EMPTY)
  })

  test('by leaving while the next item has not arrived', async () => {
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
    expect(leftovers(limiter, clock)).toEqual(EMPTY)
  })

  test('by the signal: its reason is thrown, also if it aborted before the start', async () => {
    const controller = new AbortController()
    const { items, state } = leavable()
    const { clock, limiter, results } = job(items, { signal: controller.signal }, () => 60_000)
    const list = fate(collect(results))
    await clock.advance(1000)
    const reason = new Error('Ctrl-C')
    controller.abort(reason)
    await clock.advance(0)
    expect(list.error).toBe(reason)
    expect(state.left).toBe(1)
    await clock.runAll()
    expect(leftovers(limiter, clock)).toEqual(EMPTY)

    const late = job(items, { signal: controller.signal })
    await expect(collect(late.results)).rejects.toBe(reason)
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
    const list = fate(collect(runAll(items, work, { limiter, stopOnError: true, ordered: true })))
    await clock.advance(501)
    expect(list.error).toBe(error)
    expect(state.left).toBe(1)
    await clock.runAll()
    expect(leftovers(limiter, clock)).toEqual(EMPTY)
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
    const end = fate(collect(results))
    await clock.runAll()
    expect([end.error, state.left]).toEqual([error, 1])
  })

  test('of a stopped limiter: the items are not tried, and the error says so', async () => {
    const { clock, limiter, begun, results } = job(upTo(3))
    limiter.stop('maintenance')
    const end = fate(collect(results))
    await clock.runAll()
    expect(end.error).toBeInstanceOf(LimiterStoppedError)
    expect(end.error).toMatchObject({
      message: "'test' was stopped; 0 items are over, 0 of them failed, and 3 others were not tried",
      cause: 'maintenance',
    })
    expect(begun).toEqual([])
  })

  test('a job whose results nobody reads starts nothing', async () => {
    const { items, state } = leavable()
    const { results } = job(items)
    await results.return()
    expect(state).toEqual({ read: 0, left: 0 })
  })
})

describe('a quota that is used up in the middle', () => {
  /** A provider whose credit is used up after this many calls. Only the start of each call counts. */
  function spender(calls: number, options: Parameters<typeof job>[1] = {}) {
    const { clock, limiter } = rig({ requestsPerMinute: 600 }, steadyClock())
    const tried: number[] = []
    const refused = outOfQuota()
    const ask = async (n: number) => {
      tried.push(n)
      const broke = tried.length > calls
      await clock.sleep(broke ? 50 : 1000)
      if (broke) throw refused
      return n
    }
    const { items, state } = leavable()
    const seen: BatchResult<number, number>[] = []
    const end = fate(
      (async () => {
        for await (const result of runAll(items, ask, { limiter, ...options })) seen.push(result)
      })(),
    )
    return { clock, limiter, tried, refused, state, seen, end }
  }

  test.each([{}, { ordered: true }, { concurrency: 30 }])(
    'ends the job: %j: finished results are handed out, calls in flight finish',
    async (options) => {
      const { clock, limiter, tried, refused, state, seen, end } = spender(20, options)
      await clock.runAll({ untilMs: 600_000 })
      // The call that hit it throws the provider's own error. No other item was sent or read in vain.
      expect(seen.filter(({ ok }) => ok).map(({ item }) => item)).toEqual(upTo(20))
      expect(seen.flatMap((result) => (result.ok ? [] : [result.error]))).toEqual([refused])
      expect(tried).toEqual(upTo(21))
      expect([state.left, state.read]).toEqual([1, expect.any(Number)])
      expect(state.read).toBeLessThan(125)
      expect(end.error).toBeInstanceOf(QuotaExhaustedError)
      expect((end.error as Error).cause).toBe(refused)
      expect((end.error as Error).message).toBe(
        "'test': the provider's quota is used up (429 insufficient_quota): one call a minute tests it; " +
          '21 items are over, 1 of them failed, and the others were not tried',
      )
      expect(leftovers(limiter, clock)).toEqual(EMPTY)
    },
  )

  test('another run continues with the remaining items', async () => {
    const first = spender(20)
    await first.clock.runAll({ untilMs: 600_000 })
    const done = new Set(first.seen.filter(({ ok }) => ok).map(({ key }) => key))
    const { clock, limiter } = rig({ requestsPerMinute: 600 }, steadyClock())
    const again = collect(runAll(upTo(50), (n) => n, { limiter, skip: done }))
    await clock.runAll()
    expect((await again).map(({ item }) => item)).toEqual(upTo(50).slice(20))
  })

  test('the error tells how many were not tried, where that is known', async () => {
    const { clock, limiter } = rig({ requestsPerMinute: 600 }, steadyClock())
    const work = async (n: number) => {
      if (n === 5) throw outOfQuota()
    }
    const end = fate(collect(runAll(upTo(50_000), work, { limiter, skip: new Set([0, 1]) })))
    await clock.runAll({ untilMs: 600_000 })
    expect(String(end.error)).toMatch(/5 items are over, 1 of them failed, and 49993 others were not tried$/)
  })

  test('of one model ends a job of several', async () => {
    const clock = steadyClock()
    const models = perModel({ a: { requestsPerMinute: 600, clock }, b: { requestsPerMinute: 600, clock } })
    const work = async (n: number) => {
      if (n % 2) throw outOfQuota()
    }
    const options = { limiter: models, model: (n: number) => (n % 2 ? 'a' : 'b') }
    const end = fate(collect(runAll(upTo(1000), work, options)))
    await clock.runAll({ untilMs: 600_000 })
    expect(end.error).toBeInstanceOf(QuotaExhaustedError)
  })
})

describe('an aborted job', () => {
  const paid = async (options: Parameters<typeof job>[1]) => {
    const { clock, results } = job(upTo(100), options, (n) => (n === 3 ? 5000 : 100))
    const seen: number[] = []
    const end = fate(
      (async () => {
        for await (const { index } of results) {
          seen.push(index)
          // The reader writes answers into a slow database, and other results arrive in the meantime.
          if (index === 0) await clock.sleep(1000)
        }
      })(),
    )
    return { clock, seen, end }
  }

  test.each([
    [{}, [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12]],
    [{ ordered: true }, [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12]],
  ])('%j hands out finished results before it throws, because they cost money', async (options, expected) => {
    const controller = new AbortController()
    const { clock, seen, end } = await paid({ ...options, signal: controller.signal })
    await clock.advance(950)
    controller.abort(new Error('Ctrl-C'))
    await clock.advance(200)
    expect(seen).toEqual(expected)
    expect(String(end.error)).toBe('Error: Ctrl-C')
  })

  test('gives each call its own signal, because Node 20 warns about eleven listeners on one signal', async () => {
    const { clock, limiter } = rig({ maxConcurrent: 100 }, steadyClock())
    const controller = new AbortController()
    const reasons = new Map<AbortSignal, unknown>()
    const work = (_: number, __: number, signal: AbortSignal) => {
      signal.addEventListener('abort', () => reasons.set(signal, signal.reason))
      return clock.sleep(60_000)
    }
    const end = fate(
      collect(runAll(upTo(100), work, { limiter, signal: controller.signal, concurrency: 50 })),
    )
    await clock.advance(1000)
    const reason = new Error('enough')
    controller.abort(reason)
    await clock.runAll()
    expect([reasons.size, new Set(reasons.values()), end.error]).toEqual([50, new Set([reason]), reason])
  })
})
