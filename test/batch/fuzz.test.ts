// With random failures, every result that was paid for is handed out once, and nothing is left behind.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { runAll } from 'llmiter/batch'
import { EMPTY, fate, leftovers, outOfQuota, rig, steadyClock } from '../helpers.ts'

const fates = fc.constantFrom('ok', 'ok', 'ok', 'ok', 'ok', 'fails', 'at once')

test('a job with random failures', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ fate: fates, ms: fc.nat(2000) }), { maxLength: 40 }),
      fc.record({
        ordered: fc.boolean(),
        concurrency: fc.constantFrom(undefined, 1, 5, Infinity),
        stopOnError: fc.constantFrom(false, false, true),
      }),
      fc.record({
        quotaAt: fc.option(fc.nat(40)),
        abortAt: fc.option(fc.nat(3000)),
        stopAt: fc.option(fc.nat(3000)),
        readerMs: fc.constantFrom(0, 30, 700),
      }),
      async (items, { concurrency, ...options }, { quotaAt, abortAt, stopAt, readerMs }) => {
        const { clock, limiter } = rig({ requestsPerMinute: 6000 }, steadyClock())
        const controller = new AbortController()
        const answered = new Set<number>()
        const seen: number[] = []
        let sent = 0
        const work = async (item: (typeof items)[number], index: number, signal: AbortSignal) => {
          if (sent++ === quotaAt) throw outOfQuota()
          if (item.fate === 'at once') throw new Error('at once')
          await clock.sleep(item.ms)
          if (item.fate === 'fails') throw new Error('fails')
          if (!signal.aborted) answered.add(index)
        }
        const job = runAll(items, work, {
          ...{ limiter, signal: controller.signal, ...options },
          ...(concurrency !== undefined && { concurrency }),
        })
        const end = fate(
          (async () => {
            for await (const result of job) {
              seen.push(result.index)
              if (readerMs > 0) await clock.sleep(readerMs)
            }
          })(),
        )
        if (abortAt !== null) clock.setTimer(() => controller.abort(new Error('abort')), abortAt)
        if (stopAt !== null) clock.setTimer(() => limiter.stop(), stopAt)
        await clock.runAll({ untilMs: 600_000 })
        expect(end.now).not.toBe('pending')
        expect(new Set(seen).size).toBe(seen.length)
        expect([...answered].filter((index) => !seen.includes(index))).toEqual([])
        if (options.ordered) expect(seen).toEqual(seen.toSorted((a, b) => a - b))
        if (end.now === 'ok: undefined') expect(seen.length).toBe(items.length)
        expect(leftovers(limiter, clock)).toEqual(EMPTY)
      },
    ),
    { numRuns: 300 },
  )
})
