// Questions as calls of the script. EVALSHA, and where the server does not know the script (it was restarted, or flushed)
// EVAL, which teaches it: nobody notices.

import type { Connection } from './clients.ts'
import type { Answer, Line, News, Wanted } from './protocol.ts'
import { SCRIPT } from './script.ts'

let sha: Promise<string> | undefined

async function shaOf(script: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-1', new TextEncoder().encode(script))
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** All keys of a limiter share its hash tag: in a cluster they live on one node. */
export function keysOf(prefix: string, name: string, limits: readonly Wanted[]): string[] {
  const tag = `${prefix}{${name.replace(/[{}%]/g, encodeURIComponent)}}`
  const keys = ['', ':seen', ':joined', ':wanting', ':permits', ...limits.map(({ key }) => `:log:${key}`)]
  return keys.map((key) => tag + key)
}

export function redisLine(connection: Connection, prefix: string, name: string): Line {
  const [tag] = keysOf(prefix, name, [])
  const channel = `${tag}:news`
  let unanswered = 0
  let hears: ((news: News, now: number) => void) | undefined
  let subscribed = false

  const call = async (keys: string[], args: string[]): Promise<unknown> => {
    try {
      return await connection.call('EVALSHA', await (sha ??= shaOf(SCRIPT)), keys, args)
    } catch (error) {
      if (!String((error as { message?: unknown })?.message).includes('NOSCRIPT')) throw error
      return connection.call('EVAL', SCRIPT, keys, args)
    }
  }

  return {
    ask(question, done) {
      if (unanswered > 0) connection.reset?.()
      unanswered++
      const gen = Math.random().toString(36).slice(2)
      call(keysOf(prefix, name, question.limits), [JSON.stringify(question), gen, channel])
        .then(parsed)
        .finally(() => unanswered--)
        .then(
          (answer) => done(undefined, withLists(answer as Answer)),
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
          const [news, now] = parsed(message) as [News, number]
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
function withLists(answer: Answer): Answer {
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
