// The script in Redis is the law of `ledger.ts`: asked the same questions at the same times they answer the same.

import fc from 'fast-check'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Ledger } from '../../src/testing/reference-store/ledger.ts'
import { keysOf } from '../../src/distributed/redis/transport.ts'
import type { LeaseAnswer, LeaseRequest } from '../../src/distributed/protocol.ts'
import { LEASE_SCRIPT } from '../../src/distributed/redis/lease-script.ts'
import { haveRedis, type RedisServer, startRedis } from '../support/redis.ts'

/** The same script, with a clock that the test moves. */
const TIMED = LEASE_SCRIPT.replace(
  "redis.call('TIME')",
  '{ floor_(tonumber(ARGV[4]) / 1000), (tonumber(ARGV[4]) % 1000) * 1000 }',
).replace(/^/, 'local floor_ = math.floor\n')

const limits = [
  {
    key: 'requests/60000',
    amount: 60,
    configured: 60,
    windowMs: 60_050,
    burst: 5,
    paced: true,
    rate: 60 / 60_050,
  },
  {
    key: 'tokens/60000',
    amount: 10_000,
    configured: 10_000,
    windowMs: 60_050,
    burst: 2000,
    paced: true,
    rate: 10_000 / 60_050,
  },
  {
    key: 'requests/86400000',
    amount: 100,
    configured: 100,
    windowMs: 86_400_050,
    burst: 100,
    paced: false,
    rate: 0,
  },
  {
    key: 'requests/UTC',
    amount: 90,
    configured: 90,
    windowMs: 0,
    burst: 90,
    paced: false,
    rate: 0,
    day: '2026-01-01',
    ends: 3_600_000,
  },
]

const step = fc.record({
  id: fc.constantFrom('a', 'b', 'c'),
  afterMs: fc.oneof(fc.integer({ min: 0, max: 400 }), fc.integer({ min: 0, max: 70_000 })),
  waiting: fc.integer({ min: 0, max: 5 }),
  more: fc.integer({ min: 0, max: 12 }),
  tokens: fc.integer({ min: 0, max: 900 }),
  back: fc.option(
    fc.record({ ageMs: fc.integer({ min: -200, max: 61_000 }), amount: fc.integer({ min: -3, max: 2 }) }),
  ),
  past: fc.option(
    fc.record({ ageMs: fc.integer({ min: -400, max: 61_000 }), amount: fc.integer({ min: 1, max: 500 }) }),
  ),
  gen: fc.integer({ min: 0, max: 9 }).map((n) => ['of another life', ''][n] ?? 'g'),
  alone: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  known: fc.integer({ min: 0, max: 4 }),
  fromMs: fc.constantFrom(0, 0, 100, 1500),
  lagMs: fc.constantFrom(0, 0, 2, 900, 3000),
  declared: fc.constantFrom(0, 0, 2, 3),
  keepMs: fc.constantFrom(0, 5000, 63_000, 63_000),
  /** The limits of this one are multiplied by this factor. */
  size: fc.constantFrom(1, 1, 1, 0.5, 2),
  order: fc.option(fc.integer({ min: 0, max: 5 })),
  sentMsAgo: fc.constantFrom(0, 0, 0, 1400, 1600, 4000),
  heardMsAgo: fc.option(fc.integer({ min: -500, max: 61_000 })),
  permits: fc.integer({ min: 0, max: 6 }),
  inFlight: fc.integer({ min: 0, max: 3 }),
  concurrent: fc.constantFrom(0, 0, 8),
  ended: fc.integer({ min: 0, max: 60 }),
  tooMany: fc.constantFrom(0, 0, 0, 1, 2),
  close: fc.option(fc.integer({ min: 0, max: 3000 }), { freq: 6 }),
  claim: fc.boolean(),
  quota: fc.option(fc.record({ forMs: fc.constantFrom(0, 5000), known: fc.boolean() }), { freq: 6 }),
  evidence: fc.record({
    tickets: fc.integer({ min: 0, max: 9 }),
    refusals: fc.integer({ min: 0, max: 2 }),
    passing: fc.boolean(),
  }),
  open: fc.boolean(),
  retreat: fc.boolean(),
  gone: fc.integer({ min: 0, max: 19 }).map((n) => n === 0),
  dead: fc.integer({ min: 0, max: 19 }).map((n) => (n === 0 ? ['b'] : [])),
})

