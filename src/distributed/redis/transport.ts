// The line to Redis: questions are calls of the script, and news comes by a channel. One that answers nothing any more is
// given up for a new connection with the next request.

import type { Connection } from './connection.ts'
import { cachedScript } from './cached-script.ts'
import type { LeaseAnswer, StoreTransport, StoreNews, WantedLimit } from '../protocol.ts'
import { LEASE_SCRIPT } from './lease-script.ts'

/** All keys of a limiter share its hash tag: in a cluster they live on one node. */
export function keysOf(prefix: string, name: string, limits: readonly WantedLimit[]): string[] {
  const tag = `${prefix}{${name.replace(/[{}%]/g, encodeURIComponent)}}`
  const keys = ['', ':seen', ':joined', ':wanting', ':permits', ...limits.map(({ key }) => `:log:${key}`)]
  return keys.map((key) => tag + key)
}

export function redisTransport(connection: Connection, prefix: string, name: string): StoreTransport {
  const [tag] = keysOf(prefix, name, [])
  const channel = `${tag}:news`
  const call = cachedScript(connection, LEASE_SCRIPT)
  let unanswered = 0
  let hears: ((news: StoreNews, now: number) => void) | undefined
  let subscribed = false

  return {
    ask(request, done) {
      if (unanswered > 0) connection.reset?.()
      unanswered++
      const gen = Math.random().toString(36).slice(2)
      call(keysOf(prefix, name, request.limits), [JSON.stringify(request), gen, channel])
        .then(parsed)
        .finally(() => unanswered--)
        .then(
          (answer) => done(undefined, withLists(answer as LeaseAnswer)),
          (error: unknown) => {
            // A master that was demoted keeps its connections: only a new one finds its successor.
            if (String((error as { message?: unknown })?.message).includes('READONLY'))
              connection.reset?.(error)
            done(error)
          },
        )
    },
    listen(heard) {
      hears = heard
      if (!subscribed) {
        subscribed = true
        connection.subscribe?.(channel, (message) => {
          const [news, now] = parsed(message) as [StoreNews, number]
          hears?.(news, now)
        })
      }
      return () => {
        hears = undefined
      }
    },
    close: () => connection.close(),
  }
}

/** Upstash's client parses JSON by itself. */
const parsed = (value: unknown): unknown => (typeof value === 'string' ? JSON.parse(value) : value)

/** An empty array comes out of the script as an object. */
function withLists(answer: LeaseAnswer): LeaseAnswer {
  const list = <T>(value: T[]): T[] => (Array.isArray(value) ? value : [])
  const { slots, suspects, used, accepted } = answer
  return {
    ...answer,
    slots: list(slots),
    suspects: list(suspects),
    used: list(used),
    accepted: list(accepted),
  }
}
