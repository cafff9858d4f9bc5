// OpenTelemetry with the real SDK: what Prometheus scrapes over HTTP, and what stands on the caller's span.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { context, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { PrometheusExporter } from '@opentelemetry/exporter-prometheus'
import { MeterProvider } from '@opentelemetry/sdk-metrics'
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { perModel, shared, withLimiter } from 'llmiter'
import { latencyHealth } from 'llmiter/health'
import { instrument, type InstrumentOptions } from 'llmiter/otel'
import { deferred, each, fate, outOfQuota, overloaded, rateLimited, rig, steadyClock } from '../helpers.ts'

/** An exporter with its HTTP endpoint; `scrape` gives the lines that begin with a name. */
async function prometheus() {
  const exporter = new PrometheusExporter({ preventServerStart: true, withoutScopeInfo: true })
  const meterProvider = new MeterProvider({ readers: [exporter] })
  const server = createServer((request, response) => exporter.getMetricsRequestHandler(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(async () => {
    await meterProvider.shutdown()
    server.close()
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/metrics`
  const scrape = async (name = '') => {
    const lines = (await (await fetch(url)).text()).split('\n')
    return lines.filter((line) => line.startsWith(name) && !line.startsWith('#') && line)
  }
  return { meterProvider, scrape }
}

/** What a histogram has counted and summed up. */
const summed = (lines: string[]) =>
  lines.filter((line) => /_(sum|count)\{/.test(line)).map((line) => line.replace(/^.*_(sum|count)\{/, '$1 {'))

describe('metrics', () => {
  async function watched(options: InstrumentOptions = {}, limiting: Parameters<typeof rig>[0] = {}) {
    const { meterProvider, scrape } = await prometheus()
    const { clock, limiter } = rig(limiting, steadyClock())
    const off = instrument(limiter, { meterProvider, ...options })
    return { clock, limiter, off, scrape }
  }

  test('count requests, tickets, refusals by kind, and those turned away by error', async () => {
    const { clock, limiter, scrape } = await watched(
      {},
      { requestsPerMinute: 600, burst: 5, queue: { max: 1 } },
    )
    let sent = 0
    const answers = [rateLimited(1000), overloaded(1000)]
    const calls = Array.from({ length: 7 }, () =>
      fate(limiter.run(() => clock.sleep(10).then(() => Promise.reject(answers[sent++] ?? outOfQuota())))),
    )
    expect(calls.length).toBe(7)
    await clock.runAll()
    expect(await scrape('llmiter_requests')).toEqual(['llmiter_requests_total{llmiter_limiter="test"} 7'])
    const refusals = await scrape('llmiter_refusals')
    expect(refusals).toContainEqual(
      expect.stringMatching(
        /^llmiter_refusals_total\{llmiter_limiter="test",llmiter_refusal_kind="rate".*\} 1$/,
      ),
    )
    expect(refusals.join()).toMatch(/kind="overload".*kind="quota"/)
    const rejections = await scrape('llmiter_rejections')
    expect(rejections).toContainEqual(
      'llmiter_rejections_total{llmiter_limiter="test",error_type="QUEUE_FULL"} 1',
    )
    const { issued } = limiter.stats()
    expect(await scrape('llmiter_tickets')).toEqual([
      `llmiter_tickets_total{llmiter_limiter="test"} ${issued}`,
    ])
  })

  test('tell what binds, what of each limit is configured and available, and the tokens that are billed', async () => {
    const { clock, limiter, scrape } = await watched(
      {},
      { requestsPerMinute: 60, burst: 1, outputTokensPerMinute: 600 },
    )
    const usage = { prompt_tokens: 30, completion_tokens: 20, prompt_tokens_details: { cached_tokens: 10 } }
    for (let i = 0; i < 100; i++)
      fate(limiter.run(() => ({ usage }), { cost: { outputTokens: 100 }, tenant: i % 2 ? 'a' : 'b' }))
    await clock.advance(30_000)
    const value = async (name: string, label: string) =>
      Number(
        (await scrape(name))
          .find((line) => line.includes(label))
          ?.split(' ')
          .at(-1),
      )
    expect(await value('llmiter_rate_configured', 'limit="outputTokens"')).toBe(600)
    expect(await value('llmiter_available', 'limit="outputTokens"')).toBeLessThan(100)
    expect(await value('llmiter_bound{', 'cause="limit",llmiter_limit="outputTokens"')).toBeGreaterThan(0.3)
    const calls = limiter.stats().finished
    expect(await value('gen_ai_client_token_usage_sum', 'token_type="input"')).toBe(30 * calls)
    expect(await value('gen_ai_client_token_usage_sum', 'token_type="output"')).toBe(20 * calls)
    expect(await scrape('llmiter_wait_duration_bucket{llmiter_limiter="test",le="83886.08"')).toHaveLength(1)
    limiter.clear()
    await clock.advance(600_000)
    // A cause that bound before is 0 now.
    expect(await value('llmiter_bound{', 'cause="limit",llmiter_limit="outputTokens"')).toBe(0)
  })

  test('time waits, calls, first tokens and those after, in seconds', async () => {
    const { clock, limiter, scrape } = await watched(
      { provider: 'openai', model: () => 'gpt-5', attributes: { team: 'search' } },
      { requestsPerMinute: 60, burst: 1 },
    )
    async function* tokens() {
      await clock.sleep(400)
      yield 1
      await clock.sleep(20)
      yield 2
      await clock.sleep(40)
      yield 3
    }
    const stream = withLimiter(async () => tokens(), limiter)
    void stream().then(each)
    void stream().then(each)
    fate(limiter.run(() => clock.sleep(100).then(() => Promise.reject(new Error('no')))))
    await clock.runAll()
    const own = 'team="search",llmiter_limiter="test",gen_ai_request_model="gpt-5"'
    const call = `${own},gen_ai_operation_name="chat",gen_ai_provider_name="openai"`
    expect(summed(await scrape('llmiter_wait_duration'))).toEqual([
      `count {${own}} 3`,
      expect.stringMatching(/^sum .* 3\.00\d*$/),
    ])
    expect(summed(await scrape('gen_ai_client_operation_time_to_first_chunk'))).toEqual([
      `count {${call}} 2`,
      `sum {${call}} 0.8`,
    ])
    expect(summed(await scrape('gen_ai_client_operation_time_per_output_chunk'))).toEqual([
      `count {${call}} 4`,
      expect.stringMatching(/ 0\.12\d*$/),
    ])
    expect(summed(await scrape('gen_ai_client_operation_duration'))).toEqual([
      `count {${call}} 2`,
      `sum {${call}} 0.92`,
      `count {${call},error_type="Error"} 1`,
      `sum {${call},error_type="Error"} 0.1`,
    ])
    const bounds = (await scrape('gen_ai_client_operation_duration')).map(
      (line) => /le="([^"]*)"/.exec(line)?.[1],
    )
    expect(bounds.filter(Boolean).slice(0, 15).join(' ')).toBe(
      '0.01 0.02 0.04 0.08 0.16 0.32 0.64 1.28 2.56 5.12 10.24 20.48 40.96 81.92 +Inf',
    )
  })

  test('show levels as they are when they are scraped', async () => {
    const { clock, limiter, scrape } = await watched(
      {},
      {
        requestsPerMinute: 120,
        tokensPerMinute: 6000,
        maxConcurrent: 2,
        health: latencyHealth({ ttftMs: 1000 }),
      },
    )
    const done = deferred()
    for (let i = 0; i < 5; i++) fate(limiter.run(() => done.promise, { cost: { tokens: 1 } }))
    const levels = async () =>
      (await scrape('llmiter_'))
        .filter((line) => /^llmiter_(waiting|parked|in_flight|gate|rate|health_share)\{/.test(line))
        .map((line) => line.replace('llmiter_limiter="test"', '').replace(/\{,?/, '{'))
    expect(await levels()).toEqual([
      'llmiter_waiting{} 3',
      'llmiter_parked{} 0',
      'llmiter_in_flight{} 2',
      'llmiter_rate{llmiter_limit="requests",llmiter_limit_window="60"} 120',
      'llmiter_rate{llmiter_limit="tokens",llmiter_limit_window="60"} 6000',
      'llmiter_gate{llmiter_gate_state="open"} 1',
      'llmiter_gate{llmiter_gate_state="closed"} 0',
      'llmiter_gate{llmiter_gate_state="probing"} 0',
      'llmiter_health_share{} 1',
    ])
    done.reject(rateLimited(5000))
    await clock.advance(1)
    const after = await levels()
    expect(after).toContain('llmiter_parked{} 2')
    expect(after).toContain('llmiter_gate{llmiter_gate_state="closed"} 1')
    limiter.stop()
  })

  test('of a service name the model where the limiter is one', async () => {
    const { meterProvider, scrape } = await prometheus()
    const clock = steadyClock()
    const models = perModel({
      'gpt-5': { requestsPerMinute: 60, clock },
      'gpt-5-mini*': { requestsPerMinute: 60, clock },
      default: { requestsPerMinute: 60, clock },
    })
    const off = instrument(models, { meterProvider })
    instrument(shared({ name: 'mistral', requestsPerMinute: 60, clock }), { meterProvider })
    models.limiterFor('made-later')
    expect(await scrape('llmiter_waiting')).toEqual([
      'llmiter_waiting{llmiter_limiter="gpt-5",gen_ai_request_model="gpt-5"} 0',
      'llmiter_waiting{llmiter_limiter="gpt-5-mini*"} 0',
      'llmiter_waiting{llmiter_limiter="default"} 0',
      'llmiter_waiting{llmiter_limiter="mistral"} 0',
      'llmiter_waiting{llmiter_limiter="made-later",gen_ai_request_model="made-later"} 0',
    ])
    off()
    models.limiterFor('after-the-end')
    const later = (await scrape('llmiter_waiting')).join()
    // What was seen before stays as it was then: the SDK repeats it.
    expect(later).toContain('limiter="mistral"')
    expect(later).not.toContain('after-the-end')
  })

  test('end with off(), and leave no listener', async () => {
    const { limiter, off, scrape } = await watched({}, {})
    await limiter.run(() => 1)
    off()
    off()
    await limiter.run(() => 2)
    expect(await scrape('llmiter_requests')).toEqual(['llmiter_requests_total{llmiter_limiter="test"} 1'])
    expect(await scrape('llmiter_in_flight')).toEqual([])
  })

  test('need no provider: without one nothing is recorded and nothing fails', async () => {
    const { limiter } = rig({})
    const off = instrument(limiter)
    expect(await limiter.run(() => 'in')).toBe('in')
    off()
  })

  test.each([
    [
      { meter: 1 },
      "instrument has no option 'meter' (did you mean 'meterProvider'?); known: meterProvider, provider, operation, model, attributes",
    ],
  ])('%j is no option', (options, message) => {
    expect(() => instrument(rig({}).limiter, options as never)).toThrow(message)
  })

  test.each([[undefined], [null], [{}], ['gpt-5']])('%j is no limiter', (limiter) => {
    expect(() => instrument(limiter as never)).toThrow(
      'instrument takes a BucketRateLimiter, or a service made by perModel or shared',
    )
  })
})

describe('spans', () => {
  const exporter = new InMemorySpanExporter()
  const contexts = new AsyncLocalStorageContextManager()
  beforeAll(() => {
    context.setGlobalContextManager(contexts.enable())
    trace.setGlobalTracerProvider(
      new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] }),
    )
  })
  afterAll(() => {
    context.disable()
    trace.disable()
  })
  beforeEach(() => exporter.reset())

  test('tell what their own call has waited for, and why it was refused', async () => {
    const { clock, limiter } = rig({ requestsPerMinute: 60, burst: 1 }, steadyClock())
    const off = instrument(limiter)
    const tracer = trace.getTracer('test')
    const answers: (Error | undefined)[] = [undefined, rateLimited(3000)]
    const call = (name: string) =>
      tracer.startActiveSpan(name, async (span) => {
        await limiter.run(() =>
          clock
            .sleep(10)
            .then(() => Promise.reject(answers.shift() ?? undefined))
            .catch((error) => {
              if (error) throw error
            }),
        )
        span.end()
      })
    const both = Promise.all([call('first'), call('second')])
    await clock.runAll()
    await both
    off()
    const events = exporter
      .getFinishedSpans()
      .map(({ name, events }) => [name, events.map(({ name, attributes }) => [name, attributes])])
    const own = { 'llmiter.limiter': 'test' }
    expect(Object.fromEntries(events)).toEqual({
      first: [],
      second: [
        ['llmiter.wait', { ...own, 'llmiter.wait.duration': expect.closeTo(1.0, 1) }],
        [
          'llmiter.refusal',
          {
            ...own,
            'llmiter.refusal.kind': 'rate',
            'llmiter.refusal.reason': expect.any(String),
            'llmiter.refusal.retry_after': 3,
          },
        ],
        ['llmiter.wait', { ...own, 'llmiter.wait.duration': expect.closeTo(3, 1) }],
      ],
    })
  })
})

test('examples/metrics.ts: thirty calls of the real SDK, scraped', { timeout: 30_000 }, async () => {
  const printed: string[] = []
  vi.spyOn(console, 'log').mockImplementation((text: string) => void printed.push(text))
  process.argv.push('--once')
  try {
    await import('../../examples/metrics.ts')
  } finally {
    process.argv.pop()
    vi.restoreAllMocks()
  }
  const lines = printed.join('\n').split('\n')
  const value = (name: string, of = '') =>
    lines
      .filter((line) => line.startsWith(`${name}{`) && line.includes(of))
      .map((line) => Number(line.split(' ').at(-1)))
  expect(value('llmiter_requests_total')).toEqual([30])
  expect(value('llmiter_refusals_total', 'kind="rate"')[0]).toBeGreaterThan(0)
  expect(value('gen_ai_client_operation_time_to_first_chunk_count', 'model="gpt-5"')).toEqual([30])
  const perToken =
    value('gen_ai_client_operation_time_per_output_chunk_sum')[0]! /
    value('gen_ai_client_operation_time_per_output_chunk_count')[0]!
  // Seconds: a machine that is busy reads several tokens at once.
  expect(perToken).toBeGreaterThan(0)
  expect(perToken).toBeLessThan(1)
  expect(value('llmiter_in_flight')).toEqual([0])
})
