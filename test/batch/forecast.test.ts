// The predicted end of a job, from its first items on, by what really limits it. And the summary.

import { describe, expect, test } from 'vitest'
import { BucketRateLimiter, type LimiterOptions, perModel } from 'llmiter'
import { type BatchOptions, type Progress, runAll, type Summary } from 'llmiter/batch'
import { collect, outOfQuota, rateLimited, rig, steadyClock } from '../helpers.ts'
import { upTo } from './job.ts'

const DAY = 86_400_000

interface Seen extends Progress {
  at: number
}

interface Job {
  limiter: Partial<LimiterOptions>
  options?: Partial<BatchOptions<number>>
  count: number
  ms?: (n: number) => number
}

/** Runs a job to its end. Resolves with the reported progress, and when it ended. */
async function run({ limiter: limits, options, count, ms = () => 1000 }: Job) {
  const { clock, limiter } = rig(limits)
  const seen: Seen[] = []
  const quotas: object[] = []
  limiter.on('quota', (event) => quotas.push({ at: clock.now(), ...event }))
  const results = collect(
    runAll(upTo(count), (n) => clock.sleep(ms(n)), {
      limiter,
      onProgress: (progress) => seen.push({ ...progress, at: clock.now() }),
      ...options,
    }),
  )
  await clock.runAll({ untilMs: 30 * DAY })
  await results
  return { seen, end: seen.at(-1)!.at, quotas, clock }
}

describe('the remaining time is correct from the first item on', () => {
  test.each<[string, Job]>([
    ['a rate', { limiter: { requestsPerMinute: 600 }, count: 600 }],
    ['a rate, from a cold start', { limiter: { requestsPerMinute: 600, ramp: {} }, count: 600 }],
    ['long calls', { limiter: { requestsPerMinute: 600 }, count: 600, ms: () => 8000 }],
    [
      'calls of all lengths',
      { limiter: { requestsPerMinute: 300 }, count: 600, ms: (n) => 500 + ((n * 7919) % 5000) },
    ],
    ['slots', { limiter: { maxConcurrent: 5 }, count: 400 }],
    [
      'its own concurrency',
      { limiter: { requestsPerMinute: 6000 }, options: { concurrency: 4 }, count: 400 },
    ],
    ['a day’s quota', { limiter: { requestsPerMinute: 600, requestsPerDay: 200 }, count: 1000 }],
    [
      'tokens',
      {
        limiter: { tokensPerMinute: 100_000 },
        options: { call: (n) => ({ cost: { tokens: 500 + (n % 10) * 100 } }) },
        count: 1000,
      },
    ],
    [
      'another job in the same line',
      { limiter: { requestsPerMinute: 600 }, options: { concurrency: Infinity }, count: 300 },
    ],
    [
      'a run that goes on with the last fifth',
      {
        limiter: { requestsPerMinute: 60 },
        options: { skip: new Set(upTo(500).filter((n) => n % 5)) },
        count: 500,
      },
    ],
  ])('%s', async (_, job) => {
    const { seen, end } = await run(job)
    const wrong = seen
      .map(({ at, etaMs }) => ({ at, told: at + etaMs!, off: Math.abs(at + etaMs! - end) / end }))
      .filter(({ off }) => off > 0.1)
    expect(wrong).toEqual([])
    expect(seen.at(-1)).toMatchObject({ etaMs: 0 })
  })

  test('of a service, for each of its models', async () => {
    const clock = steadyClock()
    const models = perModel({
      fast: { requestsPerMinute: 600, ramp: false, clock },
      slow: { requestsPerMinute: 60, ramp: false, clock },
    })
    const told: number[] = []
    const items = upTo(400).map((n) => ({ model: n % 4 ? 'fast' : 'slow' }))
    const results = collect(
      runAll(items, () => clock.sleep(500), {
        limiter: models,
        onProgress: ({ etaMs }) => told.push(clock.now() + etaMs!),
      }),
    )
    await clock.runAll()
    expect((await results).every(({ ok }) => ok)).toBe(true)
    const off = told.map((at) => Math.abs(at - clock.now()) / clock.now())
    expect(Math.max(...off.slice(20))).toBeLessThan(0.15)
  })

  test('without a limiter, by the pace', async () => {
    const clock = steadyClock()
    const other = new BucketRateLimiter({ name: 'within', requestsPerMinute: 600, ramp: false, clock })
    const seen: Progress[] = []
    const results = collect(
      runAll(upTo(300), (n) => other.run(() => n), { onProgress: (progress) => seen.push(progress) }),
    )
    await clock.runAll()
    expect((await results).length).toBe(300)
    expect(seen.at(-1)).toMatchObject({ done: 300, etaMs: 0 })
    expect(other.stats().issued).toBe(300)
  })
})

