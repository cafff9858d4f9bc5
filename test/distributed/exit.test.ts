// A process whose work is done ends, though its store is dead and its clients try for ever.

import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { freePort } from '../support/redis.ts'

const source = (path: string) => fileURLToPath(new URL(`../../src/${path}`, import.meta.url))

const FLAGS = [
  '--input-type=module',
  '--disable-warning=ExperimentalWarning',
  '--import',
  new URL('../support/sources.ts', import.meta.url).href,
]

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
      const child = spawn(process.execPath, [...FLAGS, '-e', program(kind, url, options)], {
        cwd: source('..'),
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      let said = ''
      child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
      const late = setTimeout(() => child.kill('SIGKILL'), 12_000)
      const code = await new Promise((resolve) => child.once('exit', resolve))
      clearTimeout(late)
      expect([code, said.trim()]).toEqual([0, '20'])
      expect(performance.now() - began).toBeLessThan(10_000)
    })
  })
})
