// The dashboard of docs/grafana.json, asked of what a limiter really reports: each query gives something, and each name and
// label in it is one that is reported. Where Prometheus is installed (`apt-get install prometheus`, as .ci/run does), it
// answers the queries itself, and promtool checks the metrics.

import { execFileSync, spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { PrometheusExporter, PrometheusSerializer } from '@opentelemetry/exporter-prometheus'
import { MeterProvider } from '@opentelemetry/sdk-metrics'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { BucketRateLimiter } from 'llmiter'
import { latencyHealth } from 'llmiter/health'
import { instrument } from 'llmiter/otel'
import { fate, overloaded, rateLimited, steadyClock } from '../helpers.ts'
import { tempDir } from '../support/temp.ts'

interface Target {
  expr: string
}
interface Panel {
  title: string
  description: string
  targets: Target[]
}
const dashboard = JSON.parse(readFileSync(join(import.meta.dirname, '../../docs/grafana.json'), 'utf8')) as {
  panels: Panel[]
}
const queries = dashboard.panels.flatMap(({ title, targets }) =>
  targets.map(({ expr }): [string, string] => [title, expr]),
)

/** So often Prometheus comes by, and so long. */
const STEP_S = 15
const STEPS = 12

/** Pages as Prometheus would scrape them, of three minutes in which everything happens that a dashboard can show. */
async function scrapes(): Promise<string[]> {
  const exporter = new PrometheusExporter({ preventServerStart: true })
  const meterProvider = new MeterProvider({ readers: [exporter] })
  const serializer = new PrometheusSerializer(undefined, false)
  const clock = steadyClock()
  const limiter = new BucketRateLimiter({
    ...{ name: 'gpt-5', clock, requestsPerMinute: 120, outputTokensPerMinute: 6000, queue: { max: 60 } },
    health: latencyHealth({ ttftMs: 5000 }),
  })
  const off = instrument(limiter, { meterProvider })
  let sent = 0
  async function* words() {
    await clock.sleep(300)
    yield { usage: { prompt_tokens: 40, completion_tokens: 80 } }
  }
  const call = async () => {
    const n = sent++
    if (n % 10 === 0) return words()
    await clock.sleep(500)
    if (n % 40 === 23) throw rateLimited(1000)
    if (n > 70 && n < 77) throw overloaded(40_000)
    if (n % 7 === 0) throw Object.assign(new Error('no'), { status: 400 })
    return { usage: { prompt_tokens: 40, completion_tokens: 80 } }
  }
  const one = async () => {
    const answer = await limiter.run(call, { cost: { outputTokens: 100 } })
    if (Symbol.asyncIterator in answer)
      for await (const chunk of answer as AsyncIterable<unknown>) expect(chunk).toBeDefined()
  }
  const pages: string[] = []
  for (let step = 0; step < STEPS; step++) {
    for (let i = 0; i < 25; i++) fate(one())
    await clock.advance(STEP_S * 1000)
    const { resourceMetrics } = await exporter.collect()
    pages.push(serializer.serialize(resourceMetrics))
  }
  limiter.stop()
  off()
  await meterProvider.shutdown()
  return pages
}

let pages: string[]
beforeAll(async () => {
  pages = await scrapes()
})

test.each(queries)('%s: %s names what is reported', (_, expr) => {
  const reported = new Map<string, Set<string>>()
  for (const [, name = '', labels = ''] of pages.at(-1)!.matchAll(/^(\w+)\{(.*)\} /gm)) {
    const known = reported.get(name) ?? new Set()
    reported.set(name, known)
    for (const [, label] of labels.matchAll(/(\w+)="/g)) known.add(label!)
  }
  const selectors = [...expr.matchAll(/((?:llmiter|gen_ai)_\w+)\{([^}]*)\}/g)]
  expect(selectors.length).toBeGreaterThan(0)
  for (const [, name, matchers] of selectors) {
    expect([...reported.keys()]).toContain(name)
    for (const [, label] of matchers!.matchAll(/(\w+)[=!]/g))
      expect([...reported.get(name!)!]).toContain(label)
  }
})

test('each panel says what it shows', () => {
  for (const { title, description } of dashboard.panels)
    expect([title, description.length > 20]).toEqual([title, true])
})

const installed = (() => {
  try {
    for (const name of ['prometheus', 'promtool']) execFileSync(name, ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})()

describe.skipIf(!installed)('with Prometheus (skipped where `prometheus` is not installed)', () => {
  test('promtool finds nothing wrong with the metrics', () => {
    expect(execFileSync('promtool', ['check', 'metrics'], { input: pages.at(-1)!, encoding: 'utf8' })).toBe(
      '',
    )
  })

  test('each query has an answer', async () => {
    const dir = tempDir()
    const start = Math.floor(Date.now() / 1000) - 7200
    const lines = pages.flatMap((page, i) =>
      page
        .split('\n')
        .filter((line) => line !== '' && !line.startsWith('#'))
        .map((line) => `${line} ${start + (i + 1) * STEP_S}`),
    )
    writeFileSync(join(dir, 'metrics'), `${lines.join('\n')}\n# EOF\n`)
    writeFileSync(join(dir, 'prometheus.yml'), '{}')
    const into = join(dir, 'data')
    execFileSync('promtool', ['tsdb', 'create-blocks-from', 'openmetrics', join(dir, 'metrics'), into], {
      stdio: 'ignore',
    })
    const url = await startPrometheus(dir, into)
    const ask = async (expr: string, time: number) => {
      const query = expr.replaceAll('$limiter', '.*').replaceAll('$__rate_interval', '1m')
      const answer = await fetch(`${url}/api/v1/query?${new URLSearchParams({ query, time: String(time) })}`)
      const { data, error } = (await answer.json()) as {
        data?: { result: { value: [number, string] }[] }
        error?: string
      }
      expect([query, error]).toEqual([query, undefined])
      return data!.result.map(({ value }) => Number(value[1]))
    }
    for (const [title, expr] of queries) {
      const answers = await Promise.all(pages.map((_, i) => ask(expr, start + (i + 1) * STEP_S)))
      const values = answers.flat().filter((value) => Number.isFinite(value))
      expect([title, expr, values.length > 0]).toEqual([title, expr, true])
      if (title !== 'Gate' && title !== 'Health') expect(Math.max(...values), expr).toBeGreaterThan(0)
    }
    const closed = await Promise.all(
      pages.map((_, i) => ask('llmiter_gate{llmiter_gate_state="closed"}', start + (i + 1) * STEP_S)),
    )
    expect(closed.flat()).toContain(1)
    // The gate was shut for 40 s, and output tokens held the calls in the rest.
    const bound = (cause: string) => ask(`max_over_time(llmiter_bound{${cause}}[5m])`, start + STEPS * STEP_S)
    expect((await bound('llmiter_cause="gate.overload"'))[0]).toBeGreaterThan(0.5)
    expect((await bound('llmiter_limit="outputTokens"'))[0]).toBeGreaterThan(0.5)
  })
})

async function startPrometheus(dir: string, data: string): Promise<string> {
  const port = await new Promise<number>((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })
  const url = `http://127.0.0.1:${port}`
  const options = [
    ...[`--config.file=${join(dir, 'prometheus.yml')}`, `--storage.tsdb.path=${data}`],
    `--web.listen-address=127.0.0.1:${port}`,
  ]
  const server = spawn('prometheus', options, { stdio: 'ignore' })
  const over = new Promise((resolve) => server.once('exit', resolve))
  onTestFinished(async () => {
    server.kill('SIGKILL')
    await over
  })
  const ready = () =>
    fetch(`${url}/-/ready`).then(
      ({ ok }) => ok,
      () => false,
    )
  await expect.poll(ready, { timeout: 30_000 }).toBe(true)
  return url
}