test('a configured quota reports once that it is used up, and when it resets', async () => {
  const { quotas } = await run({ limiter: { requestsPerMinute: 600, requestsPerDay: 200 }, count: 500 })
  expect(quotas.length).toBe(2)
  expect(quotas[0]).toMatchObject({ limiter: 'test', of: 'requests', amount: 200, perMs: DAY })
  const { at, waitMs } = quotas[0] as { at: number; waitMs: number }
  expect((at + waitMs) / DAY).toBeCloseTo(1, 2)
})

describe('the summary', () => {
  const summed = async (fn: (n: number) => unknown, limits: Partial<LimiterOptions>, options = {}) => {
    const { clock, limiter } = rig(limits)
    const sums: Summary[] = []
    const work = async (n: number) => {
      await clock.sleep(1000)
      return fn(n)
    }
    const end = collect(runAll(upTo(100), work, { limiter, onSummary: (sum) => sums.push(sum), ...options }))
    end.catch(() => {})
    await clock.runAll({ untilMs: DAY })
    await end.catch(() => {})
    expect(sums.length).toBe(1)
    return sums[0]!
  }

  test('reports answered, failed and refused calls, the waits and duration, and the tokens of the answers', async () => {
    let refused = false
    const fn = (n: number) => {
      if (n === 5 && !refused) {
        refused = true
        throw rateLimited(100)
      }
      if (n % 10 === 0) throw new Error('no')
      return { usage: { input_tokens: 100, output_tokens: 11 } }
    }
    const sum = await summed(fn, { requestsPerMinute: 60, burst: 1 }, { skip: new Set([99]) })
    expect(sum).toMatchObject({ done: 99, failed: 10, skipped: 1, refused: 1, tokens: 89 * 111 })
    expect(sum.ms / 1000).toBeGreaterThan(98)
    // After the refusal, the rate is lower for a minute.
    expect(sum.ms / 1000).toBeLessThan(106)
    expect(sum.waitedMs / 1000).toBeGreaterThan(45)
    expect(sum.waitedMs / 1000).toBeLessThan(54)
  })

  test('of text results: the tokens that the limiter counted', async () => {
    const sum = await summed(() => 'text', { tokensPerMinute: 1e6 }, { call: { cost: { tokens: 70 } } })
    expect(sum.tokens).toBe(7000)
  })

  test('of a job that ends early', async () => {
    const fn = (n: number) => {
      if (n === 9) throw outOfQuota()
    }
    expect(await summed(fn, { requestsPerMinute: 60, burst: 1 })).toMatchObject({ failed: 1, done: 10 })
  })

  test('of nothing', async () => {
    const sums: Summary[] = []
    await collect(runAll([], () => 1, { onSummary: (sum) => sums.push(sum) }))
    const none = { done: 0, failed: 0, skipped: 0, refused: 0, waitedMs: 0, tokens: 0, ms: 0, boundBy: [] }
    expect(sums).toEqual([{ ...none, text: expect.stringMatching(/^done \.{7} 0: 0 answered, 0 failed\n/) }])
  })

  test('in words: the time against what the limit needs, and what bound it', async () => {
    const { text, least, boundBy, ms } = await summed(() => 1, { requestsPerMinute: 60 })
    expect(least).toEqual({ ms: 95_000, limit: 'requests (60 a minute)' })
    expect(ms).toBeGreaterThan(95_000)
    expect(boundBy).toMatchObject([{ kind: 'limit', of: 'requests', limiter: 'test' }])
    expect(text.split('\n')).toEqual([
      'done ....... 100: 100 answered, 0 failed',
      expect.stringMatching(
        /^time \.{7} 1 min \d+ s; the limit alone needs 1 min 35 s: requests \(60 a minute\)$/,
      ),
      expect.stringMatching(/^bound by \.{3} requests \(60 a minute\), 9\d % of the time$/),
      expect.stringMatching(/^waited \.{5} 4\d\.\d s each$/),
    ])
  })

  test.each<[string, Partial<LimiterOptions>, object, number, string, RegExp]>([
    [
      'output tokens',
      { requestsPerMinute: 6000, outputTokensPerMinute: 1000 },
      { call: { cost: { outputTokens: 100 } } },
      9.8,
      'output tokens (1,000 a minute)',
      /output tokens \(1,000 a minute\), (99|100) %/,
    ],
    [
      'places',
      { maxConcurrent: 2 },
      {},
      0.83,
      'at most 2 in flight',
      /a free slot \(at most 2 in flight\), (9\d|100) %/,
    ],
    [
      'a quota of the hour',
      { requestsPerMinute: 600, requestsPerHour: 40 },
      {},
      120,
      'requests (40 an hour)',
      /requests \(40 an hour\), (9\d|100) %/,
    ],
  ])('%s', async (_, limits, options, minutes, limit, bound) => {
    const { least, text, ms } = await summed(() => 1, limits, options)
    expect(least!.limit).toBe(limit)
    expect(least!.ms / 60_000).toBeCloseTo(minutes, 1)
    expect(ms).toBeGreaterThanOrEqual(least!.ms)
    expect(text).toMatch(bound)
  })

  test('the limit of an account, and of each of several models, is named', async () => {
    const { clock, limiter: account } = rig({ name: 'account', requestsPerMinute: 60 })
    const models = perModel(
      {
        big: { requestsPerMinute: 600 },
        small: { requestsPerMinute: 6 },
      },
      { parent: account },
    )
    const texts: string[] = []
    const items = upTo(60).map((n) => ({ model: n % 10 === 0 ? 'small' : 'big' }))
    const end = collect(
      runAll(items, () => clock.sleep(100), { limiter: models, onSummary: ({ text }) => texts.push(text) }),
    )
    await clock.runAll({ untilMs: DAY })
    await end
    expect(texts[0]).toContain("requests of 'account' (60 a minute)")
    expect(texts[0]).toContain("requests of 'small' (6 a minute)")
  })

  test('a job that ends early reports the number of items, and refusals with their reason', async () => {
    const refused = await summed(
      (n) => {
        if (n === 3) throw outOfQuota()
      },
      { requestsPerMinute: 60, burst: 1 },
    )
    expect(refused.text).toMatch(
      /^done \.{7} \d of 100: \d answered, 1 failed\nrefused \.{4} 1 time by the provider/,
    )
  })
})

