// A process without further work exits, although its store is dead and its clients keep trying.

import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { Redis } from 'ioredis'
import { freePort, haveRedis, startRedis } from '../support/redis.ts'

const source = (path: string) => fileURLToPath(new URL(`../../src/${path}`, import.meta.url))

const FLAGS = [
  '--input-type=module',
  '--disable-warning=ExperimentalWarning',
  '--import',
  new URL('../support/sources.ts', import.meta.url).href,
]

/** Runs a program to its end: its exit code and what it said, or nothing when it had to be killed. */
async function run(program: string) {
  const child = spawn(process.execPath, [...FLAGS, '-e', program], {
    cwd: source('..'),
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let said = ''
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
  const late = setTimeout(() => child.kill('SIGKILL'), 60_000)
  const code = await new Promise((resolve) => child.once('exit', resolve))
  clearTimeout(late)
  return [code, said.trim()]
}

describe.skipIf(!haveRedis())('a process that ends when its work is done', () => {
  const program = (kind: string, url: string) => `
    import { Redis } from 'ioredis'
    import { createClient } from 'redis'
    import { BucketRateLimiter } from ${JSON.stringify(source('index.ts'))}
    import { redisStore } from ${JSON.stringify(source('distributed/redis/index.ts'))}
    const client = ${kind === 'redis' ? `createClient({ url: '${url}' })` : `new Redis('${url}', { lazyConnect: true })`}
    client.on('error', () => {})
    const limiter = new BucketRateLimiter({ name: 'x', requestsPerMinute: 60_000, maxConcurrent: 9, store: redisStore(client) })
    let done = 0
    await Promise.all(Array.from({ length: 20 }, () => limiter.run(() => done++)))
    console.log(done)`

  test('has said goodbye: nothing is kept for it', async () => {
    const server = await startRedis()
    const admin = new Redis(server.url)
    try {
      const programs = ['ioredis', 'redis', 'ioredis', 'redis'].map((kind) => program(kind, server.url))
      expect(await Promise.all(programs.map(run))).toEqual(programs.map(() => [0, '20']))
      const state = JSON.parse((await admin.get('llmiter:{x}'))!) as { joined: number; permits: number }
      expect(state).toMatchObject({ joined: 4, permits: 0 })
      for (const key of ['joined', 'seen', 'missing', 'permits'])
        expect(await admin.exists(`llmiter:{x}:${key}`)).toBe(0)
    } finally {
      admin.disconnect()
      await server.close()
    }
  })
})

describe('the store', () => {
  describe('is dead, and does not keep a process that has done its work', () => {
    const program = (kind: string, url: string, options: string) => `
      import { Redis } from 'ioredis'
      import { createClient } from 'redis'
      import { BucketRateLimiter } from ${JSON.stringify(source('index.ts'))}
      import { redisStore } from ${JSON.stringify(source('distributed/redis/index.ts'))}
      process.on('unhandledRejection', () => process.exit(9))
      // The user's own client keeps nothing alive: it was never connected.
      const client = ${kind === 'redis' ? `createClient({ url: '${url}' })` : `new Redis('${url}', { lazyConnect: true })`}
      client.on('error', () => {})
      const store = redisStore(client, { processes: 2 })
      const limiter = new BucketRateLimiter({ name: 'x', requestsPerMinute: 60_000, store })
      let done = 0
      const calls = Array.from({ length: 20 }, () => limiter.run(() => done++))
      await Promise.all(calls)
      ${options}
      console.log(done)`
    test.concurrent.each([
      ['ioredis', ''],
      ['redis', ''],
      ['ioredis', 'limiter.stop()'],
      ['redis', 'limiter.stop()'],
      ['ioredis', 'limiter.run(() => { throw new Error() }).catch(() => {})'],
    ])('%s %s', async (kind, options) => {
      const url = `redis://127.0.0.1:${await freePort()}`
      const began = performance.now()
      expect(await run(program(kind, url, options))).toEqual([0, '20'])
      expect(performance.now() - began).toBeLessThan(10_000)
    })
  })
})
