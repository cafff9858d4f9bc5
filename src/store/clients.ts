// Three clients of Redis as one connection: `ioredis`, `redis` (node-redis) and `@upstash/redis`.
//
// The limiter works on connections of its own, made from the client that it was given: so that it can say how they fail
// (at once, without a queue of old questions) and come back (within a quarter of a second), and so that a subscription
// has one to itself. They keep no process alive.

import { text } from './text.ts'

export interface Connection {
  /** EVALSHA or EVAL. Rejects at once while there is no connection. */
  call(command: 'EVALSHA' | 'EVAL', script: string, keys: string[], args: string[]): Promise<unknown>
  /** Not where the client cannot: then news comes with the next answer. */
  subscribe?(channel: string, heard: (message: string) => void): void
  /** Gives a connection up that answers nothing any more. */
  reset?(): void
  close(): void
}

const RETRY_MS = 250
const CONNECT_MS = 2000

type Listener = (...args: never[]) => void

interface Emitter {
  on(event: string, listener: Listener): unknown
  once(event: string, listener: Listener): unknown
}

/** What is used of a client of `ioredis`, or of its `Cluster`. */
export interface IoRedisLike {
  once(event: 'end', listener: () => void): unknown
  readonly status: string
  readonly isCluster: boolean
  readonly options: object
  duplicate(...args: never[]): unknown
  evalsha(...args: never[]): Promise<unknown>
  eval(...args: never[]): Promise<unknown>
  subscribe(...args: never[]): Promise<unknown>
  disconnect(reconnect?: boolean): void
}

/** What is used of a client of `redis`, or of its cluster. */
export interface NodeRedisLike {
  once(event: 'end', listener: () => void): unknown
  duplicate(overrides?: never): unknown
  evalSha(sha: string, options?: { keys?: string[]; arguments?: string[] }): Promise<unknown>
  eval(script: string, options?: { keys?: string[]; arguments?: string[] }): Promise<unknown>
  connect(): Promise<unknown>
  destroy(): void
}

/** What is used of a client of `@upstash/redis`. */
export interface UpstashLike {
  evalsha(sha: string, keys: string[], args: string[]): Promise<unknown>
  eval(script: string, keys: string[], args: string[]): Promise<unknown>
}

export type RedisClient = IoRedisLike | NodeRedisLike | UpstashLike

export function connect(client: RedisClient): Connection {
  const has = (name: string) => typeof (client as unknown as Record<string, unknown>)[name] === 'function'
  if (client && has('evalSha') && has('duplicate')) return nodeRedis(client as NodeRedisLike)
  if (client && has('evalsha') && has('duplicate')) return ioRedis(client as IoRedisLike)
  if (client && has('evalsha')) return upstash(client as UpstashLike)
  throw new TypeError(`redisStore needs a client of ioredis, redis or @upstash/redis, got ${text(client)}`)
}

/** Why there is no connection: what the client said last. */
const offline = (error: unknown) => error ?? new Error('no connection to Redis')

interface IoRedis extends Emitter {
  readonly status: string
  readonly stream?: { unref?(): void }
  evalsha(sha: string, keys: number, ...args: string[]): Promise<unknown>
  eval(script: string, keys: number, ...args: string[]): Promise<unknown>
  subscribe(channel: string): Promise<unknown>
  disconnect(reconnect?: boolean): void
}

