// Connections of `redis` (node-redis), and of its cluster.

import {
  CONNECT_MS,
  type Connection,
  type ConnectionEvents,
  later,
  offline,
  RETRY_MS,
  soon,
} from './connection.ts'

/** What is used of a client of `redis`, or of its cluster. */
export interface NodeRedisLike {
  once(event: 'end', listener: () => void): unknown
  duplicate(overrides?: never): unknown
  evalSha(sha: string, options?: { keys?: string[]; arguments?: string[] }): Promise<unknown>
  eval(script: string, options?: { keys?: string[]; arguments?: string[] }): Promise<unknown>
  connect(): Promise<unknown>
  destroy(): void
}

interface NodeRedis extends ConnectionEvents {
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

export function nodeRedis(client: NodeRedisLike): Connection {
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
