// Implements `datastore: 'redis'` and `'ioredis'` as llmiter stores.

import type { Store } from 'llmiter'
import { type IoRedisLike, type NodeRedisLike, redisStore } from 'llmiter/redis'
import { BottleneckError } from './errors.ts'
import { Events } from './events.ts'
import type { RedisClients, BottleneckOptions, SharedConnection } from './types.ts'

/** How a connection is created. */
export type ConnectionOptions = Pick<BottleneckOptions, 'clientOptions' | 'clusterNodes' | 'Redis'> & {
  /** An existing client. */
  readonly client?: unknown
}

interface Client {
  on(name: 'error', listener: (error: unknown) => void): unknown
  connect?: () => Promise<unknown>
  quit: () => Promise<unknown>
  /** For ioredis and node-redis 4. node-redis 5 calls it `destroy`. */
  disconnect?: () => unknown
  destroy?: () => unknown
  /** Whether it is connected, as ioredis and node-redis report it. */
  status?: string
  isReady?: boolean
}

type Make = (options: ConnectionOptions) => Client

/** Loads a package installed with the program, if the runtime can look it up. */
function lookUp(name: string): unknown {
  const { process } = globalThis as { process?: Partial<NodeJS.Process> }
  const modules = process?.getBuiltinModule?.('node:module')
  if (!modules) throw new BottleneckError(`datastore '${name}' needs the option Redis: the package '${name}'`)
  return modules.createRequire(`${process!.cwd!()}/package.json`)(name)
}

/** A connection to Redis that limiters can share. */
class Connection implements SharedConnection {
  /** Whether limiters may not close it, because its client was passed in. */
  readonly #foreign: boolean
  readonly #client: Client
  readonly #events: Events<this>
  /** The llmiter store that shares the limits. */
  readonly store: Store
  /** Listens to `error`. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- as Bottleneck's own types say
  declare on: (name: 'error', listener: (error: any) => void) => this
  /** Listens to the next `error`. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- as Bottleneck's own types say
  declare once: (name: 'error', listener: (error: any) => void) => this

  constructor(options: ConnectionOptions, make: Make) {
    this.#events = new Events(this)
    this.#foreign = options.client !== undefined && options.client !== null
    this.#client = this.#foreign ? (options.client as Client) : make(options)
    this.#client.on('error', (error) => void this.#events.trigger('error', error))
    this.store = redisStore(this.#client as unknown as IoRedisLike | NodeRedisLike)
  }

  /** Resolves with the client. */
  ready(): Promise<RedisClients> {
    return Promise.resolve(this.clients)
  }

  /** The client. */
  get clients(): RedisClients {
    return { client: this.#client }
  }

  /** Closes the connection, unless its client was passed in. */
  async disconnect(_flush = true): Promise<void> {
    if (this.#foreign) return
    const client = this.#client
    // `quit` on a client without a server would wait until it has one.
    if (client.isReady ?? client.status === 'ready') await client.quit()
    else await (client.destroy ?? client.disconnect)?.call(client)
  }
}

/** A connection through `redis` (node-redis 4 or later). */
export class RedisConnection extends Connection {
  /** Creates and connects a client, unless one is given. */
  constructor(options: ConnectionOptions = {}) {
    super(options, ({ Redis, clientOptions }) => {
      const { createClient } = (Redis ?? lookUp('redis')) as { createClient(options: unknown): Client }
      const client = createClient(clientOptions)
      // Failures are emitted as `error`.
      client.connect?.().catch(() => {})
      return client
    })
  }
}

/** A connection through `ioredis`. */
export class IORedisConnection extends Connection {
  /** Creates a client unless one is given. */
  constructor(options: ConnectionOptions = {}) {
    super(options, ({ Redis, clientOptions, clusterNodes }) => {
      const found = (Redis ?? lookUp('ioredis')) as { default?: unknown }
      const Maker = (found.default ?? found) as (new (options: unknown) => Client) & {
        Cluster: new (nodes: unknown, options: unknown) => Client
      }
      return clusterNodes ? new Maker.Cluster(clusterNodes, clientOptions) : new Maker(clientOptions)
    })
  }
}

/** The connection of a limiter, if it shares its limits. */
export function connectionOf(
  settings: Pick<BottleneckOptions, 'datastore' | 'connection'> & ConnectionOptions,
  failed: (error: unknown) => void,
): SharedConnection | undefined {
  const { datastore = 'local', connection } = settings
  if (connection) return connection
  if (datastore === 'local') return undefined
  const Made = { redis: RedisConnection, ioredis: IORedisConnection }[datastore as string]
  if (!Made) throw new BottleneckError(`Invalid datastore type: ${datastore}`)
  return new Made(settings).on('error', failed)
}
