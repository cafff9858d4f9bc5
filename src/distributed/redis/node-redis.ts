// Connections of `redis` (node-redis), and of its cluster.

import { CONNECT_MS, type Connection, type ConnectionEvents, keptConnection, RETRY_MS } from './connection.ts'

/** The members of a client of `redis`, or of its cluster, that are used. */
export interface NodeRedisLike {
  once(event: 'end' | 'ready', listener: () => void): unknown
  duplicate(overrides?: never): unknown
  evalSha(sha: string, options?: { keys?: string[]; arguments?: string[] }): Promise<unknown>
  eval(script: string, options?: { keys?: string[]; arguments?: string[] }): Promise<unknown>
  connect(): Promise<unknown>
  destroy(): void
}

interface NodeRedis extends ConnectionEvents {
  readonly isOpen: boolean
  evalSha(sha: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>
  eval(script: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>
  subscribe(channel: string, heard: (message: string) => void): Promise<unknown>
  connect(): Promise<unknown>
  destroy(): void
  unref?(): void
}

export function nodeRedis(client: NodeRedisLike): Connection {
  const { options = {} } = client as {
    options?: { socket?: object; rootNodes?: unknown; defaults?: { socket?: object } }
  }
  const socketOf = (socket: object | undefined, reconnectStrategy: number | false) => ({
    ...socket,
    reconnectStrategy,
    connectTimeout: CONNECT_MS,
  })
  // The nodes of a cluster reconnect by themselves.
  const overrides = options.rootNodes
    ? {
        defaults: {
          ...options.defaults,
          socket: socketOf(options.defaults?.socket, RETRY_MS),
          disableOfflineQueue: true,
        },
      }
    : { socket: socketOf(options.socket, false), disableOfflineQueue: true }

  return keptConnection<NodeRedis>(client, {
    open({ lost, failed }) {
      const connection = client.duplicate(overrides as never) as NodeRedis
      connection.on('error', (error: unknown) => {
        failed(error)
        if (!connection.isOpen) lost(error)
      })
      connection.unref?.()
      const end = () => {
        try {
          connection.destroy()
        } catch {
          // It was never open, or is already closed.
        }
      }
      const ready = connection.connect().then(() => connection.unref?.())
      return { client: connection, ready, end }
    },
    call(connection, command, script, keys, args) {
      const input = { keys, arguments: args }
      return command === 'EVALSHA' ? connection.evalSha(script, input) : connection.eval(script, input)
    },
    async subscribe(connection, channel, heard) {
      await connection.subscribe(channel, heard)
      connection.unref?.()
    },
  })
}
