// Three clients of Redis as one connection: `ioredis`, `redis` (node-redis) and `@upstash/redis`.
//
// The limiter works on connections of its own, made from the client that it was given: so that it can say how they fail
// (at once, without a queue of old questions) and come back (within a quarter of a second), and so that a subscription
// has one to itself. They keep no process alive.

import { text } from '../core/check.ts'

export interface Connection {
  /** EVALSHA or EVAL. Rejects at once while there is no connection. */
  call(command: 'EVALSHA' | 'EVAL', script: string, keys: string[], args: string[]): Promise<unknown>
  /** Not where the client cannot: then news comes with the next answer. */
  subscribe?(channel: string, heard: (message: string) => void): void
  /** Gives a connection up that answers nothing any more, or nothing but this error. */
  reset?(error?: unknown): void
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

/** Clients retry by timers that keep the process alive, and some give up: so a lost connection is made again here. */
function later(then: () => void, ms: number): void {
  const timer = setTimeout(then, ms)
  ;(timer as { unref?(): void }).unref?.()
}

/** A new connection takes its time. */
const soon = () => new Promise<void>((resolve) => later(resolve, 2 * RETRY_MS))

interface IoRedis extends Emitter {
  readonly status: string
  readonly stream?: { unref?(): void }
  evalsha(sha: string, keys: number, ...args: string[]): Promise<unknown>
  eval(script: string, keys: number, ...args: string[]): Promise<unknown>
  subscribe(channel: string): Promise<unknown>
  connect(): Promise<void>
  disconnect(): void
}

function ioRedis(client: IoRedisLike): Connection {
  let error: unknown
  let closed = false
  const made: IoRedis[] = []
  const failed = (failure: unknown) => void (error = failure)
  const open = () => {
    const own = {
      retryStrategy: null,
      maxRetriesPerRequest: 0,
      autoResendUnfulfilledCommands: false,
      enableOfflineQueue: false,
    }
    const { redisOptions } = client.options as { redisOptions?: object }
    const nodes = { ...redisOptions, autoResendUnfulfilledCommands: false, connectTimeout: CONNECT_MS }
    const args: unknown[] = client.isCluster
      ? [[], { clusterRetryStrategy: () => null, redisOptions: nodes, slotsRefreshTimeout: CONNECT_MS }]
      : [{ ...own, connectTimeout: CONNECT_MS, lazyConnect: false }]
    const connection = client.duplicate(...(args as never[])) as IoRedis
    connection.on('error', failed)
    connection.on('connect', () => connection.stream?.unref?.())
    // Why it fails is said by its events.
    connection.on('end', () => later(() => closed || connection.connect().catch(() => {}), RETRY_MS))
    made.push(connection)
    return connection
  }
  const opened = (connection: IoRedis) => ({
    connection,
    connected: new Promise<void>((resolve) => connection.once('ready', resolve)),
  })
  let main: ReturnType<typeof opened> | undefined
  const disconnect = () => made.forEach((connection) => connection.disconnect())
  const close = () => {
    closed = true
    disconnect()
  }
  client.once('end', close)
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
      listener.on('ready', () => void listener.subscribe(channel).catch(failed))
    },
    reset(why = error) {
      error = why
      disconnect()
    },
    close,
  }
}

interface NodeRedis extends Emitter {
  readonly isOpen: boolean
  readonly isReady: boolean
  evalSha(sha: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>
  eval(script: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>
  subscribe(channel: string, heard: (message: string) => void): Promise<unknown>
  connect(): Promise<unknown>
  destroy(): void
  unref?(): void
}

/** One that is there again when it was lost. */
interface Kept {
  connection: NodeRedis
  connected: Promise<void>
  end(): void
}

function nodeRedis(client: NodeRedisLike): Connection {
  let error: unknown
  let closed = false
  const made: Kept[] = []
  const failed = (failure: unknown) => void (error = failure)
  const { options = {} } = client as {
    options?: { socket?: object; rootNodes?: unknown; defaults?: { socket?: object } }
  }
  const socketOf = (socket: object | undefined, reconnectStrategy: number | false) => ({
    ...socket,
    reconnectStrategy,
    connectTimeout: CONNECT_MS,
  })
  // The nodes of a cluster look after themselves.
  const overrides = options.rootNodes
    ? {
        defaults: {
          ...options.defaults,
          socket: socketOf(options.defaults?.socket, RETRY_MS),
          disableOfflineQueue: true,
        },
      }
    : { socket: socketOf(options.socket, false), disableOfflineQueue: true }
  const open = (whenReady: (connection: NodeRedis) => Promise<unknown>): Kept => {
    const renew = () => {
      let lost = closed
      const connection = client.duplicate(overrides as never) as NodeRedis
      const end = () => {
        if (!lost) later(() => closed || Object.assign(kept, renew()), RETRY_MS)
        lost = true
        try {
          connection.destroy()
        } catch {
          // Never open, or closed already.
        }
      }
      connection.on('error', (failure: unknown) => {
        failed(failure)
        if (!connection.isOpen) end()
      })
      connection.unref?.()
      const connected = connection
        .connect()
        .then(() => whenReady(connection))
        .then(() => connection.unref?.())
        .catch((failure: unknown) => {
          failed(failure)
          end()
        })
      return { connection, connected, end }
    }
    const kept = renew()
    made.push(kept)
    return kept
  }
  let main: Kept | undefined
  const disconnect = () => made.forEach(({ end }) => end())
  const close = () => {
    closed = true
    disconnect()
  }
  client.once('end', close)
  return {
    async call(command, script, keys, args) {
      main ??= open(async () => {})
      if (!main.connection.isReady) await Promise.race([main.connected, soon()])
      const { connection } = main
      if (!connection.isReady) throw offline(error)
      const input = { keys, arguments: args }
      return command === 'EVALSHA' ? connection.evalSha(script, input) : connection.eval(script, input)
    },
    subscribe(channel, heard) {
      open((connection) => connection.subscribe(channel, heard))
    },
    reset(why = error) {
      error = why
      disconnect()
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
