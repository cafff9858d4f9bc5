/**
 * `npm run example examples/metrics.ts`: a limiter whose metrics Prometheus can scrape.
 *
 * It needs no key: the provider is a server on this machine, with a lower limit than the limiter's. It makes calls
 * until Ctrl-C. With `--once` it makes thirty, scrapes itself, prints the result, and ends.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { PrometheusExporter } from '@opentelemetry/exporter-prometheus'
import { MeterProvider } from '@opentelemetry/sdk-metrics'
import OpenAI from 'openai'
import { perModel, withLimiter } from 'llmiter'
import { latencyHealth } from 'llmiter/health'
import { instrument } from 'llmiter/otel'
import { startHttpProvider, TokenBucketProvider } from 'llmiter/testing'

const once = process.argv.includes('--once')

const provider = await startHttpProvider({
  model: new TokenBucketProvider({ requestsPerMinute: 600, capacityMs: 1000 }),
  latencyMs: 50,
  tokensPerSecond: 200,
})
const openai = new OpenAI({ apiKey: 'any', baseURL: provider.url, maxRetries: 0 })

const models = perModel({
  'gpt-5': { requestsPerMinute: 3000, burst: 20, health: latencyHealth({ ttftMs: 2000, itlMs: 100 }) },
})
const exporter = new PrometheusExporter({ preventServerStart: true })
instrument(models, { provider: 'openai', meterProvider: new MeterProvider({ readers: [exporter] }) })

const server = createServer((request, response) => exporter.getMetricsRequestHandler(request, response))
await new Promise<void>((resolve) => server.listen(once ? 0 : 9464, '127.0.0.1', resolve))
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/metrics`

const ask = withLimiter(
  (request: OpenAI.Responses.ResponseCreateParamsStreaming) => openai.responses.create(request),
  models,
)
async function talk(input: string): Promise<void> {
  for await (const event of await ask({ model: 'gpt-5', input, stream: true })) {
    if (!once && event.type === 'response.output_text.delta') process.stdout.write('.')
  }
}
const crowd = () => Promise.all(Array.from({ length: 30 }, (_, i) => talk(`What is ${i} plus ${i}?`)))

if (!once) console.log(`Scrape ${url}. Ctrl-C ends it.`)
do await crowd()
while (!once)

console.log(await (await fetch(url)).text())
server.close()
await exporter.shutdown()
await provider.close()