function ioRedis(client: IoRedisLike): Connection {
  let error: unknown
  const made: IoRedis[] = []
  const open = () => {
    const retry = () => RETRY_MS
    const own = {
      retryStrategy: retry,
      maxRetriesPerRequest: 0,
      autoResendUnfulfilledCommands: false,
      enableOfflineQueue: false,
    }
    const { redisOptions } = client.options as { redisOptions?: object }
    const nodes = { ...redisOptions, autoResendUnfulfilledCommands: false, connectTimeout: CONNECT_MS }
    const args: unknown[] = client.isCluster
      ? [[], { clusterRetryStrategy: retry, redisOptions: nodes, slotsRefreshTimeout: CONNECT_MS }]
      : [{ ...own, connectTimeout: CONNECT_MS, lazyConnect: false }]
    const connection = client.duplicate(...(args as never[])) as IoRedis
    connection.on('error', (failure: unknown) => (error = failure))
    connection.on('connect', () => connection.stream?.unref?.())
    made.push(connection)
    return connection
  }
  const opened = (connection: IoRedis) => ({
    connection,
    connected: new Promise<void>((resolve) => connection.once('ready', resolve)),
  })
  let main: ReturnType<typeof opened> | undefined
  client.once('end', () => made.forEach((connection) => connection.disconnect()))
  return {
    async call(command, script, keys, args) {
      main ??= opened(open())
      if (main.connection.status !== 'ready') await Promise.race([main.connected, soon()])
      const { connection } = main
      if (connection.status !== 'ready') throw offline(error)
      return command === 'EVALSHA'
        ? connection.evalsha(script, keys.length, ...keys, ...args)
        : connection.eval(script, keys.length, ...keys, ...args)
    },
    subscribe(channel, heard) {
      const listener = open()
      listener.on('message', (_: string, message: string) => heard(message))
      const subscribe = () => void listener.subscribe(channel).catch((failure: unknown) => (error = failure))
      if (listener.status === 'ready') subscribe()
      // The client renews it by itself after that.
      else listener.once('ready', subscribe)
    },
    reset: () => made.forEach((connection) => connection.disconnect(true)),
    close: () => made.forEach((connection) => connection.disconnect()),
  }
}

/** A new connection takes its time. */
function soon(): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, 2 * RETRY_MS)
    ;(timer as { unref?(): void }).unref?.()
  })
}

interface NodeRedis extends Emitter {
  readonly isReady: boolean
  evalSha(sha: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>
  eval(script: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>
  subscribe(channel: string, heard: (message: string) => void): Promise<unknown>
  connect(): Promise<unknown>
  destroy(): void
  unref?(): void
}

function nodeRedis(client: NodeRedisLike): Connection {
  let error: unknown
  const made: NodeRedis[] = []
  const { options = {} } = client as {
    options?: { socket?: object; rootNodes?: unknown; defaults?: { socket?: object } }
  }
  const socketOf = (socket: object | undefined) => ({
    ...socket,
    reconnectStrategy: RETRY_MS,
    connectTimeout: CONNECT_MS,
  })
  const open = () => {
    const overrides = options.rootNodes
      ? {
          defaults: {
            ...options.defaults,
            socket: socketOf(options.defaults?.socket),
            disableOfflineQueue: true,
          },
        }
      : { socket: socketOf(options.socket), disableOfflineQueue: true }
    const connection = client.duplicate(overrides as never) as NodeRedis
    connection.on('error', (failure: unknown) => (error = failure))
    const connected = connection.connect().then(
      () => connection.unref?.(),
      (failure: unknown) => (error = failure),
    )
    made.push(connection)
    return { connection, connected }
  }
  const close = () => {
    for (const connection of made.splice(0)) {
      try {
        connection.destroy()
      } catch {
        // Never open, or closed already.
      }
    }
  }
  let main: ReturnType<typeof open> | undefined
  client.once('end', close)
  return {
    async call(command, script, keys, args) {
      const { connection, connected } = (main ??= open())
      if (!connection.isReady) await Promise.race([connected, soon()])
      if (!connection.isReady) throw offline(error)
      const input = { keys, arguments: args }
      return command === 'EVALSHA' ? connection.evalSha(script, input) : connection.eval(script, input)
    },
    subscribe(channel, heard) {
      const { connection, connected } = open()
      void connected
        .then(() => connection.subscribe(channel, heard))
        .catch((failure: unknown) => (error = failure))
    },
    reset() {
      close()
      main = undefined
    },
    close,
  }
}

function upstash(client: UpstashLike): Connection {
  return {
    call: (command, script, keys, args) =>
      command === 'EVALSHA' ? client.evalsha(script, keys, args) : client.eval(script, keys, args),
    close() {},
  }
}