/** The script writes 14 digits, and an empty table as an object: what differs by no more than that is the same. */
function alike(answer: unknown, expected: unknown): unknown {
  if (typeof answer === 'number' && typeof expected === 'number')
    return Math.abs(answer - expected) < 0.01 ? expected : answer
  if (typeof answer !== 'object' || typeof expected !== 'object' || !answer || !expected) return answer
  if (Array.isArray(expected) && Object.keys(answer).length === 0) return []
  if (Array.isArray(answer)) return answer.map((item, i) => alike(item, (expected as unknown[])[i]))
  const known = expected as Record<string, unknown>
  return Object.fromEntries(Object.entries(answer).map(([key, item]) => [key, alike(item, known[key])]))
}

describe.skipIf(!haveRedis())('the script in Redis', () => {
  let server: RedisServer
  let redis: Redis
  beforeAll(async () => {
    server = await startRedis()
    redis = new Redis(server.url)
  })
  afterAll(async () => {
    redis?.disconnect()
    await server?.close()
  })

  test('answers as the ledger does, whatever is asked', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), async (steps) => {
        await redis.flushall()
        const ledger = new Ledger()
        let time = 1_700_000_000_000
        let now = 0
        for (const {
          id,
          afterMs,
          tokens,
          fromMs,
          size,
          order,
          back,
          past,
          heardMsAgo,
          sentMsAgo,
          close,
          more,
          claim,
          quota,
          open,
          retreat,
          ...rest
        } of steps) {
          time += afterMs
          now += afterMs
          const question: LeaseRequest = {
            ...{
              id,
              limits: limits.map((limit) => ({
                ...limit,
                amount: size * limit.amount,
                configured: size * limit.configured,
                rate: size * limit.rate,
              })),
              order: order === null ? -1 : 1_700_000_000_000 + 1000 * order,
              ramp: { ms: 5000, from: 1 / 3 },
              aheadMs: 300 + fromMs,
              heldMs: 2 * fromMs,
              fromMs,
              refused: [0, 0, 0, 0],
              sentAt: now - sentMsAgo,
              heard: heardMsAgo === null ? -1 : now - heardMsAgo,
            },
            first: rest.waiting > 0 ? [1, 2 * tokens, 1, 1] : [],
            each: [1, tokens, 1, 1],
            amend: back ? [['requests/60000', Math.max(0, now - back.ageMs), back.amount]] : [],
            past: past ? [['tokens/60000', Math.max(0, now - past.ageMs), past.amount]] : [],
            more,
            lot: 1 + (more % 2),
            ...(close !== null && {
              close: {
                closing: { kind: 'rate' as const, blamed: [], told: false, tries: 1 },
                ...{ forMs: close, sentAt: now - 50 },
              },
            }),
            ...(quota && { quota }),
            ...(claim && { claim }),
            ...(open && { open }),
            ...(retreat && { retreat }),
            ...rest,
          }
          const expected = ledger.ask(question, time, 'g')
          const keys = keysOf('t:', 'x', limits)
          const args = [JSON.stringify(question), 'g', 'channel', String(time)]
          const answer = JSON.parse(
            (await redis.eval(TIMED, keys.length, ...keys, ...args)) as string,
          ) as LeaseAnswer
          expect(alike(answer, expected)).toEqual(expected)
        }
      }),
      { numRuns: 300 },
    )
  }, 60_000)
})
