// Sends requests to the store in Redis: each is a call of the script, and news arrives on a channel. A connection
// that does not answer is replaced with the next request.

import { text } from '../../lib/validate.ts'
import type { Connection } from './connection.ts'
import { cachedScript } from './cached-script.ts'
import {
  isAnswer,
  isNews,
  type StoreNews,
  type StoreTransport,
  VERSION,
  type WantedLimit,
} from '../protocol.ts'
import { LEASE_SCRIPT } from './lease-script.ts'

/**
 * All keys of a limiter share its hash tag, so that in a cluster they are on one node. The second half is used
 * when processes with another version are present.
 */
export function keysOf(prefix: string, name: string, limits: readonly WantedLimit[]): string[] {
  const tag = `${prefix}{${name.replace(/[{}%]/g, encodeURIComponent)}}`
  const keys = [
    '',
    ':seen',
    ':joined',
    ':wanting',
    ':permits',
    ':missing',
    ':short',
    ...limits.map(({ key }) => `:log:${key}`),
  ]
  return [tag, `${tag}:v${VERSION}`].flatMap((of) => keys.map((key) => of + key))
}

type Listener = Parameters<StoreTransport['listen']>

export function redisTransport(connection: Connection, prefix: string, name: string): StoreTransport {
  const [tag] = keysOf(prefix, name, [])
  const channel = `${tag}:news`
  const call = cachedScript(connection, LEASE_SCRIPT)
  let unanswered = 0
  let listener: Listener | undefined
  const channels = new Set<string>()

  const subscribe = (to: string) => {
    if (channels.has(to)) return
    channels.add(to)
    connection.subscribe?.(to, (message) => {
      if (!listener) return
      const [heard, ignored] = listener
      const published = readPublished(message)
      if (published) heard(...published)
      else ignored(new Error(`a message on the channel '${to}' is not from llmiter: ${text(message)}`))
    })
  }

  return {
    ask(request, done) {
      // The goodbye follows the request before it.
      if (unanswered > 0 && !request.gone) connection.reset?.()
      unanswered++
      const gen = Math.random().toString(36).slice(2)
      call(keysOf(prefix, name, request.limits), [JSON.stringify(request), gen, channel])
        .then(readAnswer)
        .finally(() => unanswered--)
        .then(
          (answer) => {
            // Processes of this version use separate keys, and a separate channel.
            if (answer.otherVersion !== undefined) subscribe(`${channel}:v${VERSION}`)
            done(undefined, answer)
          },
          (error: unknown) => {
            // A demoted master keeps its connections open. Only a new connection reaches its successor.
            if (String((error as { message?: unknown })?.message).includes('READONLY'))
              connection.reset?.(error)
            done(error)
          },
        )
    },
    listen(...given) {
      listener = given
      subscribe(channel)
      return () => {
        listener = undefined
      }
    },
    close: () => connection.close(),
  }
}

/**
 * Parses `[news, time, version]`. Undefined if the message is not from llmiter. The first version published no
 * version.
 */
function readPublished(message: string): [news: StoreNews, now: number] | undefined {
  let value: unknown
  try {
    value = JSON.parse(message)
  } catch {
    return undefined
  }
  if (!Array.isArray(value)) return undefined
  const [news, now, version = 1] = value as unknown[]
  return version === VERSION && typeof now === 'number' && isNews(news) ? [news, now] : undefined
}

/** Lua encodes an empty array as an object, and Upstash's client parses JSON by itself. */
function readAnswer(value: unknown) {
  const answer: unknown = typeof value === 'string' ? JSON.parse(value) : value
  if (!isAnswer(answer)) throw new Error(`Redis gave no answer of the lease script: ${text(value)}`)
  const list = <T>(items: T[]): T[] => (Array.isArray(items) ? items : [])
  const { slots, suspects, used, accepted, followed } = answer
  return {
    ...answer,
    slots: list(slots),
    suspects: list(suspects),
    used: list(used),
    accepted: list(accepted),
    followed: list(followed),
  }
}
