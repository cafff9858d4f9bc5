import { BucketRateLimiter } from 'llmiter'
import { createPool } from 'llmiter/pool'
const limiter = new BucketRateLimiter({ name: 'a', maxConcurrent: 1, limits: [] })
const pool = createPool({ targets: [{ name: 'a', limiter }] })
const t = (p: Promise<unknown>) => Promise.race([p, new Promise(r => setTimeout(r, 300, 'HANGS'))])
console.log('pool in pool', await t(pool.run(async () => { await 1; return pool.run(() => 'ok') })))
