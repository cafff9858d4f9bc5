// Whatever binds, each view that needs no browser names it: the live view in a wide and in a narrow terminal,
// the summary in a terminal, that of a job, and the metrics. The page has its own test, in a browser.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { PrometheusExporter } from '@opentelemetry/exporter-prometheus'
import { MeterProvider } from '@opentelemetry/sdk-metrics'
import { expect, test } from 'vitest'
import type { LimiterStats } from 'llmiter'
import { instrument } from 'llmiter/otel'
import { summaryText } from '../../src/batch/summary.ts'
import { seriesOf } from '../../src/cli/page/series.ts'
import { summary } from '../../src/cli/page/totals.ts'
import { Board } from '../../src/cli/watch/table.ts'
import { widthOf } from '../../src/cli/watch/text.ts'
import { parseRecord } from '../../src/telemetry/log-record.ts'
import { type Cause, tell } from '../support/cause-logs.ts'
import { tempDir } from '../support/temp.ts'

interface Said {
  /** The words that each view must have. */
  words: string
  /** The label of the metric for it. */
  label: Record<string, string | number>
  /** Where the views say it in other words. */
  watch?: string
  job?: string
  /** The live view is looked at in this second: afterwards something else holds the calls. */
  second?: number
}

const limit = (of: string, window: number) => ({
  'llmiter.cause': 'limit',
  'llmiter.limit': of,
  'llmiter.limit.window': window,
})

const SAID: Record<Cause, Said> = {
  requests: { words: 'requests (60 a minute)', label: limit('requests', 60) },
  'output tokens': { words: 'output tokens (10,000 a minute)', label: limit('outputTokens', 60) },
  "day's quota": { words: 'requests (100 a day)', label: limit('requests', 86_400) },
  concurrency: {
    words: 'a free slot (at most 2 in flight)',
    label: { 'llmiter.cause': 'concurrency' },
  },
  parent: {
    words: "requests of 'account' (60 a minute)",
    label: { ...limit('requests', 60), 'llmiter.cause.limiter': 'account' },
  },
  'gate by rate': {
    words: 'the provider, which refused calls as too many',
    ...{ label: { 'llmiter.cause': 'gate.rate' }, second: 50 },
  },
  'gate by overload': {
    words: 'the provider, which is overloaded',
    ...{ label: { 'llmiter.cause': 'gate.overload' }, second: 50 },
  },
  'gate by quota': {
    words: 'the provider, which says that the quota is used up',
    ...{
      label: { 'llmiter.refusal.kind': 'quota' },
      job: '1 time by the provider (the last: quota: 429 insufficient_quota: RateLimitError)',
    },
  },
  retry: {
    words: 'the next try after a failure (500 InternalServerError)',
    ...{ label: { 'llmiter.cause': 'retry' }, second: 3 },
  },
  health: {
    words: 'lowered since the provider is slow',
    label: { ...limit('requests', 60), 'llmiter.cause': 'latency' },
  },
  store: { words: 'a slot from the store that processes share', label: { 'llmiter.cause': 'store' } },
  pause: { words: 'the end of pause()', label: { 'llmiter.cause': 'pause' } },
  'failing key': {
    words: '401 AuthenticationError',
    label: { 'error.type': '401 AuthenticationError' },
  },
  'dead process': {
    words: 'requests (60 a minute)',
    ...{ label: limit('requests', 60), watch: 'silent for 12 s, 78 were waiting' },
  },
}

test.each(Object.keys(SAID) as Cause[])('each view names what binds: %s', async (cause) => {
  const { words, label, watch = words, job: inJob = words, second } = SAID[cause]
  const exporter = new PrometheusExporter({ preventServerStart: true })
  const meterProvider = new MeterProvider({ readers: [exporter] })
  let ended!: { stats: LimiterStats; told: object[] }
  const file = await tell(cause, join(tempDir(), 'logs'), (limiter) => {
    const off = instrument(limiter, { meterProvider })
    return async () => {
      const { resourceMetrics } = await exporter.collect()
      off()
      const points = resourceMetrics.scopeMetrics
        .flatMap(({ metrics }) => metrics)
        .flatMap(({ dataPoints }) => dataPoints as { attributes: object; value: unknown }[])
      const told = points.filter(({ value }) => value !== 0).map(({ attributes }) => attributes)
      ended = { stats: limiter.stats(), told }
    }
  })
  await meterProvider.shutdown()
  const { stats, told } = ended

  // The metrics.
  expect(told).toContainEqual(expect.objectContaining(label))
  expect(stats.boundBy.reduce((sum, { share }) => sum + share, 0)).toBeLessThanOrEqual(1.000001)

  // The summary of the log, and of a job that ended then.
  const records = readFileSync(file, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => parseRecord(line)!)
  const { totals, causes } = seriesOf(records)
  expect(summary(totals, causes)).toContain(words)
  const { finished, failed, refused, boundBy, lastFailure: failure, lastRefusal } = stats
  const refusal = lastRefusal && { refusal: `${lastRefusal.kind}: ${lastRefusal.reason}` }
  const job = { done: finished, failed, refused, ms: 60_000, boundBy, self: 'gpt-5', ...refusal }
  expect(summaryText({ ...job, ...(failure !== undefined && { failure }) })).toContain(inJob)

  // The live view.
  const start = records[0]!.t
  const seen = records.filter(({ t }) => second === undefined || t <= start + second * 1000)
  const now = seen.at(-1)!.t + (cause === 'dead process' ? 15_000 : 1000)
  const board = new Board()
  board.add(seen.map((record) => ({ run: 'run-0123abcd', record })))
  for (const width of [80, 40]) {
    const lines = board.lines(now, { width })
    for (const line of lines) expect(widthOf(line)).toBeLessThanOrEqual(width)
    expect(lines.map((line) => line.trim()).join(' ')).toContain(watch)
  }
})
