// What the bare client gives on a bad day, the limited one gives, and the counts are right.

import { describe, expect, test } from 'vitest'
import { type Cast, type Enter, lacks, outcome, read, soon } from './stage.ts'
import type { Reply } from './server.ts'

export function badDays<C extends object>(cast: Cast<C>, enter: Enter<C>): void {
  const { replies } = cast

  describe('failures: the limited client behaves like the bare one', () => {
    test.each<[string, () => Reply]>([
      ['the server closes before it answers', () => ({ then: 'cut' })],
      ['the server closes in the middle of the body', () => ({ body: '{"id":"x","choi', then: 'cut' })],
      [
        'the body is not JSON',
        () => ({ body: '<html>oops</html>', headers: { 'content-type': 'text/html' } }),
      ],
      ['the body says it is JSON', () => ({ body: '<html>oops</html>' })],
      ['the error is not JSON', () => ({ status: 418, body: 'teapot' })],
      ['an empty body', () => ({ body: '', headers: { 'content-length': '0' } })],
      [
        'usage is missing',
        () => ({ ...replies.plain(), body: { ...(replies.plain().body as object), usage: undefined } }),
      ],
      [
        'usage is garbage',
        () => ({ ...replies.plain(), body: { ...(replies.plain().body as object), usage: 'much' } }),
      ],
      [
        'headers are garbage',
        () => ({
          ...replies.plain(),
          headers: {
            'x-ratelimit-limit-requests': 'many',
            'x-ratelimit-remaining-requests': '-1',
            'x-ratelimit-reset-requests': 'later',
            'anthropic-ratelimit-requests-limit': '',
            'retry-after': 'soon',
            'ratelimit-policy': ';;;q=;w=x',
          },
        }),
      ],
    ])('%s', async (_, reply) => {
      const { server, limiter, used, bare, client } = await enter({}, { maxRetries: 0 })
      server.replies(reply())
      const expected = await outcome(cast.plain(bare))
      expect(await outcome(cast.plain(client))).toEqual(expected)
      await soon(() => limiter.stats().inFlight === 0)
      expect(used('requests')).toBe(1)
    })

    test('a stream that is cut', async () => {
      const { server, bare, client } = await enter()
      const reply = replies.stream()
      server.replies({ ...reply, frames: reply.frames!.slice(0, 3), then: 'cut' })
      const expected = await outcome(cast.stream(bare).then(read))
      expect(await outcome(cast.stream(client).then(read))).toEqual(expected)
    })

    test('a stream with a frame that is no JSON', async () => {
      const { server, bare, client } = await enter()
      const reply = replies.stream()
      server.replies({ ...reply, frames: [...reply.frames!.slice(0, 2), 'data: {"usage":\n\n'] })
      const expected = await outcome(cast.stream(bare).then(read))
      expect(await outcome(cast.stream(client).then(read))).toEqual(expected)
    })

    test.skipIf(lacks(cast, 'headers'))('Retry-After is a date by a clock that is an hour off', async () => {
      const { client, server } = await enter()
      const date = Date.now() + 3_600_000
      const headers = {
        date: new Date(date).toUTCString(),
        'retry-after': new Date(date + 1000).toUTCString(),
      }
      server.replies({ ...replies.rateSilent(), headers }, replies.plain())
      expect(await cast.plain(client)).toBe('Paris.')
      const waited = server.seen[1]!.atMs - server.seen[0]!.atMs
      expect(waited).toBeGreaterThan(900)
      expect(waited).toBeLessThan(2500)
    })
  })
}
