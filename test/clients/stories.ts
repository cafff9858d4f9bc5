// The tests that must pass with every SDK: the real SDK, limited, against a real server with the provider's
// messages.

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { LimiterOptions } from 'llmiter'
import { badDays } from './bad-days.ts'
import { type Cast, EMPTY, lacks, outcome, read, soon, type Stage, stageFor } from './stage.ts'
import { storm } from './storm.ts'

export function stories<C extends object>(cast: Cast<C>): void {
  const { replies } = cast
  let stage: Stage<C>
  const enter = async (options: Partial<LimiterOptions> = {}, clientOptions = {}) => {
    await stage?.server.close()
    stage = await stageFor(cast, options, clientOptions)
    return stage
  }
  const own = (error: object) => (cast.encloses ? { cause: error } : error)
  const status = (code: number | undefined) => ({ [cast.status ?? 'status']: code })
  const settled = () => soon(() => stage.limiter.stats().inFlight === 0)

  describe(cast.name, () => {
    beforeEach(async () => {
      await enter()
    })
    afterEach(async () => {
      await settled()
      expect(stage.limiter.stats()).toMatchObject(EMPTY)
      await stage.server.close()
    })

    test('a plain call: its answer, and what it has used', async () => {
      const { client, server, limiter, used } = stage
      server.replies(replies.plain())
      expect(await cast.plain(client)).toBe('Paris.')
      await settled()
      expect(limiter.stats()).toMatchObject({ issued: 1, finished: 1, refused: 0 })
      expect({ inputTokens: used('inputTokens'), outputTokens: used('outputTokens') }).toEqual(cast.used)
      expect(used('requests')).toBe(1)
    })

    test('a stream: each word when it comes, the ticket held to the end, the usage settled', async () => {
      const { client, server, limiter, used } = stage
      server.replies(replies.stream({ frameMs: 5 }))
      let text = ''
      for await (const word of await cast.stream(client)) {
        text += word
        if (!text.includes('.')) expect(limiter.stats().inFlight).toBe(1)
      }
      expect(text).toBe('Paris.')
      await settled()
      expect({ inputTokens: used('inputTokens'), outputTokens: used('outputTokens') }).toEqual(cast.used)
    })

    test.skipIf(lacks(cast, 'leaving'))(
      'a stream that is left early: the estimate is charged, and the server sees the disconnect',
      async () => {
        const { client, server, used } = stage
        server.replies(replies.stream({ frameMs: 30 }))
        for await (const word of await cast.stream(client)) if (word) break
        await settled()
        await soon(() => server.seen[0]!.left)
        expect(used('inputTokens')).toBeGreaterThan(0)
        if (!lacks(cast, 'output')) expect(used('outputTokens')).toBeGreaterThan(cast.used.outputTokens)
      },
    )

    test('aborted while it waits in line: the SDK’s own error, and nothing is sent', async () => {
      const { client, server } = await enter({ maxConcurrent: 1 })
      server.replies({ ...replies.plain(), delayMs: 60 })
      const first = cast.plain(client)
      await soon(() => server.seen.length === 1)
      const abort = new AbortController()
      const second = cast.plain(client, { signal: abort.signal })
      await soon(() => stage.limiter.stats().waiting === 1)
      abort.abort()
      await expect(second).rejects.toThrow(cast.abortError)
      expect(await first).toBe('Paris.')
      expect(server.seen).toHaveLength(1)
      expect(stage.used('requests')).toBe(1)
    })

    test('aborted in flight: the SDK’s own error, and the ticket is returned', async () => {
      const { client, server } = stage
      server.replies({ then: 'hang' })
      const abort = new AbortController()
      const call = cast.plain(client, { signal: abort.signal })
      await soon(() => server.seen.length === 1)
      abort.abort()
      await expect(call).rejects.toThrow(cast.abortError)
      await settled()
    })

    test('aborted before it is made', async () => {
      await expect(cast.plain(stage.client, { signal: AbortSignal.abort() })).rejects.toThrow(cast.abortError)
      expect(stage.server.seen).toHaveLength(0)
      expect(stage.used('requests')).toBe(0)
    })

    test('a refusal with Retry-After waits that long, whatever maxRetries', async () => {
      const { client, server, limiter } = await enter({}, { maxRetries: 0 })
      server.replies(replies.rate({ 'retry-after-ms': '150' }), replies.plain())
      expect(await cast.plain(client)).toBe('Paris.')
      expect(server.seen).toHaveLength(2)
      expect(server.seen[1]!.atMs - server.seen[0]!.atMs).toBeGreaterThan(140)
      expect(limiter.stats()).toMatchObject({ refused: 1, issued: 2 })
    })

    test('refusals without Retry-After, more of them than any retry count', async () => {
      const { client, server, limiter } = stage
      server.replies(...Array.from({ length: 5 }, replies.rateSilent), replies.plain())
      expect(await cast.plain(client)).toBe('Paris.')
      expect(server.seen).toHaveLength(6)
      expect(limiter.stats()).toMatchObject({ refused: 5, issued: 6 })
    })

    test('maxRefusals: the next refusal is thrown as the SDK throws it, and the SDK does not retry', async () => {
      const { client, server, limiter } = await enter({ maxRefusals: 1 }, { maxRetries: 2 })
      const refusals = Array.from({ length: 5 }, () => replies.rate({ 'retry-after-ms': '20' }))
      server.replies(...refusals, replies.plain())
      await expect(cast.plain(client)).rejects.toThrow(cast.refusedError)
      expect(server.seen).toHaveLength(2)
      expect(limiter.stats()).toMatchObject({ refused: 2, failed: 1, inFlight: 0, waiting: 0 })
    })

    const retry = { attempts: 3, minMs: 5, maxMs: 10 }

    test('retry of the limiter: a failure is tried again, where the SDK leaves that to it', async () => {
      const { client, server, limiter } = await enter({ retry }, { maxRetries: 0 })
      server.replies(replies.broken(), replies.broken(), replies.plain())
      expect(await cast.plain(client)).toBe('Paris.')
      expect(server.seen).toHaveLength(3)
      expect(limiter.stats()).toMatchObject({ issued: 3, refused: 0 })
    })

    test('retry of the limiter: after all attempts the failure is thrown as the SDK throws it', async () => {
      const { client, server } = await enter({ retry }, { maxRetries: 0 })
      server.replies(...Array.from({ length: 5 }, replies.broken))
      await expect(cast.plain(client)).rejects.toThrow()
      expect(server.seen).toHaveLength(3)
    })

    test('without retry a failure is not tried again', async () => {
      const { client, server } = await enter({}, { maxRetries: 0 })
      server.replies(replies.broken(), replies.plain())
      await expect(cast.plain(client)).rejects.toThrow()
      expect(server.seen).toHaveLength(1)
    })

    test('timeoutMs of the limiter ends a try, its request too; retry makes another', async () => {
      const slow = { ...replies.plain(), delayMs: 5000 }
      const { client, server } = await enter({ timeoutMs: 250 }, { maxRetries: 0 })
      server.replies(slow)
      await expect(cast.plain(client)).rejects.toThrow()
      await soon(() => server.seen[0]!.left)
      const second = await enter({ timeoutMs: 500, retry }, { maxRetries: 0 })
      second.server.replies(slow, replies.plain())
      expect(await cast.plain(second.client)).toBe('Paris.')
      expect(second.server.seen).toHaveLength(2)
    })

    test('a refused stream waits in line too', async () => {
      const { client, server } = stage
      server.replies(replies.rate({ 'retry-after-ms': '20' }), replies.stream())
      expect(await read(await cast.stream(client))).toBe('Paris.')
      expect(server.seen).toHaveLength(2)
    })

    test('an overload closes the gate and is waited out', async () => {
      const { client, server, limiter } = stage
      const gates: string[] = []
      limiter.on('gate', ({ state }) => gates.push(state))
      server.replies(replies.overload(), replies.plain())
      expect(await cast.plain(client)).toBe('Paris.')
      expect(gates.slice(0, 2)).toEqual(['closed', 'probing'])
    })

    test('one refusal holds all; the refused go first, in the order they came', async () => {
      const { client, server } = await enter({ maxConcurrent: 2 })
      server.replies(
        replies.rate({ 'retry-after-ms': '50' }),
        replies.rate({ 'retry-after-ms': '50' }),
        replies.plain(),
      )
      const order: number[] = []
      await Promise.all([0, 1, 2, 3].map((i) => cast.plain(client).then(() => order.push(i))))
      expect(server.seen).toHaveLength(6)
      expect(order).toEqual([0, 1, 2, 3])
    })

    test('a quota that is used up: the SDK’s own error, once, and the next calls fail at once', async () => {
      const { client, server } = stage
      server.replies(replies.quota())
      await expect(cast.plain(client)).rejects.toThrow(cast.refusedError)
      expect(server.seen).toHaveLength(1)
      await expect(cast.plain(client)).rejects.toMatchObject(own({ code: 'QUOTA_EXHAUSTED' }))
      expect(server.seen).toHaveLength(1)
    })

    test('a call that can never fit: the SDK’s own error, once; others go on', async () => {
      const { client, server } = stage
      server.replies(replies.oversize(), replies.plain())
      await expect(cast.plain(client)).rejects.toMatchObject(status(replies.oversize().status))
      expect(server.seen).toHaveLength(1)
      expect(await cast.plain(client)).toBe('Paris.')
    })

    test.skipIf(lacks(cast, 'midway'))(
      'refused in the middle of a stream: the SDK’s error, and the gate closes',
      async () => {
        const { bare, client, server, limiter } = stage
        server.replies(replies.refusedMidway())
        const expected = await outcome(cast.stream(bare).then(read))
        expect(expected).toHaveProperty('thrown')
        expect(await outcome(cast.stream(client).then(read))).toEqual(expected)
        await settled()
        expect(limiter.stats()).toMatchObject({ refused: 1, gate: 'closed' })
      },
    )

    test.skipIf(cast.isFetch || lacks(cast, 'retries'))(
      '5xx: tried again as often as the SDK does, each try with a ticket',
      async () => {
        const { client, server, limiter } = await enter({}, { maxRetries: 1 })
        server.replies(replies.broken(), replies.plain())
        expect(await cast.plain(client)).toBe('Paris.')
        expect(limiter.stats().issued).toBe(2)
        server.replies(replies.broken())
        await expect(cast.plain(client)).rejects.toMatchObject({ status: 500 })
        expect(server.seen).toHaveLength(4)
        expect(limiter.stats().issued).toBe(4)
      },
    )

    test.skipIf(cast.isFetch || lacks(cast, 'retries', 'reconnects'))(
      'a connection that breaks: tried again as often as the SDK does',
      async () => {
        const { client, server, limiter } = await enter({ maxConcurrent: 1 }, { maxRetries: 1 })
        server.replies({ then: 'cut' }, replies.rateSilent(), replies.plain())
        expect(await cast.plain(client)).toBe('Paris.')
        expect(limiter.stats()).toMatchObject({ issued: 3, refused: 1 })
        expect(server.seen).toHaveLength(3)
      },
    )

    test.skipIf(cast.isFetch || lacks(cast, 'retries'))(
      'a call that is tried again keeps its place in line',
      async () => {
        const { client, server } = await enter({ maxConcurrent: 1 })
        const order: string[] = []
        const call = (name: string) => cast.plain(client).then(() => order.push(name))
        server.replies(replies.broken(), { ...replies.plain(), delayMs: 700 }, replies.plain())
        const first = call('first')
        await soon(() => server.seen.length === 1)
        // While the SDK waits for its next try, the second one goes; the third came after the first.
        await Promise.all([first, call('second'), call('third')])
        expect(order).toEqual(['second', 'first', 'third'])
      },
    )

    test.skipIf(cast.isFetch)('the wait in line is no part of the SDK’s timeout', async () => {
      const { client, server } = await enter(
        { requestsPerMinute: 200, burst: 1 },
        { timeout: 300, maxRetries: 0 },
      )
      server.replies(replies.plain(), replies.rate({ 'retry-after-ms': '600' }), replies.plain())
      expect(await Promise.all([cast.plain(client), cast.plain(client)])).toEqual(['Paris.', 'Paris.'])
      server.replies({ ...replies.plain(), delayMs: 700 })
      const [bare, limited] = await Promise.all([
        outcome(cast.plain(stage.bare)),
        outcome(cast.plain(client)),
      ])
      expect(limited).toEqual(bare)
      expect(limited).toMatchObject({
        message: expect.stringMatching(cast.timedOut ?? /timed out/) as string,
      })
    })

    test.skipIf(cast.isFetch)('what the SDK throws before it sends takes nothing of the limit', async () => {
      const { bare, client, server, used } = stage
      const call = { headers: { 'x-bad': 'two\nlines' } }
      const expected = await outcome(cast.plain(bare, call))
      expect(expected).toHaveProperty('thrown')
      expect(await outcome(cast.plain(client, call))).toEqual(expected)
      expect([server.seen.length, used('requests'), used('tokens')]).toEqual([0, 0, 0])
    })

    test('too long in line: the limiter’s error, with the refusal in its cause', async () => {
      const { bare, server, limiter } = stage
      const client = cast.limit(bare, limiter, { maxWaitMs: 50 })
      server.replies(replies.rate({ 'retry-after': '5' }))
      const call = cast.plain(client)
      await expect(call).rejects.toMatchObject(
        own({ code: 'WAIT_TIMEOUT', cause: cast.encloses ? { status: 429 } : status(429) }),
      )
      expect(server.seen).toHaveLength(1)
    })

    test.skipIf(lacks(cast, 'headers'))('headers are learned, and told', async () => {
      const { client, server, limiter } = stage
      server.replies({
        ...replies.plain(),
        headers: {
          ...replies.plain().headers,
          'ratelimit-limit': '6000',
          'ratelimit-policy': '6000;w=60',
        },
      })
      await cast.plain(client)
      await settled()
      expect(limiter.stats().limits[0]!.learned).toBeCloseTo(6000)
      expect(limiter.stats().told).toContainEqual({ of: 'requests', perMs: 60_000, limit: 6000 })
    })

    badDays(cast, enter)

    test('a limit of its own for each model; a model without one is an error that says so', async () => {
      const { server } = stage
      server.replies(replies.plain())
      const client = cast.limit(cast.client(server.url), { models: { other: { requestsPerMinute: 60 } } })
      await expect(cast.plain(client)).rejects.toThrow(/has no limits for the model .*; known: other/)
      expect(server.seen).toHaveLength(0)
    })

    storm(cast, enter)

    test.skipIf(lacks(cast, 'twice'))('limiting twice is an error', () => {
      expect(() => cast.limit(stage.client, stage.limiter)).toThrow('limited already')
    })

    test('a full line: the error of the limiter itself', async () => {
      const { client, server } = await enter({ maxConcurrent: 1, queue: { max: 0 } })
      server.replies({ ...replies.plain(), delayMs: 50 })
      const first = cast.plain(client)
      await soon(() => server.seen.length === 1)
      await expect(cast.plain(client)).rejects.toMatchObject(own({ code: 'QUEUE_FULL' }))
      await first
      expect(server.seen).toHaveLength(1)
    })
  })
}
