// The measured guards: ours, other possible designs, and alternative packages. Each is asked about all clients in
// turns, and most requests pass.

import { rateLimit } from 'express-rate-limit'
import { RateLimiterMemory } from 'rate-limiter-flexible'
import { SlidingWindow } from '../../src/core/limit/sliding-window.ts'
import { guard } from '../../src/inbound/index.ts'
import { BucketRateLimiter } from '../../src/index.ts'
import type { Jobs, Turn } from '../measure.ts'

export const AMOUNT = 30
const WINDOW = 60_000

/** Asks about one request of a client. Resolves when it is decided. */
export type Ask = (address: string) => unknown

const request = (address: string) => ({
  headers: {},
  socket: { remoteAddress: address },
  ip: address,
  app: { get() {} },
})
const response = () => ({
  headersSent: false,
  statusCode: 200,
  fields: new Map<string, unknown>(),
  getHeader(name: string) {
    return this.fields.get(name)
  },
  setHeader(name: string, value: unknown) {
    this.fields.set(name, value)
  },
  append() {},
  status() {
    return this
  },
  send() {},
  end() {},
})

/** As a middleware with headers: from a request to `next`. */
const middleware =
  (through: (request: never, response: never, next: () => void) => unknown): Ask =>
  (address) =>
    new Promise<void>((resolve) => {
      const answer = response()
      answer.end = answer.send = resolve
      through(request(address) as never, answer as never, resolve)
    })

/** Each creates a new guard. */
export const contestants: Record<string, () => Ask> = {
  'llmiter guard, as a middleware': () => middleware(guard({ limit: '30 per 60s' }) as never),
  'express-rate-limit, as a middleware': () =>
    middleware(
      rateLimit({
        windowMs: WINDOW,
        limit: AMOUNT,
        standardHeaders: 'draft-8',
        legacyHeaders: false,
        validate: false,
      }) as never,
    ),
  'llmiter guard.check()': () => {
    const limit = guard({ limit: '30 per 60s' })
    return (address) => limit.check(address)
  },
  'rate-limiter-flexible, memory': () => {
    const limiter = new RateLimiterMemory({ points: AMOUNT, duration: WINDOW / 1000 })
    return (address) => limiter.consume(address).catch(() => {})
  },
  'a SlidingWindow of the core a client': () => {
    const clients = new Map<string, SlidingWindow>()
    return (address) => {
      const window = clients.get(address) ?? new SlidingWindow(WINDOW)
      clients.set(address, window)
      const now = performance.now()
      if (window.used(now) < AMOUNT) window.add(1, now)
    }
  },
  'a BucketRateLimiter a client': () => {
    const clients = new Map<string, BucketRateLimiter>()
    const limits = [{ of: 'requests', amount: AMOUNT, per: WINDOW, pace: false }]
    return (address) => {
      const limiter = clients.get(address) ?? new BucketRateLimiter({ name: address, limits, ramp: false })
      clients.set(address, limiter)
      limiter.tryAcquire()?.finish()
    }
  },
}

const addresses = (count: number) =>
  Array.from({ length: count }, (_, i) => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`)

const CLIENTS = 1000

const timed =
  (make: () => Ask) =>
  (requests: number): Turn =>
  async () => {
    const clients = addresses(CLIENTS)
    const ask = make()
    // Creating a thousand clients is not measured.
    for (const client of clients) await ask(client)
    const from = performance.now()
    for (let i = 0; i < requests; i++) await ask(clients[i % CLIENTS]!)
    return ((performance.now() - from) * 1000) / requests
  }

/** The memory of a client after this many requests, in bytes. */
const weighed =
  (make: () => Ask, requests: number) =>
  (count: number): Turn =>
  async () => {
    const clients = addresses(count)
    const ask = make()
    const before = heapInUse()
    for (let i = 0; i < requests; i++) for (const client of clients) await ask(client)
    const held = heapInUse() - before
    // Still in use, so that it is not collected before it is measured.
    await ask(clients[0]!)
    return held / count
  }

function heapInUse(): number {
  if (!globalThis.gc) throw new Error('run it with --expose-gc, as `npm run bench:inbound` does')
  for (let i = 0; i < 3; i++) globalThis.gc()
  return process.memoryUsage().heapUsed
}

export const jobs: Jobs = Object.fromEntries(
  Object.entries(contestants).flatMap(([name, make]) => [
    [name, timed(make)],
    ...[1, AMOUNT].map((requests) => [`${name}, ${requests} each`, weighed(make, requests)] as const),
  ]),
)
