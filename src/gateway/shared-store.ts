// Redis as the store that several gateways share, through the client package that the operator has installed.

import type { BudgetStore, Store } from 'llmiter'
import { type RedisClient, redisStore } from 'llmiter/redis'
import type { GatewayRedis } from './options.ts'

export interface SharedStore extends Store, BudgetStore {
  /** Closes the connections. */
  close(): void
}

interface Closable {
  on(event: 'error', listener: (error: Error) => void): unknown
}

/** Rejects with a TypeError when no client package is installed. */
export async function openStore({ url, prefix, processes }: GatewayRedis): Promise<SharedStore> {
  const { client, close } = await clientOf(url)
  let told = ''
  client.on('error', ({ message }) => {
    // Reports each error once, without the URL, which may contain a password.
    if (message !== told) process.emitWarning(`llmiter gateway: Redis: ${message.replaceAll(url, 'the URL')}`)
    told = message
  })
  const store = redisStore(client, { prefix, processes })
  return { ...store, close }
}

async function clientOf(url: string): Promise<{ client: RedisClient & Closable; close: () => void }> {
  const io = await import('ioredis').catch(missing)
  if (io) {
    const client = new io.Redis(url)
    return { client, close: () => client.disconnect() }
  }
  const node = await import('redis').catch(missing)
  if (node) {
    const client = node.createClient({ url })
    client.on('error', () => {})
    await client.connect()
    return { client: client as unknown as RedisClient & Closable, close: () => client.destroy() }
  }
  throw new TypeError('redis needs a client package: npm install ioredis')
}

function missing(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND') return undefined
  throw error
}
