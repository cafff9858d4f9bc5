/**
 * An API server of your own in front of a provider. Each user may chat 30 times in 60 s and create 15 images in 60
 * s, counted in Redis for all processes of the server together. Beyond that it answers 429 itself. Calls to the
 * provider wait in one queue. A provider that refuses is asked again after 8, 16, 32 and 64 s. After that, the
 * error is logged and returned.
 *
 *   redis-server --port 6379 &
 *   npm run example examples/api-server.ts                     # a simulated provider on this machine answers
 *   OPENAI_API_KEY=… npm run example examples/api-server.ts    # the real one answers
 *   curl -H 'Authorization: Bearer key-of-ann' -d '{"prompt":"Hello"}' localhost:3000/chat
 */
import type { AddressInfo } from 'node:net'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import { Redis } from 'ioredis'
import OpenAI from 'openai'
import { type LimiterOptions, withLimiter } from 'llmiter'
import { guard } from 'llmiter/inbound'
import { redisGuardStore } from 'llmiter/redis'
import { startHttpProvider, TokenBucketProvider } from 'llmiter/testing'

export interface ApiOptions {
  redis: Redis
  openai: OpenAI
  /** Users by their keys. */
  users: ReadonlyMap<string, string>
  /**
   * The unit of the waits for the provider, in ms, which tests shorten.
   * @default 1000
   */
  secondMs?: number
  log?: (line: string) => void
}

type Handler = (prompt: string) => Promise<unknown>

export function apiServer({
  redis,
  openai,
  users,
  secondMs = 1000,
  log = console.error,
}: ApiOptions): Server {
  const store = redisGuardStore(redis)
  const userOf = ({ headers }: IncomingMessage) =>
    users.get(headers.authorization?.replace(/^Bearer /i, '') ?? '')
  const options = { key: userOf, store, onStoreDown: 'local' } as const
  const limits = {
    chat: guard({ ...options, name: 'chat', limit: '30 per 60s' }),
    images: guard({ ...options, name: 'images', limit: '15 per 60s' }),
  }
  for (const limit of Object.values(limits)) {
    limit.on('store', ({ guard, state }) => log(`the store of '${guard}' is ${state}`))
  }

  const waits = { minMs: 8 * secondMs, maxMs: 64 * secondMs, factor: 2, jitter: 0 }
  const patience: Partial<LimiterOptions> = {
    // After a refusal all calls wait, and one call tries again. Its fifth refusal is thrown to its caller.
    recovery: waits,
    maxRefusals: 4,
    // After another failure (5xx, lost connection) only the failed call is retried.
    retry: { ...waits, attempts: 5 },
  }
  const ask = (input: string) => openai.responses.create({ model: 'gpt-5-mini', input })
  const chat = withLimiter(ask, { name: 'chat model', requestsPerMinute: 500, ...patience })
  const draw = withLimiter(ask, { name: 'image model', requestsPerMinute: 100, ...patience })
  const routes: Record<string, { limit: (typeof limits)['chat']; handle: Handler }> = {
    'POST /chat': {
      limit: limits.chat,
      handle: async (prompt) => ({ text: (await chat(prompt)).output_text }),
    },
    'POST /images': {
      limit: limits.images,
      // Drawn as text, so that it works with any provider.
      handle: async (prompt) => ({ svg: (await draw(`Draw this as SVG: ${prompt}`)).output_text }),
    },
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const route = routes[`${request.method} ${request.url}`]
    if (!route) return answer(response, 404, { error: 'POST /chat or /images' })
    if (userOf(request) === undefined)
      return answer(response, 401, { error: 'Authorization: Bearer <your key>' })
    if (!(await route.limit(request, response))) return
    const prompt = promptOf(await text(request))
    if (prompt === undefined) return answer(response, 400, { error: '{"prompt": "…"}' })
    try {
      answer(response, 200, await route.handle(prompt))
    } catch (error) {
      const { name, message } = error as Error
      log(`${request.method} ${request.url}: ${name}: ${message}`)
      answer(response, 503, { error: 'The model provider does not answer. Please try again later.' })
    }
  }

  return createServer((request, response) => {
    serve(request, response).catch((error: unknown) => {
      log(`${request.method} ${request.url}: ${String(error)}`)
      if (!response.headersSent) answer(response, 500, { error: 'Internal Server Error' })
    })
  })
}

function answer(response: ServerResponse, status: number, body: unknown): void {
  response.statusCode = status
  response.setHeader('Content-Type', 'application/json')
  response.end(JSON.stringify(body))
}

function promptOf(body: string): string | undefined {
  try {
    const { prompt } = JSON.parse(body) as { prompt?: unknown }
    return typeof prompt === 'string' ? prompt : undefined
  } catch {
    return undefined
  }
}

/** Connects to the Redis at this address. Without one, the program ends with a message about what to start. */
async function connect(url: string): Promise<Redis> {
  // One attempt. Later connection losses are reported by the guards, which then count locally.
  let started = false
  const redis = new Redis(url, { lazyConnect: true, retryStrategy: () => (started ? 1000 : null) })
  redis.on('error', () => {})
  try {
    await redis.connect()
  } catch (error) {
    console.error(
      `There is no Redis at ${url} (${(error as Error).message}). Start one:\n  redis-server --port 6379`,
    )
    process.exit(1)
  }
  started = true
  return redis
}

if (import.meta.main) {
  const redis = await connect(process.env['REDIS_URL'] ?? 'redis://127.0.0.1:6379')
  const apiKey = process.env['OPENAI_API_KEY']
  const local = apiKey
    ? undefined
    : await startHttpProvider({ model: new TokenBucketProvider({ requestsPerMinute: 500 }), latencyMs: 300 })
  const server = apiServer({
    redis,
    // Refused calls wait in our queue, so the SDK must not retry on its own.
    openai: new OpenAI(local ? { apiKey: 'any', baseURL: local.url, maxRetries: 0 } : { maxRetries: 0 }),
    users: new Map([
      ['key-of-ann', 'ann'],
      ['key-of-bob', 'bob'],
    ]),
  })
  server.listen(Number(process.env['PORT'] ?? 3000), '127.0.0.1', () => {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    console.log(`listening at ${url}`)
    console.log(`  curl -H 'Authorization: Bearer key-of-ann' -d '{"prompt":"Hello"}' ${url}/chat`)
  })
}
