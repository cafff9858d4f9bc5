// Connections of `ioredis`, and of its cluster.

import {
  CONNECT_MS,
  type Connection,
  type ConnectionEvents,
  later,
  offline,
  RETRY_MS,
  soon,
} from './connection.ts'

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

interface IoRedis extends ConnectionEvents {
  readonly status: string
  readonly stream?: { unref?(): void }
  evalsha(sha: string, keys: number, ...args: string[]): Promise<unknown>
  eval(script: string, keys: number, ...args: string[]): Promise<unknown>
  subscribe(channel: string): Promise<unknown>
  connect(): Promise<void>
  disconnect(): void
}

export function ioRedis(client: IoRedisLike): Connection {
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
