// Connections of `ioredis`, and of its cluster.

import { CONNECT_MS, type Connection, type ConnectionEvents, keptConnection } from './connection.ts'

/** The members of a client of `ioredis`, or of its `Cluster`, that are used. */
export interface IoRedisLike {
  once(event: 'end' | 'ready', listener: () => void): unknown
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
  disconnect(): void
}

export function ioRedis(client: IoRedisLike): Connection {
  const { redisOptions } = client.options as { redisOptions?: object }
  const own = { autoResendUnfulfilledCommands: false, connectTimeout: CONNECT_MS }
  const cluster = {
    clusterRetryStrategy: () => null,
    slotsRefreshTimeout: CONNECT_MS,
    redisOptions: { ...redisOptions, ...own },
    lazyConnect: false,
  }
  const single = {
    ...{ retryStrategy: null, maxRetriesPerRequest: 0, enableOfflineQueue: false, lazyConnect: false },
    ...own,
  }
  const args: unknown[] = client.isCluster ? [[], cluster] : [single]

  return keptConnection<IoRedis>(
    client,
    {
      open({ lost, failed }) {
        const connection = client.duplicate(...(args as never[])) as IoRedis
        connection.on('error', failed)
        connection.on('end', () => lost())
        connection.on('connect', () => connection.stream?.unref?.())
        const ready = new Promise<void>((resolve) => connection.once('ready', resolve))
        // Ending it twice would start a timer that keeps the process alive.
        const end = () => connection.status !== 'end' && connection.disconnect()
        return { client: connection, ready, end: () => void end() }
      },
      call: (connection, command, script, keys, args) =>
        command === 'EVALSHA'
          ? connection.evalsha(script, keys.length, ...keys, ...args)
          : connection.eval(script, keys.length, ...keys, ...args),
      subscribe(connection, channel, heard) {
        connection.on('message', (_: string, message: string) => heard(message))
        return connection.subscribe(channel)
      },
    },
    client.status === 'end',
  )
}