describe('an array in, an array out', () => {
  test('the results, in the order of the items', async () => {
    const { clock, limiter } = rig({ requestsPerMinute: 600 })
    const results = runAll.toArray(upTo(20), (n) => clock.sleep(100 * (20 - n)).then(() => 2 * n), {
      limiter,
      skip: new Set([3]),
    })
    await clock.runAll()
    expect((await results).map((result) => result.ok && result.value)).toEqual(
      upTo(20)
        .filter((n) => n !== 3)
        .map((n) => 2 * n),
    )
  })

  test('of a job that ends early: each item that was not tried has the reason', async () => {
    const { clock, limiter } = rig({ requestsPerMinute: 60, burst: 1 })
    const refused = outOfQuota()
    const results = runAll.toArray(
      upTo(10).values(),
      (n) => {
        if (n === 4) throw refused
        return n
      },
      { limiter, key: (n) => `item ${n}` },
    )
    await clock.runAll({ untilMs: DAY })
    const list = await results
    expect(list.map(({ index, key }) => `${index} ${key}`)).toEqual(upTo(10).map((n) => `${n} item ${n}`))
    expect(list.map((result) => (result.ok ? result.value : (result.error as Error).name))).toEqual([
      ...upTo(4),
      'Error',
      ...Array(5).fill('QuotaExhaustedError'),
    ])
  })

  test('or the first error, when that is wanted', async () => {
    const work = (n: number) => {
      if (n === 2) throw new Error('two')
      return n
    }
    await expect(runAll.toArray(upTo(5), work, { stopOnError: true })).rejects.toThrow('two')
    await expect(runAll.toArray('text' as never, work)).rejects.toThrow(TypeError)
  })
})

test('a service reads the model of each item by itself', async () => {
  const models = perModel({ a: { requestsPerMinute: 600 }, b: { requestsPerMinute: 600 } })
  const items = [{ model: 'a' }, { model: 'b' }, { model: 'a' }]
  const results = await runAll.toArray(items, ({ model }) => model, { limiter: models })
  expect(results.every(({ ok }) => ok)).toBe(true)
  expect(models.limiters().map((limiter) => limiter.stats().issued)).toEqual([2, 1])
})
