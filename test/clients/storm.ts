// Random failures: answers and refusals of all kinds, broken connections, silence, callers that abort.

import { expect, test } from 'vitest'
import { seededRandom } from 'llmiter/testing'
import type { Reply } from './server.ts'
import { type Cast, EMPTY, type Enter, soon } from './stage.ts'

export function storm<C extends object>(cast: Cast<C>, enter: Enter<C>): void {
  const { replies } = cast

  test('random failures: all calls settle, and nothing is sent without a ticket', async () => {
    const { client, server, limiter, used } = await enter(
      { maxConcurrent: 8 },
      { maxRetries: 1, timeout: 300 },
    )
    const random = seededRandom(7)
    const days: (() => Reply)[] = [
      ...[replies.plain, replies.plain, replies.stream, replies.rateSilent, replies.overload, replies.broken],
      ...[
        replies.oversize,
        replies.refusedMidway,
        () => ({ then: 'cut' as const }),
        () => ({ then: 'hang' as const }),
      ],
      () => replies.stream({ frameMs: 3, then: 'cut' }),
      () => ({ ...replies.plain(), delayMs: 20 }),
      () => ({ body: 'garbage' }),
    ]
    server.replies(() => days[Math.floor(random() * days.length)]!())
    const one = async (i: number) => {
      const abort = new AbortController()
      const leavesAt = performance.now() + (i % 3 === 0 ? 60 * random() : 1500)
      // Some leave early; the others not before enough was sent, however slow the machine is.
      const timer = setInterval(() => {
        if (performance.now() >= leavesAt && (i % 3 === 0 || server.seen.length > 20)) abort.abort()
      }, 10)
      try {
        if (i % 2) return await cast.plain(client, { signal: abort.signal })
        for await (const word of await cast.stream(client, { signal: abort.signal }))
          if (word && i % 4 === 0) break
      } catch (error) {
        expect(error).toBeInstanceOf(Error)
      } finally {
        clearInterval(timer)
      }
      return ''
    }
    await Promise.all(Array.from({ length: 120 }, (_, i) => one(i)))
    await soon(() => limiter.stats().inFlight === 0)
    expect(limiter.stats()).toMatchObject(EMPTY)
    expect(server.seen.length).toBeGreaterThan(20)
    expect(used('requests')).toBeGreaterThanOrEqual(server.seen.length)
    expect(limiter.stats().issued).toBeGreaterThanOrEqual(server.seen.length)
  })
}
